"""The monitor's application in this process, its feed and its clock in the test's hands, and events
to fill a store with."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dashboards.monitor.http.access import Access, Token
from dashboards.monitor.http.server import create_app
from dashboards.monitor.live.feed import Arrival, Deliver, Followed
from dashboards.monitor.live.frames import decode_frame
from ingest.clock import ManualClock
from ingest.messages import (
    Action,
    Alarm,
    Beat,
    Edit,
    Finding,
    Rhythm,
    SampleChunk,
    Strip,
    Vitals,
    Waveform,
    sample_offset_ns,
)
from ingest.packing import pack
from stream_processor.notifications.push_store import PushStore
from stream_processor.pipeline.alarms.profiles import Profiles
from stream_processor.sinks.base import Sink
from stream_processor.sinks.memory import MemorySink
from stream_processor.sinks.sqlite import SqliteSink
from tests.unit.ingest.registry_ward import Ward

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would rather have httpx2, which is not httpx
    from starlette.testclient import TestClient, WebSocketTestSession

S = 10**9
NOW = 1_700_000_000 * S
URL = "http://127.0.0.1:8050"
LIVE = "ws://127.0.0.1:8050/live"
ORIGIN = {"origin": URL, "host": "127.0.0.1:8050"}
FS = 250.0


class HandFeed:
    """A feed whose messages the test hands over."""

    def __init__(self) -> None:
        self.connected = True
        self.deliver: Deliver = lambda arrivals: None

    async def run(self, deliver: Deliver) -> None:
        self.deliver = deliver
        await asyncio.Event().wait()


class Bench:
    """The running application and the hands on it."""

    def __init__(
        self, client: TestClient, feed: HandFeed, clock: ManualClock, sent: list[Action | Edit]
    ) -> None:
        self.client, self.feed, self.clock, self.sent = client, feed, clock, sent

    def send(self, *messages: Followed) -> None:
        assert self.client.portal
        self.client.portal.call(
            self.feed.deliver, [Arrival(message, self.clock.steady_s()) for message in messages]
        )

    @contextmanager
    def page(self, *patients: str, **headers: str) -> Iterator[WebSocketTestSession]:
        with self.client.websocket_connect(LIVE, headers=ORIGIN | headers) as socket:
            assert socket.receive_json() == {"type": "hello", "protocol": 1, "commands": []}
            socket.send_json({"watch": list(patients)})
            yield socket

    def get(self, path: str, **query: Any) -> Any:
        """What a patient "p" is asked for."""
        return self.client.get(
            f"/api/patients/p/{path}",
            params={name.rstrip("_"): value for name, value in query.items()},
        )

    def post(self, path: str, **body: Any) -> Any:
        return self.client.post(f"/api/patients/p/{path}", json=body)


@contextmanager
def running(
    open_sink: Callable[[], Sink] = MemorySink,
    send: Callable[[Action | Edit], None] | None = None,
    tokens: Mapping[str, Token] | None = None,
    profiles: Profiles | None = None,
    admitted: bool = False,
    push: PushStore | None = None,
) -> Iterator[Bench]:
    """The application; with `admitted`, somebody whom no test streams is on the ward."""
    feed, clock, sent = HandFeed(), ManualClock(NOW), list[Action | Edit]()
    people = Ward()
    people.add("h10-9")
    if admitted:
        people.admit("somebody", name="Some B.", bed="99", device_id="h10-9")
    app = create_app(
        feed,
        open_sink,
        clock,
        send=send or sent.append,
        profiles=profiles or Profiles.load(None),
        access=Access(tokens or {}, clock),
        registry=lambda: people.registry,
        push=push,
    )
    with TestClient(app, base_url=URL) as client:
        yield Bench(client, feed, clock, sent)


@contextmanager
def storing(folder: Path, *events: Any, **options: Any) -> Iterator[Bench]:
    """The application on an SQLite file with these events."""
    path = folder / "events.db"
    sink = SqliteSink(path)
    for event in events:
        sink.add(event)
    sink.flush()
    sink.close()
    with running(lambda: SqliteSink(path), **options) as bench:
        yield bench


def next_of(socket: WebSocketTestSession, kind: str) -> Any:
    """The next message of a type, other kinds passed over; "frame" for samples."""
    while True:
        raw = socket.receive()
        if raw.get("bytes") is not None:
            if kind == "frame":
                return decode_frame(raw["bytes"])
            continue
        assert raw["type"] == "websocket.send", raw
        message = json.loads(raw["text"])
        if message["type"] == kind:
            return message


_BASE = {"patient_id": "p", "device_id": "d", "lead": "II"}


def chunk(patient: str, k: int = 0, **fields: Any) -> SampleChunk:
    base = {
        "patient_id": patient,
        "device_id": "d",
        "lead": "II",
        "seq": k,
        "first_sample": k * 125,
        "t0_ns": NOW + k * S // 2,
    }
    made = {"fs_hz": FS, "counts_per_mv": 200.0, "samples": np.arange(125, dtype="<i2").tobytes()}
    return SampleChunk(**(base | made | fields))


def vitals(at_s: float, hr: float | None = 70.0, **fields: Any) -> Vitals:
    return Vitals(
        **(
            _BASE
            | {
                "time_ns": NOW + round(at_s * S),
                "hr_bpm": hr,
                "sdnn_ms": 40.0,
                "rmssd_ms": 30.0,
                "quality": 1.0,
            }
            | fields
        )
    )


def beat(at_s: float, rr_ms: float | None = 800.0, label: str = "N", **fields: Any) -> Beat:
    made = {
        "fs_hz": FS,
        "time_ns": NOW + round(at_s * S),
        "sample": round(at_s * FS),
        "rr_ms": rr_ms,
        "label": label,
    }
    return Beat(**(_BASE | made | {"confidence": 0.99, "label_probability": 0.9} | fields))


def rhythm(start_s: float, end_s: float, label: str = "N") -> Rhythm:
    span = {
        "start_ns": NOW + round(start_s * S),
        "end_ns": NOW + round(end_s * S),
        "start_sample": 0,
        "end_sample": 0,
    }
    return Rhythm(**(_BASE | span), fs_hz=FS, label=label, probability=0.97)


def alarm(onset_s: float = 0.0, kind: str = "pause", **fields: Any) -> Alarm:
    onset = NOW + round(onset_s * S)
    times = {
        "onset_ns": onset,
        "raised_ns": onset + S,
        "changed_ns": onset + S,
        "onset_sample": 0,
        "raised_sample": 0,
    }
    made = {
        "fs_hz": FS,
        "id": f"p:{kind}:{onset}",
        "kind": kind,
        "priority": "medium",
        "step": "onset",
        "text": kind.upper(),
    }
    return Alarm(**(_BASE | times | made | fields))


def finding(
    start_s: float, end_s: float, label: str = "AFL", task: str = "flutter", **fields: Any
) -> Finding:
    span = {
        "start_ns": NOW + round(start_s * S),
        "time_ns": NOW + round(end_s * S),
        "start_sample": 0,
        "sample": 0,
    }
    made = {"fs_hz": FS, "task": task, "label": label, "probability": 0.9, "model": "2"}
    return Finding(**(_BASE | span | made | fields))


def waveform(
    start_s: float, samples: np.ndarray, fs_hz: float = FS, counts_per_mv: float = 200.0
) -> Waveform:
    first = round(start_s * fs_hz)
    return Waveform(
        **_BASE,
        fs_hz=fs_hz,
        counts_per_mv=counts_per_mv,
        start_ns=NOW + sample_offset_ns(first, fs_hz),
        start_sample=first,
        n=samples.size,
        packed=pack(samples.astype(np.int16)),
    )


def strip(of: Alarm, samples: np.ndarray) -> Strip:
    return Strip(
        **_BASE,
        fs_hz=FS,
        counts_per_mv=200.0,
        alarm_id=of.id,
        kind=of.kind,
        onset_ns=of.onset_ns,
        start_ns=of.onset_ns - 10 * S,
        start_sample=0,
        n=samples.size,
        packed=pack(samples.astype(np.int16)),
    )


def action(what: str, at_s: float = 0.0, **fields: Any) -> Action:
    made = {
        "patient_id": "p",
        "time_ns": NOW + round(at_s * S),
        "id": f"{what}{at_s}",
        "by": "Anna",
        "action": what,
    }
    return Action(**(made | fields))


def edit(of: Beat, verdict: str = "confirmed", at_s: float = 0.0, **fields: Any) -> Edit:
    made = {
        "patient_id": of.patient_id,
        "time_ns": NOW + round(at_s * S),
        "id": f"e{at_s}",
        "by": "Anna",
        "target": "beat",
    }
    return Edit(
        **(
            made
            | {
                "target_id": str(of.time_ns),
                "at_ns": of.time_ns,
                "said": of.label,
                "verdict": verdict,
            }
            | fields
        )
    )


def ms(at_s: float) -> float:
    """A moment as the API writes it."""
    return NOW / 1e6 + at_s * 1000
