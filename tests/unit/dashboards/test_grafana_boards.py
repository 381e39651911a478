"""The boards as JSON: what is committed is what the modules make, fits Grafana's model, and names
only what there is.

The model is grafana-foundation-sdk's, which Grafana generates from the schemas of its dashboards
and panels (schemaVersion 42, as in 12.4): a board is read by it and written again, and nothing may
be lost; then every value is held to the declared type, enums included.
"""

from __future__ import annotations

import enum
import json
import re
import types
import typing
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dashboards.grafana import alerts, files, layout, parts

BOARDS = files.boards()
ROOT = Path(__file__).parents[3]
# the classic model is what files hold
pytestmark = pytest.mark.filterwarnings("ignore:Prefer using dashboardv2:DeprecationWarning")


def panels(board: parts.Json) -> list[parts.Json]:
    return list(board["panels"])


def texts(value: Any) -> list[str]:
    """Every string inside."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("path", files.files(), ids=lambda path: path.name)
def test_committed_files_are_what_the_modules_make(path: Path) -> None:
    assert path.read_text() == files.files()[path], "run: python -m dashboards.grafana.files"


def test_no_other_boards_lie_around() -> None:
    assert {path.stem for path in (files.FOLDER / "boards").iterdir()} == set(BOARDS)


@pytest.mark.parametrize("name", BOARDS)
def test_nothing_is_lost_in_grafanas_model(name: str) -> None:
    encoder = pytest.importorskip(
        "grafana_foundation_sdk.cog.encoder", reason="needs grafana-foundation-sdk==0.0.21"
    )
    assert list(lost(BOARDS[name], json.loads(encoder.JSONEncoder().encode(modelled(name))))) == []


@pytest.mark.parametrize("name", BOARDS)
def test_values_have_the_types_of_grafanas_model(name: str) -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="needs grafana-foundation-sdk==0.0.21")
    assert list(misfits(modelled(name))) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ({"options": {"showValue": "sometimes"}}, "showValue"),
        ({"gridPos": {"h": "tall", "w": 1, "x": 0, "y": 0}}, "h"),
        ({"fieldConfig": {"defaults": {"unit": 5}, "overrides": []}}, "unit"),
    ],
)
def test_the_model_finds_mistakes(broken: parts.Json, said: str) -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="needs grafana-foundation-sdk==0.0.21")
    from grafana_foundation_sdk.models.dashboard import Dashboard

    modelled("ward")  # so that the panels' own models are known
    panel = {"type": "state-timeline", "title": "x", "targets": [], **broken}
    found = list(misfits(Dashboard.from_json({"panels": [panel]})))
    assert [text for text in found if said in text]
    assert list(lost({"a": {"b": 1}}, {"a": {}}))


def modelled(name: str) -> Any:
    """A board as objects of the model, its panels' options too."""
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

    register_default_plugins()
    return Dashboard.from_json(json.loads((files.FOLDER / "boards" / f"{name}.json").read_text()))


