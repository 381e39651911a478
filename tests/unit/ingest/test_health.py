"""What processes tell orchestrators and Prometheus."""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.request
from dataclasses import fields

import pytest

from ingest.errors import BadInputError
from ingest.health import Health, HealthServer, Metric, parse_address, prometheus
from stream_processor.worker.counters import Counters
from stream_processor.worker.metrics import NAMES, metrics_of

UNTOLD = {"replayed", "events", "snapshots", "snapshot_bytes", "snapshot_s"}


def ask(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_process_tells_whether_it_lives_is_ready_and_how_it_does() -> None:
    missing = {"partitions": "not assigned yet"}
    health = Health(lambda: missing, lambda: metrics_of(Counters(beats=7), restarts=2))
    with HealthServer("127.0.0.1:0", health) as server:
        assert ask(server.port, "/healthz") == (200, "{}")
        assert ask(server.port, "/readyz") == (503, json.dumps(missing))
        missing.clear()
        assert ask(server.port, "/readyz")[0] == 200
        status, text = ask(server.port, "/metrics")
        assert status == 200
        assert "# TYPE ecgwatch_beats_total counter\necgwatch_beats_total 7\n" in text
        assert "\necgwatch_worker_restarts_total 2\n" in text
        assert "latency" not in text, "there is none yet: not a number is left out"
        assert ask(server.port, "/")[0] == 404


def test_every_counter_is_told_or_named_as_untold() -> None:
    told = {field for field, *_ in NAMES}
    assert told | UNTOLD == {f.name for f in fields(Counters)}
    assert told.isdisjoint(UNTOLD)


def test_prometheus_text() -> None:
    metrics = [Metric("a", "gauge", "one", 0.5), Metric("b", "gauge", "none", math.nan)]
    assert prometheus(metrics) == "# HELP ecgwatch_a one\n# TYPE ecgwatch_a gauge\necgwatch_a 0.5\n"


@pytest.mark.parametrize("text", ["", "9400", ":9400", "host:", "host:x", "host:99999"])
def test_an_address_that_is_none(text: str) -> None:
    with pytest.raises(BadInputError, match="is no address"):
        parse_address(text)
