"""The processor's own figures on their way to the board on the pipeline's health."""

from __future__ import annotations

import http.server
import math
import threading
from collections.abc import Iterator

import pytest

from ecgwatch.settings import Settings
from ecgwatch.telemetry import publisher
from ingest.clock import ManualClock
from stream_processor.worker.counters import Counters
from stream_processor.worker.latency import Latencies
from stream_processor.worker.telemetry import ADDED, InfluxTelemetry, line
from tests.fakes import FakeWard, chunk

NOW_NS = 1_767_225_600 * 10**9


@pytest.fixture
def store() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """An HTTP server that takes what is written to it: its URL, and the paths and bodies."""
    written: list[tuple[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            written.append(
                (self.path, self.rfile.read(int(self.headers["Content-Length"])).decode())
            )
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", written
    server.shutdown()
    thread.join()
    server.server_close()


def test_latency_of_live_beats_only() -> None:
    latencies = Latencies()
    beats = FakeWard().push([chunk("p", i, start_ns=NOW_NS) for i in range(100)])
    latencies.add(beats, NOW_NS + 20 * 10**9)  # 100 beats, 0.2 s apart: from 20 s to 0.2 s ago
    assert latencies.take() == pytest.approx((10.1, 19.802))
    assert all(math.isnan(value) for value in latencies.take())
    latencies.add(beats, NOW_NS + 3600 * 10**9)
    assert all(math.isnan(value) for value in latencies.take())


def test_a_point_has_every_counter_and_what_is_worked_out_of_them(
    store: tuple[str, list[tuple[str, str]]],
) -> None:
    url, written = store
    clock, timings = (
        ManualClock(NOW_NS),
        {"beat network": 2.0, "rhythm network": 1.0, "events": 0.5},
    )
    telemetry = InfluxTelemetry(url, "t", "org", "events", "a b-1", timings, clock)
    clock.advance(10)
    telemetry(Counters(messages=500, lag=100, dead_letters=2))
    ((path, point),) = written
    assert path == "/api/v2/write?org=org&bucket=events&precision=ns"
    tags, text, at = point.rsplit(" ", 2)
    assert (tags, int(at)) == (r"pipeline,worker=a\ b-1", clock.now_ns())
    fields = {name: float(value) for name, value in (one.split("=") for one in text.split(","))}
    # none yet
    assert set(fields) == {*Counters().as_dict(), *ADDED} - {"latency_p50_s", "latency_p99_s"}
    wanted = {"messages": 500, "dead_letters": 2, "lag_s": 2.0, "network_s": 3.0, "stages_s": 3.5}
    assert {name: fields[name] for name in wanted} == wanted


def test_a_store_that_is_away_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    telemetry = InfluxTelemetry(
        "http://127.0.0.1:9", "t", "org", "events", "w", {}, ManualClock(NOW_NS)
    )
    telemetry(Counters())
    telemetry(Counters())
    assert len(caplog.records) == 1


def test_only_influxdb_gets_figures() -> None:
    clock = ManualClock(NOW_NS)
    publisher(Settings(sink="sqlite:x.db"), "1", {}, clock)(Counters())
    assert isinstance(
        publisher(Settings(sink="influxdb:http://127.0.0.1:9"), "1", {}, clock), InfluxTelemetry
    )


def test_what_is_no_number_is_left_out() -> None:
    assert line("w", {"a": 1, "b": math.nan}, 7) == "pipeline,worker=w a=1.0 7"