def lost(before: Any, after: Any, path: str = "") -> typing.Iterator[str]:
    """Where `after` lacks what `before` has; it may have more (defaults)."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after.get(key), f"{path}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from lost(one, other, f"{path}[{i}]")
    elif before != after:
        yield f"{path}: {before!r} became {after!r}"


def misfits(value: Any, path: str = "") -> typing.Iterator[str]:
    """Attributes whose value is not of the type that its class declares."""
    if isinstance(value, list):
        for i, one in enumerate(value):
            yield from misfits(one, f"{path}[{i}]")
    elif type(value).__module__.startswith("grafana_foundation_sdk"):
        for name, hint in typing.get_type_hints(type(value)).items():
            if not fits(found := getattr(value, name), hint):
                yield f"{path}.{_camel(name)}: {found!r} is no {hint}"
            yield from misfits(found, f"{path}.{_camel(name)}")


def fits(value: Any, hint: Any) -> bool:
    kind = typing.get_origin(hint)
    if hint is typing.Any or hint is object or isinstance(hint, typing.TypeVar):
        return True
    if kind in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in typing.get_args(hint))
    if kind is typing.Literal:
        return value in typing.get_args(hint)
    if kind is list:
        return isinstance(value, list) and all(fits(one, typing.get_args(hint)[0]) for one in value)
    if kind is dict:
        return isinstance(value, dict) and all(
            fits(one, typing.get_args(hint)[1]) for one in value.values()
        )
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return value in [one.value for one in hint]
    if hint in (float, int):
        return isinstance(value, int | float if hint is float else int) and not isinstance(
            value, bool
        )
    # the model leaves some parts as they came
    if isinstance(value, dict) and hasattr(hint, "from_json"):
        return not list(lost(value, hint.from_json(value).to_json()))
    return isinstance(value, hint) if isinstance(hint, type) else True


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_layout(board: parts.Json) -> None:
    assert board["schemaVersion"] == 42
    assert len({panel["id"] for panel in panels(board)}) == len(panels(board))
    places = [panel["gridPos"] for panel in panels(board)]
    assert all(place["x"] + place["w"] <= layout.WIDTH for place in places)
    for a, b in combinations(places, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]


def test_boards_link_to_boards_that_there_are_and_to_the_monitor() -> None:
    uids = {board["uid"] for board in BOARDS.values()}
    assert len(uids) == len(BOARDS)
    for board in BOARDS.values():
        assert set(re.findall(r"/d/([\w-]+)", json.dumps(board))) <= uids
        assert any(link["tags"] == [layout.TAG] for link in board["links"])
        assert layout.TAG in board["tags"]
    for name in ("ward", "patient", "alarms"):
        assert "${monitor}/patient?id=" in json.dumps(BOARDS[name])


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_variables_are_there(board: parts.Json) -> None:
    known = {variable["name"] for variable in board["templating"]["list"]}
    used = set(re.findall(r"\$\{([a-z]\w*)(?=[:}])", " ".join(texts(board))))
    assert used <= known
    for link in re.findall(r"/d/ecgwatch-(\w+)\?var-(\w+)", " ".join(texts(board))):
        assert link[1] in {variable["name"] for variable in BOARDS[link[0]]["templating"]["list"]}


def test_alerts_are_for_the_pipeline_only() -> None:
    rules = alerts.rules()
    assert [rule["uid"] for rule in rules] == [
        "ecgwatch-no-data",
        "ecgwatch-lag",
        "ecgwatch-dead-letters",
    ]
    for rule in rules:
        asked = rule["data"][0]["model"]["query"]
        assert '_measurement == "pipeline"' in asked
        # alert rules know no variables, and their file is searched for those of the environment
        assert "$" not in str(rule)
        assert rule["annotations"]["__dashboardUid__"] in {
            board["uid"] for board in BOARDS.values()
        }


def test_provisioning_names_what_compose_mounts() -> None:
    yaml = pytest.importorskip("yaml")
    provisioning = files.FOLDER / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "ecgwatch.yaml").read_text())[
        "datasources"
    ]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "ecgwatch.yaml").read_text())[
        "providers"
    ]
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    assert {"type": source["type"], "uid": source["uid"]} == parts.DATASOURCE
    wanted = set(
        re.findall(
            r"\$(ECGWATCH_\w+)", (provisioning / "datasources" / "ecgwatch.yaml").read_text()
        )
    )
    token = "ECGWATCH_INFLUX_TOKEN"  # from a file, at its start
    assert f"export {token}=" in grafana["entrypoint"][-1]
    assert wanted <= {*grafana["environment"], token}
    mounted = dict(volume.split(":")[:2] for volume in grafana["volumes"] if volume.startswith("."))
    folders = [path.name for path in provisioning.iterdir()]
    wanted_mounts = {
        f"./dashboards/grafana/provisioning/{name}": f"/etc/grafana/provisioning/{name}"
        for name in folders
    }
    assert mounted == wanted_mounts | {"./dashboards/grafana/boards": provider["options"]["path"]}
