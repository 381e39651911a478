"""The monitor over HTTP and WebSocket, fed by hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pytest
from starlette.websockets import WebSocketDisconnect

from dashboards.monitor.http.guard import is_loopback, same_origin
from dashboards.monitor.http.server import STATIC
from dashboards.monitor.live.board import Board
from dashboards.monitor.live.feed import Arrival
from dashboards.monitor.live.frames import PAST
from dashboards.monitor.live.hub import OUTBOX, Hub, Page
from ingest.clock import ManualClock
from ingest.messages import Alarm, Vitals
from stream_processor.sinks.base import Sink, SinkBusyError
from stream_processor.sinks.memory import MemorySink
from tests.unit.dashboards.monitor_bench import (
    NOW,
    Bench,
    HandFeed,
    S,
    chunk,
    next_of,
    rhythm,
    running,
)


@pytest.fixture
def bench() -> Iterator[Bench]:
    with running() as bench:
        yield bench


def vitals(patient: str) -> Vitals:
    return Vitals(
        patient_id=patient,
        device_id="d",
        lead="II",
        time_ns=NOW,
        hr_bpm=71.6,
        sdnn_ms=None,
        rmssd_ms=None,
        quality=1.0,
    )


def alarm(patient: str, kind: str = "asystole", step: str = "onset", onset_ns: int = NOW) -> Alarm:
    return Alarm(
        patient_id=patient,
        device_id="d",
        lead="II",
        fs_hz=250.0,
        id=f"{patient}:{kind}:{onset_ns}",
        kind=kind,
        priority="high",
        step=step,
        onset_ns=onset_ns,
        raised_ns=onset_ns,
        changed_ns=onset_ns,
        onset_sample=0,
        raised_sample=0,
        latching=True,
        text="ASYSTOLE 6 s",
    )


def test_pages_and_every_static_file_come_with_a_strict_policy(bench: Bench) -> None:
    paths = ["/", "/patient?id=x", "/api/patients", "/healthz", "/nothing"] + [
        f"/static/{f.relative_to(STATIC)}" for f in STATIC.rglob("*") if f.is_file()
    ]
    for path in paths:
        answer = bench.client.get(path)
        assert answer.status_code == (404 if path == "/nothing" else 200), path
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    page = bench.client.get("/").text
    assert "http" not in page.replace("http-equiv", ""), "the page loads nothing from elsewhere"
    assert "style=" not in page


def test_health_follows_the_broker(bench: Bench) -> None:
    assert bench.client.get("/healthz").status_code == 200
    bench.feed.connected = False
    assert bench.client.get("/healthz").json() == {"broker": False, "patients": 0}


def test_foreign_host_names_are_refused(bench: Bench) -> None:
    assert bench.client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert bench.client.get("/", headers={"host": "localhost:8050"}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "http://evil.example",
        "http://127.0.0.1:9999",
        "null",
        "http://127.0.0.1:8050.evil.example",
    ],
)
def test_a_foreign_page_gets_no_websocket(bench: Bench, origin: str | None) -> None:
    headers = {"host": "127.0.0.1:8050"} | ({"origin": origin} if origin else {})
    with (
        pytest.raises(WebSocketDisconnect),
        bench.client.websocket_connect("/live", headers=headers),
    ):
        pass


def test_same_origin_is_scheme_free_but_exact_otherwise() -> None:
    assert same_origin("https://Ward.example:8050", "ward.example:8050")
    assert not same_origin("https://ward.example", "ward.example:8050")
    assert not same_origin("file://ward.example", "ward.example")
    assert [
        is_loopback(bind)
        for bind in (
            "127.0.0.1",
            "127.3.2.1",
            "::1",
            "localhost",
            "0.0.0.0",
            "::",
            "10.0.0.1",
            "ward",
        )
    ] == [True, True, True, True, False, False, False, False]


def test_a_page_gets_only_the_patients_it_watches(bench: Bench) -> None:
    bench.send(chunk("a"), chunk("b"), vitals("a"))
    with bench.page("a") as socket:
        state = next_of(socket, "patient")
        assert (state["id"], state["vitals"]["hr"], state["samples_age_s"]) == ("a", 71.6, 0)
        past = next_of(socket, "frame")
        assert (past.patient, past.flags, past.first) == (state["number"], PAST, 0)
        bench.send(chunk("b", 1), chunk("a", 1))
        live = next_of(socket, "frame")
        assert (live.patient, live.flags, live.first) == (state["number"], 0, 125)
        assert live.samples.tolist() == list(range(125))
        bench.send(vitals("b"), alarm("a"), vitals("a"))
        events = next_of(socket, "events")["events"]
        assert [set(event) for event in events] == [{"p", "alarm"}, {"p", "vitals"}]


def test_a_patient_that_is_not_there_yet_appears_when_it_begins(bench: Bench) -> None:
    with bench.page("late") as socket:
        assert next_of(socket, "unknown")["id"] == "late"
        bench.send(chunk("late"))
        state = next_of(socket, "patient")
        assert next_of(socket, "frame").stream == state["stream"]


def test_a_restarted_stream_is_announced_before_its_samples(bench: Bench) -> None:
    bench.send(chunk("a", 5))
    with bench.page("a") as socket:
        old = next_of(socket, "patient")
        assert next_of(socket, "frame").stream == old["stream"]
        bench.send(msgspec.structs.replace(chunk("a"), t0_ns=NOW + 60 * S))
        while (new := next_of(socket, "patient"))["stream"] == old["stream"]:
            pass
        assert next_of(socket, "frame").stream == new["stream"]


def test_age_of_the_data_is_told_to_a_page_that_comes_later(bench: Bench) -> None:
    bench.send(chunk("a"))
    bench.clock.advance(42)
    with bench.page("a") as socket:
        assert next_of(socket, "patient")["samples_age_s"] == 42


def test_the_ward_is_told_every_second_with_alarms_of_all(bench: Bench) -> None:
    bench.send(chunk("a"), alarm("b"))
    with bench.page() as socket:
        next_of(socket, "ward")
        ward = next_of(socket, "ward")
        assert (
            ward["patients"],
            ward["alarms"]["high"],
            ward["worst"][0]["patient"],
            ward["broker"],
        ) == (2, 1, "b", True)


@pytest.mark.parametrize(
    "said", ["", "[]", '{"watch": 3}', '{"watch": [], "more": 1}', '{"watch": [null]}']
)
def test_nonsense_ends_the_connection_and_not_the_server(bench: Bench, said: str) -> None:
    with bench.page() as socket:
        socket.send_text(said)
        with pytest.raises(AssertionError, match="close"):
            next_of(socket, "never")
    assert bench.client.get("/healthz").status_code == 200


def test_stored_alarms_join_the_ward_and_are_served(bench: Bench) -> None:
    sink = MemorySink()
    sink.add(alarm("a/1", onset_ns=NOW - 60 * S))
    sink.add(alarm("a/1", onset_ns=NOW - 3 * 86400 * S))
    sink.flush()
    with running(lambda: sink) as bench:
        bench.send(chunk("a/1"))
        with bench.page("a/1") as socket:
            while not (state := next_of(socket, "patient"))["history_loaded"]:
                pass
            assert [a["onset"] for a in state["alarms"]] == [(NOW - 60 * S) / 1e6]
        answer = bench.client.get("/api/patients/a%2F1/alarms").json()
        assert [a["text"] for a in answer["alarms"]] == ["ASYSTOLE 6 s"]
        assert len(bench.client.get("/api/patients/a%2F1/alarms?hours=96").json()["alarms"]) == 2


def test_a_store_that_cannot_be_read_is_said_and_the_live_page_goes_on() -> None:
    def broken() -> Sink:
        raise SinkBusyError("no such file")

    with running(broken) as bench:
        answer = bench.client.get("/api/patients/a/alarms")
        assert answer.status_code == 503
        assert "no such file" in answer.json()["problem"]
        bench.send(chunk("a"))
        with bench.page("a") as socket:
            assert next_of(socket, "patient")["history_loaded"] is False
            assert next_of(socket, "frame").first == 0


def test_paging_and_search(bench: Bench) -> None:
    bench.send(*[chunk(f"Bed {k}") for k in range(200)])
    page = bench.client.get("/api/patients?offset=64&limit=64").json()
    assert (page["total"], page["patients"][0]["id"], len(page["patients"])) == (200, "Bed 64", 64)
    assert bench.client.get("/api/patients?search=BED 19").json()["total"] == 11
    for bad in ("offset=-1", "limit=129", "limit=x", "offset=1e3", "offset=٣"):
        assert bench.client.get(f"/api/patients?{bad}").status_code == 400


def test_filters_and_order_of_a_ward(bench: Bench) -> None:
    quiet = [chunk(f"Bed {k}") for k in range(100)]
    seen = msgspec.structs.replace(alarm("Bed 70"), acknowledged_ns=NOW, step="acknowledged")
    low = msgspec.structs.replace(alarm("Bed 80", "pvc_couplet"), priority="low", latching=False)
    off = msgspec.structs.replace(alarm("Bed 90", "lead_off"), priority="low", latching=False)
    fibrillating = msgspec.structs.replace(rhythm(0, 30, "AFIB"), patient_id="Bed 80")
    bench.send(*quiet, seen, alarm("Bed 60"), off, low, fibrillating)

    def ids(query: str) -> list[str]:
        return [
            patient["id"]
            for patient in bench.client.get(f"/api/patients?{query}").json()["patients"]
        ]

    assert ids("order=urgency&limit=6") == [
        "Bed 60",
        "Bed 70",
        "Bed 80",
        "Bed 90",
        "Bed 0",
        "Bed 1",
    ]
    assert ids("order=urgency&offset=4&limit=2") == ["Bed 0", "Bed 1"], "pages must not overlap"
    assert ids("alarm=any") == ["Bed 60", "Bed 70", "Bed 80", "Bed 90"]
    assert (ids("alarm=high"), ids("alarm=low"), ids("alarm=technical")) == (
        ["Bed 60", "Bed 70"],
        ["Bed 80"],
        ["Bed 90"],
    )
    assert (ids("rhythm=AFIB"), ids("rhythm=AFIB&alarm=high"), ids("search=bed 8&alarm=low")) == (
        ["Bed 80"],
        [],
        ["Bed 80"],
    )
    (one,) = bench.client.get("/api/patients?rhythm=AFIB").json()["patients"]
    assert one == {"id": "Bed 80", "name": "", "bed": "", "rhythm": "AFIB", "alarm": "low"}
    for bad in ("alarm=loud", "rhythm=X", "order=size"):
        answer = bench.client.get(f"/api/patients?{bad}")
        assert (answer.status_code, bad.split("=")[1] in answer.json()["problem"]) == (400, True)


async def test_a_page_that_does_not_keep_up_is_cut_off_and_the_others_are_not() -> None:
    clock = ManualClock(NOW)
    hub = Hub(Board(clock), HandFeed(), clock)
    slow, quick = Page(), Page()
    for page in (slow, quick):
        hub.join(page)
        hub.watch(page, ["a"])
    for k in range(OUTBOX + 10):
        hub.deliver([Arrival(chunk("a", k), 0.0)])
        while not quick.outbox.empty():
            quick.outbox.get_nowait()
    assert (slow.too_slow.is_set(), quick.too_slow.is_set()) == (True, False)
    hub.leave(slow)
    hub.leave(quick)
    hub.deliver([Arrival(chunk("a", 0), 0.0)])


def test_watching_is_bounded_and_can_be_changed() -> None:
    clock = ManualClock(NOW)
    hub, page = Hub(Board(clock), HandFeed(), clock), Page()
    hub.join(page)
    many: Sequence[str] = [f"p{k}" for k in range(1000)]
    hub.watch(page, many)
    assert page.watched == set(many[:128])
    hub.watch(page, ["p5", "x", "x"])
    assert page.watched == {"p5", "x"}
