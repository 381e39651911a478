"""Whose chunks become a patient's stream: one sender's, whoever else sends; nothing of a stream that
takes over is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import pytest

from ingest.messages import SampleChunk, sample_offset_ns
from stream_processor.pipeline.stages.admission.admission import ENDED, Admission
from stream_processor.pipeline.stages.admission.runs import Run

START_NS = 1_767_225_600 * 10**9
S, HOUR_NS = 10**9, 3600 * 10**9
FS = 250.0
N = 125  # samples of a chunk


def sent(
    count: int,
    *,
    number: int = 0,
    device: str = "A",
    lead: str = "II",
    fs: float = FS,
    start_ns: int = START_NS,
    gain: float = 1000.0,
    seed: int = 1,
    patient: str = "P",
) -> list[SampleChunk]:
    """So many chunks of half a second from this one on; `seed` names the signal."""
    x = np.random.default_rng(seed).integers(-500, 500, (number + count) * N).astype("<i2")
    return [
        SampleChunk(
            patient_id=patient,
            device_id=device,
            lead=lead,
            seq=k,
            first_sample=k * N,
            t0_ns=start_ns + sample_offset_ns(k * N, fs),
            fs_hz=fs,
            counts_per_mv=gain,
            samples=x[k * N : (k + 1) * N].tobytes(),
        )
        for k in range(number, number + count)
    ]


def in_turn(*streams: Sequence[SampleChunk]) -> list[SampleChunk]:
    return [chunk for together in zip(*streams, strict=True) for chunk in together]


def admitted(chunks: Iterable[SampleChunk], admission: Admission | None = None) -> list[Run]:
    admission = admission or Admission()
    return [run for chunk in chunks for runs in admission.push([chunk]) for run in runs]


def streams(runs: list[Run]) -> list[tuple[str, int, int]]:
    """Of each stream: who sends, the first sample, and how many samples."""
    found: list[tuple[str, int, int]] = []
    for run in runs:
        if run.opens:
            found.append((f"{run.opens.device_id} {run.opens.lead}", run.first_sample, 0))
        who, first, count = found[-1]
        found[-1] = who, first, count + len(run.counts())
    return found


WHOLE = 60 * N
A = sent(60)


def test_one_stream_is_admitted_whole() -> None:
    assert streams(admitted(A)) == [("A II", 0, WHOLE)]


@pytest.mark.parametrize(
    "rest",
    [
        sent(60, seed=2, start_ns=START_NS + 40 * S),
        sent(60, seed=2, start_ns=START_NS - HOUR_NS),  # the clock of the factory
        sent(60, seed=2),
        sent(60, seed=2, start_ns=START_NS + 9 * 10**8),
        sent(60, start_ns=START_NS + HOUR_NS),
    ],
    ids=["later", "earlier", "same start", "0.9 s later", "same samples, later"],
)
def test_a_restart_at_sample_0_is_a_new_stream_at_once(rest: list[SampleChunk]) -> None:
    runs = admitted([*A, *rest])
    assert streams(runs) == [("A II", 0, WHOLE), ("A II", 0, WHOLE)]
    assert [run.restarted for run in runs if run.opens] == [False, True]


def test_a_restart_whose_first_chunk_was_lost_is_noticed() -> None:
    runs = admitted([*A, *sent(59, number=1, seed=2, start_ns=START_NS + HOUR_NS)])
    assert streams(runs) == [("A II", 0, WHOLE), ("A II", N, WHOLE - N)]


def test_a_stream_sent_again_from_its_start_is_a_restart_once_it_has_lasted() -> None:
    again = sent(200)
    assert streams(admitted([*again, *again])) == [("A II", 0, 200 * N)] * 2
    runs = admitted([*again, *again[:50], *sent(10, number=200)])  # some of it: repeats
    assert streams(runs) == [("A II", 0, 210 * N)]


@pytest.mark.parametrize(
    "rest",
    [
        sent(60, number=60, start_ns=START_NS - HOUR_NS),  # the clock steps, the samples go on
        sent(60, number=60),
    ],
)
def test_samples_that_go_on_are_the_same_stream(rest: list[SampleChunk]) -> None:
    assert streams(admitted([*A, *rest])) == [("A II", 0, 2 * WHOLE)]


@pytest.mark.parametrize(
    ("rest", "who"),
    [
        (sent(60, number=60, lead="V5"), "A V5"),
        (sent(60, number=60, device="B"), "B II"),
        (sent(60, number=60, fs=125.0), "A II"),
    ],
)
def test_another_sender_that_takes_over_loses_nothing(rest: list[SampleChunk], who: str) -> None:
    assert streams(admitted([*A, *rest])) == [("A II", 0, WHOLE), (who, WHOLE, WHOLE)]


def test_another_gain_is_a_new_stream_at_once() -> None:
    runs = admitted([*A, *sent(1, number=60, gain=200.0)])
    assert streams(runs) == [("A II", 0, WHOLE), ("A II", WHOLE, N)]


@pytest.mark.parametrize(
    "other", [sent(60, device="B", seed=2), sent(60, lead="V5"), sent(60, fs=500.0)]
)
@pytest.mark.parametrize("burst", [1, 4])
def test_of_two_senders_one_holds_the_stream_and_the_other_is_named(
    other: list[SampleChunk], burst: int
) -> None:
    admission = Admission()
    both = [c for i in range(0, 60, burst) for stream in (A, other) for c in stream[i : i + burst]]
    runs = admitted(both, admission)
    assert streams(runs) == [("A II", 0, WHOLE)]
    assert {run.refused for run in runs[1:]} - {""}
    assert admission.counters.refused >= 60 - burst


def test_who_waited_takes_over_when_the_holder_ends() -> None:
    b = sent(60, device="B")
    ended = [*A[:19], msgspec.structs.replace(A[19], end=True)]
    runs = admitted([*in_turn(ended, b[:20]), *b[20:]])
    (_, _, held), (who, _, rest) = streams(runs)
    assert (held, who) == (20 * N, "B II")
    assert rest >= 40 * N


def test_a_chunk_far_ahead_ends_nothing_and_a_stream_far_ahead_is_a_new_one() -> None:
    ahead = sent(10, number=60 + 24 * 3600 * 2)
    admission = Admission()
    runs = admitted([*A, ahead[0], *sent(10, number=60)], admission)
    assert streams(runs) == [("A II", 0, WHOLE + 10 * N)]
    assert admission.counters.refused == 1
    (_, first, count) = streams(admitted([*A, *ahead]))[1]
    assert (first, count) == (ahead[0].first_sample, 10 * N)


def test_nothing_but_a_first_chunk_opens_a_stream_that_has_ended() -> None:
    ended = [*A[:-1], msgspec.structs.replace(A[-1], end=True)]
    admission = Admission()
    assert streams(admitted([*ended, A[-1], A[30]], admission)) == [("A II", 0, WHOLE)]
    assert admission.counters.duplicates == 2
    runs = admitted([*ended, *sent(2, number=60)])
    assert streams(runs) == [("A II", 0, WHOLE), ("A II", WHOLE, 2 * N)]


def test_what_ended_streams_leave_behind_is_bounded() -> None:
    admission = Admission()
    for i in range(3 * ENDED):
        one = sent(1, patient=f"p{i}")[0]
        admission.push([msgspec.structs.replace(one, end=True)])
    assert len(admission._ended) == ENDED
    assert not admission._held
