"""Chunks as they come, to runs of consecutive samples: gaps found, duplicates and late chunks
dropped and counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.messages import SampleChunk

# a device clock may drift by this much before a chunk with first_sample 0 counts as a new stream
SAME_STREAM_NS = 10**9


class Stream(msgspec.Struct):
    """Who sends, and the timeline: sample n of the stream was at start_ns + n / fs."""

    patient_id: str
    device_id: str
    lead: str
    fs_hz: float
    counts_per_mv: float
    start_ns: int
    next_sample: int  # one past the last sample admitted


@dataclass
class Run:
    """Consecutive new samples of one patient, and what happened just before and after them."""

    patient_id: str
    opens: Stream | None = None  # a stream starts here
    missing: int = 0  # samples lost just before this run
    first_sample: int = 0
    lead_off: bool = False
    ends: bool = False  # the stream ends after this run
    battery: float | None = None
    fault: str = ""
    parts: list[npt.NDArray[np.int16]] = field(default_factory=list)

    def counts(self) -> npt.NDArray[np.int16]:
        """All samples of the run."""
        return (
            self.parts[0]
            if len(self.parts) == 1
            else np.concatenate(self.parts or [np.zeros(0, np.int16)])
        )


@dataclass
class Counters:
    """What was admitted and what was not, since the start."""

    chunks: int = 0
    samples: int = 0
    duplicates: int = 0  # chunks, or parts of chunks, seen before
    gaps: int = 0
    missing: int = 0  # samples
    streams: int = 0


class Admission:
    """Decides, chunk by chunk, what is new.

    A stream starts with first_sample 0 at a new start time, or where the sender's properties
    change.
    """

    def __init__(self) -> None:
        self.streams: dict[str, Stream] = {}
        self.counters = Counters()

    def push(self, chunks: Sequence[SampleChunk]) -> list[list[Run]]:
        """Rounds of runs, in order; within a round each patient appears once."""
        rounds: list[list[Run]] = []
        last: dict[str, tuple[int, Run]] = {}  # round and run of each patient's newest run
        for chunk in chunks:
            run = self._admit(chunk)
            if run is None:
                continue
            place, open_run = last.get(chunk.patient_id, (-1, None))
            if open_run is not None and _continues(open_run, run):
                open_run.parts += run.parts
                open_run.ends = run.ends
                continue
            place += 1
            if place == len(rounds):
                rounds.append([])
            rounds[place].append(run)
            last[chunk.patient_id] = place, run
        return rounds

    def forget(self, patient_id: str) -> None:
        """The patient's stream has been closed."""
        self.streams.pop(patient_id, None)

    def _admit(self, chunk: SampleChunk) -> Run | None:
        stream, opens = self.streams.get(chunk.patient_id), None
        if stream is None or _is_new(stream, chunk):
            stream = opens = _stream(chunk)
            self.streams[chunk.patient_id] = stream
            self.counters.streams += 1
        counts, first = chunk.counts(), chunk.first_sample
        seen = stream.next_sample - first
        if seen >= len(counts) and not (chunk.end and seen == len(counts)):
            self.counters.duplicates += 1
            return None
        if seen > 0:
            counts, first = counts[seen:], stream.next_sample
            self.counters.duplicates += 1
        missing = max(0, -seen)
        self.counters.gaps += missing > 0
        self.counters.missing += missing
        self.counters.chunks += 1
        self.counters.samples += len(counts)
        stream.next_sample = first + len(counts)
        return Run(
            chunk.patient_id,
            opens,
            missing,
            first,
            chunk.lead_off,
            chunk.end,
            chunk.battery,
            chunk.fault,
            [counts],
        )


def _continues(before: Run, run: Run) -> bool:
    said_before, says = (
        (before.lead_off, before.battery, before.fault),
        (run.lead_off, run.battery, run.fault),
    )
    return not (before.ends or run.opens or run.missing) and said_before == says


def _is_new(stream: Stream, chunk: SampleChunk) -> bool:
    same_sender = (stream.device_id, stream.lead, stream.fs_hz, stream.counts_per_mv) == (
        chunk.device_id,
        chunk.lead,
        chunk.fs_hz,
        chunk.counts_per_mv,
    )
    return not same_sender or (
        chunk.first_sample == 0 and abs(chunk.start_ns - stream.start_ns) > SAME_STREAM_NS
    )


def _stream(chunk: SampleChunk) -> Stream:
    return Stream(
        chunk.patient_id,
        chunk.device_id,
        chunk.lead,
        chunk.fs_hz,
        chunk.counts_per_mv,
        chunk.start_ns,
        next_sample=chunk.first_sample,
    )
