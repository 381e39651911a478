"""The monitor's history from a real InfluxDB: the same answers as from SQLite."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stream_processor.sinks.base import Sink
from stream_processor.sinks.influx import InfluxSink
from stream_processor.sinks.sqlite import SqliteSink
from tests.unit.dashboards.monitor_bench import (
    action,
    alarm,
    beat,
    edit,
    finding,
    ms,
    rhythm,
    running,
    strip,
    vitals,
    waveform,
)

X = np.round(200 * np.sin(np.arange(2500) / 20))
EVENTS = [
    waveform(0, X),
    waveform(10, -X),
    alarm(12),
    strip(alarm(12), X),
    *(vitals(k, 60.0 + k) for k in range(20)),
    beat(1),
    beat(2, 812.5, "V"),
    rhythm(-9000, 10),
    rhythm(10, 20, "AFIB"),
    action("limits", limits={"hr_high_bpm": 130.0}),
    action("silence", seconds=60.0),
    edit(beat(1)),
    finding(0, 30),
]
QUESTIONS = [
    "alarms",
    "rhythm",
    "beats",
    "trend?points=5",
    "waveform",
    "waveform?points=10",
    "actions",
    "edits",
    "findings",
    "report",
    "limits",
    f"strip?alarm={alarm(12).id}",
]


def answers(open_sink: Any) -> dict[str, bytes]:
    sink: Sink = open_sink()
    for event in EVENTS:
        sink.add(event)
    sink.flush()
    sink.close()
    found = {}
    with running(open_sink) as bench:
        for question in QUESTIONS:
            path, _, query = question.partition("?")
            period = {} if path in ("limits", "strip") else {"from": ms(0), "to": ms(60)}
            answer = bench.client.get(
                f"/api/patients/p/{path}", params=period | dict([query.split("=")] if query else [])
            )
            assert answer.status_code == 200, answer.text
            found[question] = answer.content
        found["edits.csv"] = bench.client.get(
            "/api/edits.csv", params={"from": ms(0), "to": ms(60)}
        ).content
    return found


def test_both_stores_answer_the_same(empty_influxdb: Any, tmp_path: Path) -> None:
    db = empty_influxdb
    # the tests' times are long ago
    influx = answers(partial(InfluxSink, db.url, db.token, db.org, db.bucket, "long", 36_500))
    sqlite = answers(partial(SqliteSink, tmp_path / "events.db"))
    assert len(set(sqlite.values())) == len(sqlite)
    for question, answer in sqlite.items():
        assert influx[question] == answer, question


def test_a_database_that_is_away_is_said(influxdb: Any) -> None:
    with running(
        partial(InfluxSink, "http://127.0.0.1:9", influxdb.token, influxdb.org, influxdb.bucket)
    ) as bench:
        answer = bench.get("beats", from_=ms(0), to=ms(60))
    assert answer.status_code == 503
    assert "ecgwatch check" in answer.json()["remedy"]
