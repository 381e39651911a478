"""What a ward tells must not depend on how the chunks were pushed, whatever is among them: ends, gaps,
restarts, new streams, other senders, repeats, chunks far ahead; one by one, all at once, or in
slices."""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise

import msgspec
import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ingest.clock import ManualClock
from ingest.messages import Event, SampleChunk, decode, encode, sample_offset_ns
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from models.serving import runtime
from stream_processor.pipeline.ward import Ward
from stream_processor.sinks.base import identity

START_NS = 1_700_000_000 * 10**9
S = 10**9
FS = 250.0
model = functools.cache(runtime.load)


@functools.cache
def signal(scenario: str) -> np.ndarray:
    return np.concatenate([b.counts for b in simulate(load(scenario), duration_s=40)])


class Sender:
    """Sends a simulated signal in chunks, as a device does: sample numbers go on until it begins
    anew."""

    def __init__(self, patient: str, scenario: str) -> None:
        self.patient, self.signal = patient, signal(scenario)
        self.device, self.lead, self.start_ns, self.gain = "d", "II", START_NS, 200.0
        self.at = self.first = 0

    def chunk(self, n: int, **fields: object) -> SampleChunk:
        """The next n samples."""
        taken = np.take(self.signal, range(self.at, self.at + n), mode="wrap")
        made = SampleChunk(
            patient_id=self.patient,
            device_id=self.device,
            lead=self.lead,
            seq=0,
            first_sample=self.first,
            t0_ns=self.start_ns + sample_offset_ns(self.first, FS),
            fs_hz=FS,
            counts_per_mv=self.gain,
            samples=taken.astype("<i2").tobytes(),
        )
        self.at, self.first = self.at + n, self.first + n
        return msgspec.structs.replace(made, **fields)

    def begin(self, later_s: float) -> None:
        """Sample 0 again."""
        self.start_ns += round(later_s * S) + sample_offset_ns(self.first, FS)
        self.first = 0


def ends(s: Sender, n: int) -> list[SampleChunk]:
    return [s.chunk(n, end=True)]


def ends_then_goes_on(s: Sender, n: int) -> list[SampleChunk]:
    return [s.chunk(n, end=True), s.chunk(n)]


def ends_then_goes_on_after_a_gap(s: Sender, n: int) -> list[SampleChunk]:
    return [s.chunk(n, end=True), *loses(s, n), s.chunk(n)]


def ends_twice(s: Sender, n: int) -> list[SampleChunk]:
    last = s.chunk(n, end=True)
    return [last, last]


def ends_and_begins(s: Sender, n: int) -> list[SampleChunk]:
    last = s.chunk(n, end=True)
    s.begin(5.0)
    return [last, s.chunk(n)]


def loses(s: Sender, n: int) -> list[SampleChunk]:
    s.chunk(3 * n)
    return []


def restarts(s: Sender, n: int) -> list[SampleChunk]:
    s.begin(2.0)
    return [s.chunk(n)]


def restarts_with_the_same_start(s: Sender, n: int) -> list[SampleChunk]:
    s.first = 0
    return [s.chunk(n)]


def another_lead(s: Sender, n: int) -> list[SampleChunk]:
    s.lead = "V5" if s.lead == "II" else "II"
    return [s.chunk(n), s.chunk(n), s.chunk(n), s.chunk(n)]


def another_gain(s: Sender, n: int) -> list[SampleChunk]:
    s.gain = 400.0 if s.gain == 200.0 else 200.0
    return [s.chunk(n)]


def two_devices(s: Sender, n: int) -> list[SampleChunk]:
    found = []
    for _ in range(4):
        one = s.chunk(n)
        found += [one, msgspec.structs.replace(one, device_id="other")]
    return found


def repeats(s: Sender, n: int) -> list[SampleChunk]:
    one, two = s.chunk(n), s.chunk(n)
    return [one, two, one, two]


def swaps(s: Sender, n: int) -> list[SampleChunk]:
    one, two = s.chunk(n), s.chunk(n)
    return [two, one]


def far_ahead(s: Sender, n: int) -> list[SampleChunk]:
    one = s.chunk(n)
    first = one.first_sample + int(30 * 86400 * FS)
    t0_ns = s.start_ns + sample_offset_ns(first, FS)
    return [one, msgspec.structs.replace(one, first_sample=first, t0_ns=t0_ns)]


def lead_off(s: Sender, n: int) -> list[SampleChunk]:
    return [s.chunk(n, lead_off=True, battery=0.05)]


def goes_on(s: Sender, n: int) -> list[SampleChunk]:
    return [s.chunk(n)]


KINDS: list[Callable[[Sender, int], list[SampleChunk]]] = [
    ends,
    ends_then_goes_on,
    ends_then_goes_on_after_a_gap,
    ends_twice,
    ends_and_begins,
    loses,
    restarts,
    restarts_with_the_same_start,
    another_lead,
    another_gain,
    two_devices,
    repeats,
    swaps,
    far_ahead,
    lead_off,
    goes_on,
    goes_on,
    goes_on,
]


@st.composite
def batches(draw: st.DrawFn) -> list[SampleChunk]:
    """Chunks of two or three patients, in the order in which they come."""
    queues = []
    for patient, scenario in zip("abc", ("vt", "asystole", "normal"), strict=True):
        sender = Sender(patient, scenario)
        plan = draw(
            st.lists(
                st.tuples(st.sampled_from(KINDS), st.sampled_from((31, 125, 250, 700))),
                min_size=1,
                max_size=9,
            )
        )
        queues.append([c for what, n in plan for c in what(sender, n)])
    order = draw(st.permutations([i for i, q in enumerate(queues) for _ in q]))
    taken = [iter(q) for q in queues]
    return [decode(encode(next(taken[i])), SampleChunk) for i in order]


def told(pushes: list[list[SampleChunk]]) -> dict[tuple[object, ...], list[Event]]:
    """Everything that was told, by identity, in order; and what is still pending at the end."""
    ward = Ward(model(), ManualClock())
    events = [event for push in pushes for event in ward.push(push)]
    for patient in list(ward._row):
        events += ward.flush(patient)
    found: dict[tuple[object, ...], list[Event]] = {}
    for event in events:
        found.setdefault((type(event).__name__, *identity(event)), []).append(event)
    return found


# no shrinking: it takes minutes
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(sent=batches(), cuts=st.lists(st.integers(1, 60), max_size=4))
def test_any_cut_of_any_batch_tells_the_same(sent: list[SampleChunk], cuts: list[int]) -> None:
    wanted = told([[chunk] for chunk in sent])
    assert told([sent]) == wanted
    edges = [0, *sorted({cut for cut in cuts if cut < len(sent)}), len(sent)]
    assert told([sent[a:b] for a, b in pairwise(edges)]) == wanted
