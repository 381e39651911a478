"""A ward without models, and a sink without a disk: what the tests of the processor around the ward
need."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import cast

from ingest.clock import SystemClock
from ingest.messages import Action, AlarmKind, Beat, Event, Orders, SampleChunk
from models.serving.runtime import Model
from stream_processor.sinks.base import Sink, SinkBusyError
from stream_processor.sinks.refusals import RefusedEvent
from stream_processor.worker.archive import Archive
from stream_processor.worker.counters import Counters
from stream_processor.worker.operator_actions import Placed
from tests.made_chunks import made_chunk

FS_HZ = 250.0
CHUNK = 50


def chunk(patient: str, number: int, *, end: bool = False, start_ns: int = 10**18) -> SampleChunk:
    """The patient's chunk of this number: 0.2 s."""
    return made_chunk(
        patient,
        number * CHUNK,
        bytes(2 * CHUNK),
        start_ns,
        FS_HZ,
        device_id="fake",
        seq=number,
        end=end,
    )


class FakeWard:
    """One beat per chunk, its RR the number of beats before it: who loses or repeats a chunk of a
    history gets other beats."""

    def __init__(self) -> None:
        self.state: dict[str, tuple[int, int]] = {}  # next first_sample, beats so far
        self.duplicates = 0
        self.clock_calls = 0
        self.acted: list[tuple[int, str]] = []
        self.expected: dict[int, int] = {}
        self.technical: list[tuple[str, AlarmKind, str]] = []

    def push(self, chunks: Sequence[SampleChunk]) -> list[Event]:
        return [beat for c in chunks if (beat := self._beat(c)) is not None]

    def _beat(self, c: SampleChunk) -> Beat | None:
        following, beats = self.state.get(c.patient_id, (0, 0))
        if c.first_sample < following:
            self.duplicates += 1
            return None
        self.state[c.patient_id] = (c.first_sample + c.n, beats + 1)
        if c.end:
            del self.state[c.patient_id]
        return Beat(
            patient_id=c.patient_id,
            device_id=c.device_id,
            lead=c.lead,
            time_ns=c.t0_ns,
            sample=c.first_sample,
            fs_hz=c.fs_hz,
            rr_ms=float(beats),
            label="N",
            confidence=1.0,
            label_probability=1.0,
        )

    def on_clock(self) -> list[Event]:
        self.clock_calls += 1
        return []

    def act(self, actions: Sequence[tuple[int, int, Action]]) -> list[Event]:
        self.acted += [(place, action.patient_id) for _, place, action in actions]
        return []

    def orders(self) -> dict[str, Orders | None]:
        return {}

    def resume(self, orders: Orders) -> list[Event]:
        return []

    def expect_actions(self, ends: Mapping[int, int]) -> None:
        self.expected = dict(ends)

    def raise_technical(
        self, patient_id: str, kind: AlarmKind, at_ns: int | None, detail: str
    ) -> list[Event]:
        self.technical.append((patient_id, kind, detail))
        return []

    def use(self, model: Model) -> None:
        pass

    def patients(self) -> list[str]:
        return list(self.state)

    def snapshot(self, patient_id: str) -> bytes:
        return json.dumps(self.state[patient_id]).encode()

    def restore(self, patient_id: str, state: bytes) -> None:
        following, beats = json.loads(state)
        self.state[patient_id] = (following, beats)

    def close(self, patient_id: str) -> None:
        del self.state[patient_id]


class FakeActions:
    """A topic of actions in memory."""

    def __init__(self) -> None:
        self.waiting: list[Placed] = []
        self.assigned: set[int] = set()
        self.committed: dict[int, int] = {}
        self.end = 7
        self.away = False  # the broker does not answer

    def assign(self, partitions: Iterable[int]) -> dict[int, int]:
        if self.away:
            raise ConnectionError
        self.assigned = set(partitions)
        return dict.fromkeys(self.assigned, self.end)

    def take(self) -> list[Placed]:
        found, self.waiting = self.waiting, []
        return found

    def commit(self, offsets: Mapping[int, int]) -> None:
        self.committed |= offsets


class FakeSink:
    """Keeps events by identity, refuses while `busy`, and counts what it was given twice with
    another content."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, int], Beat] = {}
        self.waiting: list[Event] = []
        self.busy = False
        self.changed = 0

    def add(self, event: Event) -> None:
        self.waiting.append(event)

    def flush(self) -> None:
        if self.busy:
            raise SinkBusyError("told to be busy")
        for event in self.waiting:
            assert isinstance(event, Beat)
            before = self.stored.setdefault((event.patient_id, event.time_ns), event)
            self.changed += before != event
        self.waiting.clear()

    @property
    def pending(self) -> int:
        return len(self.waiting)

    def take_refused(self) -> list[RefusedEvent]:
        return []

    def close(self) -> None:
        """It is kept for whoever opens it again."""


@asynccontextmanager
async def archiving(
    address: str, sink: FakeSink | Sink, counters: Counters | None = None
) -> AsyncIterator[Archive]:
    """Stores what comes while the block runs."""
    archive = Archive(address, lambda: cast(Sink, sink), SystemClock(), counters)
    archive.start(broken=lambda: None)
    try:
        yield archive
    finally:
        await asyncio.to_thread(archive.stop)  # others' event loop must not wait
        assert archive.error is None


def expected(patients: Sequence[str], chunks: int) -> set[tuple[str, int, float]]:
    """What an undisturbed run stores for `chunks` chunks of each patient."""
    return {(p, chunk(p, i).t0_ns, float(i)) for p in patients for i in range(chunks)}


def stored(sink: FakeSink) -> set[tuple[str, int, float | None]]:
    """The same of what was stored."""
    return {(b.patient_id, b.time_ns, b.rr_ms) for b in sink.stored.values()}
