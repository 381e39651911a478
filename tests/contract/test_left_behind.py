"""What patients leave behind in a worker's memory once their streams have ended: nothing that grows
with their number."""

from __future__ import annotations

import gc
import tracemalloc
from typing import cast

import msgspec
import pytest

from ingest.clock import ManualClock
from ingest.messages import Action, encode
from models.serving import runtime
from stream_processor.kafka.event_producer import EventProducer, Letter
from stream_processor.pipeline.stages.admission import admission
from stream_processor.pipeline.ward import Ward
from stream_processor.worker.counters import Counters
from stream_processor.worker.guarded_ward import GuardedWard
from stream_processor.worker.ledger import Ledger
from stream_processor.worker.operator_actions import Placed
from stream_processor.worker.stall_guard import StallGuard
from tests.fakes import FakeActions
from tests.fuzz_processor import _chunk, _Producer, _signal

PER_SLICE = 50
MOST = 40  # bytes per patient: 0.8 MB per 20,000; a dictionary's entry alone is more


@pytest.mark.slow
def test_who_has_gone_leaves_nothing_that_grows(monkeypatch) -> None:
    monkeypatch.setattr(admission, "ENDED", 100)
    clock, model, actions = ManualClock(10**18), runtime.load(), FakeActions()
    ledger = Ledger()
    guarded = GuardedWard(
        lambda: Ward(model, clock),
        ledger,
        cast(EventProducer, _Producer()),
        actions,
        clock,
        Counters(),
        StallGuard(clock, 1e9),
    )
    ledger.pending.open([0])
    counts, offset = _signal("normal"), 0

    def come_and_go(first: int, count: int) -> None:
        nonlocal offset
        for start in range(first, first + count, PER_SLICE):
            names = [f"patient-{i}" for i in range(start, start + PER_SLICE)]
            for number in range(2):
                letters = []
                for name in names:
                    sent = msgspec.structs.replace(_chunk(name, counts, number), end=number == 1)
                    letters.append(Letter(offset, name.encode(), encode(sent)))
                    offset += 1
                actions.waiting = [
                    Placed(
                        0,
                        offset + i,
                        Action(patient_id=name, time_ns=1, id=name, by="Ada", action="acknowledge"),
                    )
                    for i, name in enumerate(names)
                ]
                ledger.pending.add(0, letters)
                clock.advance(1.0)
                patients, events, _ = guarded.slice(ledger.pending.take(10**6), True)
                ledger.note(patients | {e.patient_id for e in events})
            changed = ledger.changed.pop(0, set())
            guarded.snapshot([(name, 0) for name in changed])
        guarded.latencies.take()
        gc.collect()

    come_and_go(0, 300)
    tracemalloc.start()
    come_and_go(300, 700)  # tables grow, caches fill
    before, _ = tracemalloc.get_traced_memory()
    come_and_go(1000, 600)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / 600 < MOST
