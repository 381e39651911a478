"""A demo is found by other commands in its folder, and its store is left alone by another demo."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecgwatch.running_demo import FOLDER, RunningDemo, find_demo, own_folder, publish_demo
from ecgwatch.settings import DEMO, load
from ingest.errors import BadInputError


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningDemo]:
    """A demo that runs in the working folder, as far as others can see."""
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as server, own_folder():
        demo = RunningDemo(
            f"127.0.0.1:{server.getsockname()[1]}", "sqlite:/d/e.db", "http://127.0.0.1:8050/"
        )
        publish_demo(demo)
        yield demo


def test_commands_use_what_they_need_of_it_and_say_so(
    demo: RunningDemo, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, origin = load({"broker": None, "sink": None}, {})
    assert (settings.broker, settings.sink) == (demo.broker, demo.sink)
    assert (origin["broker"], origin["sink"]) == (DEMO, DEMO)
    assert (
        capsys.readouterr().err == f"using the demo's broker {demo.broker} and store {demo.sink}\n"
    )
    assert load({"sink": None}, {})[1]["broker"] == "default"
    capsys.readouterr()
    assert set(load({}, {})[1].values()) == {"default"}
    assert capsys.readouterr().err == ""


def test_what_somebody_named_goes_before(demo: RunningDemo) -> None:
    other = load({"broker": "kafka:9092", "sink": None}, {})[0]
    assert (other.broker, other.sink) == ("kafka:9092", "sqlite:var/ecgwatch.db")
    same = load({"broker": demo.broker, "sink": None}, {})[0]
    assert same.sink == demo.sink
    kept = load({"broker": None, "sink": None}, {"ECGWATCH_SINK": "memory:"})[0]
    assert (kept.broker, kept.sink) == (demo.broker, "memory:")
    login = {"ECGWATCH_KAFKA_PROTOCOL": "ssl"}
    assert load({"broker": None}, login)[0].broker == "localhost:9092"


def test_a_second_demo_is_refused_and_empties_nothing(demo: RunningDemo) -> None:
    store = FOLDER / "ecgwatch.db"
    store.write_text("events")
    with pytest.raises(BadInputError, match=demo.page), own_folder():
        pass
    assert store.read_text() == "events"
    assert find_demo() == demo


def test_one_that_has_ended_or_was_killed_is_not_found(demo: RunningDemo, tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    with own_folder(killed):
        (killed / "old.log").write_text("")
        publish_demo(demo._replace(broker="127.0.0.1:1"), killed)
        assert find_demo(killed) is None
    assert not (killed / "running.json").exists()
    with own_folder(killed):
        assert not (killed / "old.log").exists()
