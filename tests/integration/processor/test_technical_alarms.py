"""Every technical alarm appears under fault injection, in time, and clears afterwards: simulated
patients through the whole data path.

Nothing runs in parallel here: the streams' own time drives the clock, so that "no chunk for 5 s"
takes no 5 s.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest

from ingest import fault_options, faults
from ingest.clock import ManualClock
from ingest.messages import Alarm, Event, SampleChunk
from ingest.replay import Due, stream
from ingest.simulator.scenario import load
from ingest.sources.simulated import SimulatedSource
from stream_processor.ward import build_ward

START_NS = 10**18
# (faults, kind, onset at least, raised at most, ended at most; seconds of the stream)
CASES = [
    ("lead-off:30-45", "lead_off", 28.0, 34.0, 48.0),
    ("disconnect:30-45", "no_signal", 28.0, 36.0, 46.0),
    ("disconnect:30-33", "gap", 28.0, 35.0, 46.0),
    ("crackling", "artefact", 28.0, 53.0, 75.0),
    ("battery:30-45", "battery", 28.0, 34.0, 48.0),
    ("device:30-45", "device", 28.0, 34.0, 48.0),
]


def crackling(from_s: float, to_s: float) -> faults.Fault:
    """An electrode that hangs by a thread: white noise of 2 mV, which no fault of the command line
    is as brief as."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        for item in items:
            chunk = item.message
            if isinstance(chunk, SampleChunk) and from_s <= item.due_s < to_s:
                counts = (chunk.counts() + rng.normal(0, 2 * chunk.counts_per_mv, chunk.n)).astype(
                    "<i2"
                )
                chunk = msgspec.structs.replace(chunk, samples=counts.tobytes())
            yield Due(item.due_s, chunk)

    return wrap


def run(fault: str, seconds: float = 110.0) -> list[Event]:
    clock = ManualClock()
    ward = build_ward(clock)
    source = SimulatedSource(load("normal"), seed=3, duration_s=seconds)
    items = stream(source, "p", start_ns=START_NS)
    if fault == "crackling":
        items = crackling(30.0, 60.0)(items, np.random.default_rng(1))
    else:
        items = faults.apply(
            [fault_options.parse(fault)], items, patient_id="p", seed=1, source=source, noises={}
        )
    found: list[Event] = []
    at_s = 0.0
    for item in items:
        while at_s + 0.5 <= item.due_s:
            at_s += 0.5
            clock.advance(0.5)
            found += ward.on_clock()
        if isinstance(item.message, SampleChunk):
            found += ward.push([item.message])
    return found


@pytest.mark.parametrize(
    ("fault", "kind", "onset", "raised", "ended"), CASES, ids=[c[1] for c in CASES]
)
def test_appears_and_clears(
    fault: str, kind: str, onset: float, raised: float, ended: float
) -> None:
    steps = [e for e in run(fault) if isinstance(e, Alarm) and e.kind == kind]
    first, last = steps[0], steps[-1]
    assert onset * 1e9 <= first.onset_ns - START_NS
    assert first.raised_ns - START_NS <= raised * 1e9
    assert first.announced
    assert last.end_ns is not None
    assert last.end_ns - START_NS <= ended * 1e9
    assert not last.standing
