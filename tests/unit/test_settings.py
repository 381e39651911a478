"""Settings: what wins over what, where it came from, and how errors name the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecgwatch.settings import Settings, load
from ecgwatch.stores import open_sink
from ingest.errors import BadInputError, UnreachableError
from stream_processor.sinks.memory import MemorySink
from stream_processor.sinks.sqlite import SqliteSink


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ward.toml"
    path.write_text('broker = "file:1"\nsink = "memory:"\n')
    return path


def test_defaults(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings, source = load({}, {})
    assert settings.broker == "localhost:9092"
    assert settings.data == Path.home() / ".cache/ecg-data"
    assert set(source.values()) == {"default"}


def test_option_over_environment_over_file(file):
    environment = {"ECGWATCH_SETTINGS": str(file), "ECGWATCH_BROKER": "environment:2"}
    settings, source = load({"broker": None, "sink": None}, environment)
    assert (settings.broker, source["broker"]) == ("environment:2", "environment")
    assert (settings.sink, source["sink"]) == ("memory:", str(file))
    settings, source = load({"broker": "option:3"}, environment)
    assert (settings.broker, source["broker"]) == ("option:3", "option")


def test_the_file_is_looked_for_in_the_working_folder(file, monkeypatch):
    file.rename(file.with_name("ecgwatch.toml"))
    monkeypatch.chdir(file.parent)
    assert load({}, {})[0].broker == "file:1"


def test_the_data_folder_of_other_tools_is_heard_but_ours_goes_before():
    assert load({}, {"ECG_DATA": "/a"})[0].data == Path("/a")
    assert load({}, {"ECG_DATA": "/a", "ECGWATCH_DATA": "/b"})[0].data == Path("/b")


def test_what_only_the_tests_read_is_no_setting():
    load({}, {"ECGWATCH_REQUIRE_SERVICES": "1", "ECGWATCH_CACHE": "/a"})


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"ECGWATCH_BROKR": "x"}, r"'brokr' \(from environment\)[\s\S]*Known settings: broker, "),
        ({"ECGWATCH_SETTINGS": "none.toml"}, "none.toml"),
    ],
)
def test_a_mistake_is_named(environment, problem):
    with pytest.raises(BadInputError, match=problem):
        load({}, environment)


@pytest.mark.parametrize(
    ("text", "problem"),
    [('brokr = "x"', "'brokr'"), ("broker = 5", "'broker'"), ("broker", "Write it as TOML")],
)
def test_a_mistake_in_the_file_is_named(file, text, problem):
    file.write_text(text)
    with pytest.raises(BadInputError, match=problem) as caught:
        load({}, {"ECGWATCH_SETTINGS": str(file)})
    assert str(file) in str(caught.value)


def test_stores_by_their_setting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_sink(Settings(sink="memory:")), MemorySink)
    sink = open_sink(Settings(sink="sqlite:var/events.db"))
    assert isinstance(sink, SqliteSink)
    assert (tmp_path / "var/events.db").exists()
    sink.close()
    sink = open_sink(Settings(sink="influxdb:http://127.0.0.1:9", influx_token="t"))
    assert sink.pending == 0
    sink.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sqlite:",
        "memory:x",
        "influxdb:",
        "influxdb:localhost:8086",
        "postgres:x",
        "/var/events.db",
    ],
)
def test_a_sink_that_names_no_store(text):
    with pytest.raises(BadInputError, match=r"setting sink = .*\n.*sqlite:PATH, influxdb:URL"):
        open_sink(Settings(sink=text))


def test_influxdb_needs_a_token():
    with pytest.raises(BadInputError, match="ECGWATCH_INFLUX_TOKEN"):
        open_sink(Settings(sink="influxdb:http://127.0.0.1:9"))


def test_a_file_that_cannot_be_opened(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnreachableError, match=r"file/events.db[\s\S]*--sink"):
        open_sink(Settings(sink=f"sqlite:{tmp_path / 'file/events.db'}"))
