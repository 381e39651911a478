"""What a user does, by the product's own commands: replay a record through broker and store, export
it, and annotate it without either."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingest.embedded import EmbeddedBroker
from ingest.messages import Alarm, Beat, Rhythm, Vitals
from ingest.simulator.generate import write_wfdb
from ingest.simulator.scenario import load
from stream_processor.sinks.base import Sink
from stream_processor.sinks.influx import InfluxSink
from stream_processor.sinks.sqlite import SqliteSink
from tools import services

START = "2026-01-01T00:00:00Z"


@dataclass
class Stack:
    """A broker, a store, and how the command line is told of them."""

    environment: dict[str, str]
    sink: Sink
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def run(self, *arguments: str | Path, code: int = 0) -> str:
        """Run `ecgwatch ARGUMENTS` to its end; its output."""
        done = subprocess.run(
            [sys.executable, "-m", "ecgwatch", *map(str, arguments)],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, *arguments: str) -> None:
        """Start `ecgwatch ARGUMENTS` and wait for its first line."""
        child = subprocess.Popen(
            [sys.executable, "-m", "ecgwatch", *arguments],
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.processes.append(child)
        assert child.stdout
        assert "processing" in child.stdout.readline()

    def points(self, patient: str) -> dict[str, int]:
        """How many events of each kind are stored."""
        return {
            kind.__name__: sum(1 for _ in self.sink.read(kind, patient))
            for kind in (Beat, Rhythm, Vitals, Alarm)
        }


@pytest.fixture(params=["embedded and sqlite", "kafka and influxdb"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    if request.param == "embedded and sqlite":
        broker = EmbeddedBroker()
        broker.start()
        path = tmp_path / "events.db"
        made = Stack(
            {"ECGWATCH_BROKER": broker.address, "ECGWATCH_SINK": f"sqlite:{path}"}, SqliteSink(path)
        )
    else:
        kafka: services.Kafka = request.getfixturevalue("empty_kafka")
        influx: services.Influxdb = request.getfixturevalue("empty_influxdb")
        environment = {
            "ECGWATCH_BROKER": kafka.address,
            "ECGWATCH_SINK": f"influxdb:{influx.url}",
            "ECGWATCH_INFLUX_TOKEN": influx.token,
            "ECGWATCH_INFLUX_ORG": influx.org,
            "ECGWATCH_INFLUX_BUCKET": influx.bucket,
        }
        made = Stack(environment, InfluxSink(influx.url, influx.token, influx.org, influx.bucket))
    yield made
    for child in made.processes:
        child.terminate()
        child.communicate(timeout=60)
    made.sink.close()
    if request.param == "embedded and sqlite":
        broker.stop()


def stored_equals_annotated(
    stack: Stack, record: str | Path, name: str, tmp_path: Path
) -> dict[str, int]:
    """Replay, export, annotate: the files are the same, byte for byte. Replay again: nothing
    changes. Returns the point counts."""
    stack.start("process", "--workers", "1")
    seen: list[dict[str, int]] = []
    for _ in range(2):
        stack.run("replay", record, "--speed", "max", "--start-time", START)
        stack.run("topics", "lag", "--wait", "120")
        seen.append(stack.points(name))
        stack.run("export", "--out", tmp_path / "exported")
        stack.run("annotate", record, "--out", tmp_path / "annotated")
        assert (tmp_path / "exported" / f"{name}.ecw").read_bytes() == (
            tmp_path / "annotated" / f"{name}.ecw"
        ).read_bytes()
        for table in ("rhythm.csv", "alarms.csv"):
            exported, annotated = (
                (tmp_path / folder / table).read_text() for folder in ("exported", "annotated")
            )
            assert _without_ids(exported) == _without_ids(annotated), table
    assert seen[0] == seen[1]
    return seen[0]


def _without_ids(table: str) -> list[list[str]]:
    """Rows less the alarm ids, which carry the start time: a record annotated has none of its own."""
    header, *rows = [line.split(",") for line in table.splitlines()]
    return [
        [cell for column, cell in zip(header, row, strict=True) if column != "id"] for row in rows
    ]


@pytest.mark.parametrize(
    "stack",
    [pytest.param("embedded and sqlite", marks=pytest.mark.slow), "kafka and influxdb"],
    indirect=True,
)
def test_a_simulated_record(stack: Stack, tmp_path: Path) -> None:
    write_wfdb(load("vt"), tmp_path, "vt", 90)
    counts = stored_equals_annotated(stack, tmp_path / "vt", "vt", tmp_path)
    assert counts["Beat"] > 80
    assert counts["Vitals"] >= 89
    assert counts["Alarm"] > 0


@pytest.mark.slow
def test_mitdb_208(stack: Stack, tmp_path: Path, data_dir: Path) -> None:
    if not (data_dir / "mitdb" / "208.hea").exists():
        pytest.skip(f"no mitdb/208 in {data_dir}")
    counts = stored_equals_annotated(stack, "mitdb/208", "208", tmp_path)
    assert 2900 < counts["Beat"] < 3000
