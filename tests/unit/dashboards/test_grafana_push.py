"""`ecgwatch dashboards push` and `check` against a server that answers as Grafana does
(grafana_fake.py says why, and what it knows)."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from dashboards.grafana import alerts, files, layout
from dashboards.grafana.push import DataSource, Grafana, differs
from ecgwatch.__main__ import app
from ingest.errors import BadInputError, UnreachableError
from tests.unit.dashboards.grafana_fake import PASSWORD, TOKEN, FakeGrafana

SOURCE = DataSource("http://influxdb:8086", "ecgwatch", "events", "right")
BOARDS = files.boards()
THINGS = 2 + 1 + len(BOARDS) + 1  # folders, datasource, boards, rules


@pytest.fixture
def fake() -> Iterator[FakeGrafana]:
    server = FakeGrafana()
    yield server
    server.close()


def push(fake: FakeGrafana, source: DataSource = SOURCE, token: str = TOKEN) -> dict[str, str]:
    """What became of each thing."""
    return {change.what: change.state for change in Grafana(fake.url, token).push(source)}


def check(fake: FakeGrafana) -> dict[str, bool]:
    return {finding.what: finding.works for finding in Grafana(fake.url, TOKEN).check()}


@pytest.mark.parametrize("token", [TOKEN, PASSWORD])
def test_everything_is_created_and_then_left_as_it_is(fake: FakeGrafana, token: str) -> None:
    first = push(fake, token=token)
    assert list(first.values()) == ["created"] * THINGS
    assert {uid: kept["dashboard"]["title"] for uid, kept in fake.boards.items()} == {
        b["uid"]: b["title"] for b in BOARDS.values()
    }
    assert {kept["meta"]["folderUid"] for kept in fake.boards.values()} == {"ecgwatch"}
    assert fake.sources["ecgwatch"]["secureJsonData"] == {"token": "right"}
    assert [rule["uid"] for rule in fake.groups[alerts.FOLDER_UID, alerts.GROUP]["rules"]] == [
        rule["uid"] for rule in alerts.rules()
    ]
    fake.writes.clear()
    assert set(push(fake, token=token).values()) == {"unchanged"}
    assert fake.writes == []
    assert all(check(fake).values())


def test_only_what_differs_is_written(fake: FakeGrafana) -> None:
    push(fake)
    fake.writes.clear()
    fake.boards["ecgwatch-ward"]["dashboard"]["panels"][0]["title"] = "Mine"
    fake.boards["ecgwatch-patient"]["meta"]["folderUid"] = "elsewhere"
    fake.folders["ecgwatch"]["title"] = "Old name"
    fake.groups[alerts.FOLDER_UID, alerts.GROUP]["rules"][1]["data"][2]["model"]["conditions"][0][
        "evaluator"
    ]["params"] = [99.0]
    assert not check(fake)["board Ward"]
    changed = {what for what, state in push(fake).items() if state == "updated"}
    assert changed == {"board Ward", "board Patient", "folder ecgwatch", "alert rules"}
    assert len(fake.writes) == 4
    assert set(push(fake).values()) == {"unchanged"}
    assert fake.boards["ecgwatch-ward"]["dashboard"]["version"] == 2


def test_another_store_or_token_reaches_the_datasource(fake: FakeGrafana) -> None:
    push(fake, SOURCE._replace(token="wrong"))
    assert not check(fake)["datasource ecgwatch"]
    # the same but for the token, which Grafana does not tell
    assert push(fake)["datasource ecgwatch"] == "updated"
    assert push(fake, SOURCE._replace(url="http://other:8086"))["datasource ecgwatch"] == "updated"
    assert fake.sources["ecgwatch"]["url"] == "http://other:8086"


def test_what_grafana_was_provisioned_with_is_left_alone(fake: FakeGrafana) -> None:
    push(fake)
    fake.writes.clear()
    for kept in fake.boards.values():
        kept["meta"]["provisioned"] = True
        kept["dashboard"]["title"] = "older"
    fake.sources["ecgwatch"] |= {"readOnly": True, "url": "http://other"}
    group = fake.groups[alerts.FOLDER_UID, alerts.GROUP]
    group["rules"] = [{**rule, "title": "older", "provenance": "file"} for rule in group["rules"]]
    states = push(fake)
    assert [state for what, state in states.items() if not what.startswith("folder")] == [
        "left alone"
    ] * (THINGS - 2)
    assert fake.writes == []


def test_a_board_that_somebody_saves_meanwhile(fake: FakeGrafana) -> None:
    push(fake)
    ward = fake.boards["ecgwatch-ward"]["dashboard"]

    def save() -> None:
        ward["version"] += 1

    ward["title"] = "Mine"
    fake.before_save = save
    assert push(fake)["board Ward"] == "updated"  # read again, then written

    def save_again() -> None:
        ward["version"] += 1
        fake.before_save = save_again

    ward = fake.boards["ecgwatch-ward"]["dashboard"]
    ward["title"] = "Mine"
    fake.before_save = save_again
    with pytest.raises(BadInputError, match="changed by someone else") as refused:
        push(fake)
    assert "again" in refused.value.remedy


def test_errors_say_what_to_do(fake: FakeGrafana) -> None:
    with pytest.raises(BadInputError, match="Unauthorized") as refused:
        push(fake, token="nonsense")
    assert "ECGWATCH_GRAFANA_TOKEN" in refused.value.remedy
    fake.works = False
    with pytest.raises(UnreachableError, match="no Grafana answers"):
        push(fake)
    fake.close()
    with pytest.raises(UnreachableError, match="no Grafana answers"):
        push(fake)


@pytest.fixture
def quiet_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No settings of the machine that runs the tests."""
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    for name in ("ECGWATCH_GRAFANA", "ECGWATCH_GRAFANA_TOKEN", "ECGWATCH_SINK"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("quiet_settings")
def test_the_commands(fake: FakeGrafana, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECGWATCH_INFLUX_TOKEN", "right")
    run, place = CliRunner(), ["--url", fake.url, "--token", TOKEN]
    missing = run.invoke(app, ["dashboards", "check", *place])
    assert missing.exit_code == 3
    assert "board Ward: PROBLEM, missing" in missing.output
    done = run.invoke(
        app, ["dashboards", "push", *place, "--sink", "influxdb:http://influxdb:8086"]
    )
    assert done.exit_code == 0, done.output
    assert done.output.count("created") == THINGS
    monkeypatch.setenv("ECGWATCH_GRAFANA", fake.url)
    monkeypatch.setenv("ECGWATCH_GRAFANA_TOKEN", TOKEN)
    good = run.invoke(app, ["dashboards", "check"])
    assert (good.exit_code, "PROBLEM" in good.output) == (0, False)
    fake.version = "11.6.0"
    assert run.invoke(app, ["dashboards", "check"]).exit_code == 3


@pytest.mark.usefixtures("quiet_settings")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["push", "--url", "http://127.0.0.1:9", "--token", "x"], "sqlite"),
        (["push", "--token", "x", "--sink", "influxdb:http://i:8086"], "Grafana URL"),
        (["check", "--url", "http://127.0.0.1:9"], "token"),
        (["live", "two words", "--url", "http://127.0.0.1:9", "--token", "x"], "two words"),
    ],
)
def test_what_cannot_be_used_is_named(arguments: list[str], said: str) -> None:
    failed = CliRunner().invoke(app, ["dashboards", *arguments])
    assert isinstance(failed.exception, BadInputError)
    assert said in failed.exception.problem
    assert failed.exception.remedy


def test_differences() -> None:
    board = BOARDS["ward"]
    assert differs(board, {**board, "id": 1, "version": 4}) == ""
    assert differs({"a": ""}, {}) == ""  # Grafana drops what is empty
    assert differs({"a": [1, 2]}, {"a": [1]}) == "a"
    changed = copy.deepcopy(board)
    changed["panels"][1]["fieldConfig"]["defaults"]["mappings"][0]["options"]["VF"]["color"] = (
        "pink"
    )
    assert differs(board, changed) == "panels[1].fieldConfig.defaults.mappings[0].options.VF.color"
    assert layout.TAG in board["tags"]
