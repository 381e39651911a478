"""Chunks as they come, to runs of consecutive samples: gaps found, repeats and late chunks dropped
and counted, and one stream per patient whoever sends.

One sender (device, lead, rate) holds a patient's stream. What does not go on from it is a contender
(contenders.py): it takes the place of the stream once the holder has ended or has been silent while
the contender sent for some seconds; if the holder speaks first, the contender is refused. Nothing
of a contender that takes over is lost. All of this follows from the order of the patient's chunks
alone, never from how they were pushed or from a clock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import msgspec

from ingest.bounds import jump_problem
from ingest.messages import SampleChunk
from stream_processor.pipeline.stages.admission.contenders import Contender, Why, contend
from stream_processor.pipeline.stages.admission.runs import (
    AdmissionCounts,
    AdmissionState,
    Run,
    Stream,
    continues,
    name_of,
    sender_of,
)

# a device clock may drift by this much before a chunk with first_sample 0 counts as a new stream
SAME_STREAM_NS = 10**9
HEAD = 64  # samples of a stream's beginning that tell a repeat of its first chunk from a restart
QUICK_S = 3.0  # a contender sends so long before it takes over
CONTESTED_S = 10.0  # the same once two senders have been seen
# what looks like the stream sent again is a restart once it has gone on for so long
REPEAT_S = 30.0
ENDED = 1000  # patients whose last stream's end is remembered, against late chunks


class Admission:
    """Decides, chunk by chunk, what is new.

    A stream starts with a patient's first chunk, with first_sample 0 at a new start time or with
    other samples, if the gain changes, and if a contender takes over.
    """

    def __init__(self) -> None:
        self.counters = AdmissionCounts()
        self._held: dict[str, AdmissionState] = {}
        self._ended: OrderedDict[str, Stream] = OrderedDict()

    def push(self, chunks: Sequence[SampleChunk]) -> list[list[Run]]:
        """Rounds of runs, in order; within a round each patient appears once."""
        rounds: list[list[Run]] = []
        last: dict[str, tuple[int, Run]] = {}  # round and run of each patient's newest run
        for run in (run for chunk in chunks for run in self._admit(chunk)):
            place, open_run = last.get(run.patient_id, (-1, None))
            if open_run is not None and continues(open_run, run):
                open_run.parts += run.parts
                open_run.ends = run.ends
                continue
            place += 1
            if place == len(rounds):
                rounds.append([])
            rounds[place].append(run)
            last[run.patient_id] = place, run
        return rounds

    def forget(self, patient_id: str) -> None:
        """Forget a patient's stream that was closed by someone other than its sender."""
        self._held.pop(patient_id, None)

    def snapshot(self, patient_id: str) -> AdmissionState:
        """All that is remembered of a patient with an open stream. Not to be changed."""
        return self._held[patient_id]

    def restore(self, patient_id: str, state: AdmissionState) -> None:
        """Remember what `snapshot` returned."""
        self._held[patient_id] = state

    def _admit(self, chunk: SampleChunk) -> Iterator[Run]:
        held = self._held.get(chunk.patient_id)
        if held is None:
            if self._is_late_for_ended(chunk):
                self.counters.duplicates += 1
            else:
                yield from self._begin(chunk)
        elif (why := _why_not_next(held, chunk)) is None:
            yield from self._go_on(held, chunk)
        elif why == "new":
            yield from self._begin(chunk, before=held)
        else:
            if why in ("repeat", "moved"):
                self.counters.duplicates += 1
            # a chunk that begins otherwise than the stream it seems to repeat decides at once
            needed_s = 0.0 if _begins_otherwise(held, chunk) else _needed_s(held, why)
            won = contend(held.contenders, chunk, why, needed_s)
            if won is not None:
                held.contested = held.contested or won.why == "rival"
                yield from self._take_over(won, before=held)

    def _begin(self, chunk: SampleChunk, before: AdmissionState | None = None) -> Iterator[Run]:
        """Begin a new stream with this chunk."""
        stream = Stream(
            patient_id=chunk.patient_id,
            device_id=chunk.device_id,
            lead=chunk.lead,
            fs_hz=chunk.fs_hz,
            counts_per_mv=chunk.counts_per_mv,
            start_ns=chunk.start_ns,
            next_sample=chunk.first_sample,
        )
        held = AdmissionState(stream, stream.start_ns, b"" if chunk.first_sample == 0 else None)
        restarted = False
        if before is not None:
            held.contested = before.contested
            sent_s = before.stream.next_sample / before.stream.fs_hz
            goes_back = chunk.first_sample / chunk.fs_hz < sent_s
            restarted = goes_back and before.stream.device_id == stream.device_id
        self._held[chunk.patient_id] = held
        self.counters.streams += 1
        opens = msgspec.structs.replace(stream)  # before it goes on
        runs = self._go_on(held, chunk)
        run = next(runs)
        run.opens, run.restarted = opens, restarted
        yield run
        yield from runs

    def _take_over(self, won: Contender, before: AdmissionState | None) -> Iterator[Run]:
        """Begin a stream of the contender's chunks."""
        first, *others = won.chunks
        yield from self._begin(first, before)
        for chunk in others:
            yield from self._admit(chunk)

    def _go_on(self, held: AdmissionState, chunk: SampleChunk) -> Iterator[Run]:
        """Return a chunk's new samples and, if it ends the stream, the waiting sender's."""
        stream, counts, first = held.stream, chunk.counts(), chunk.first_sample
        seen = stream.next_sample - first
        if seen > 0:
            counts, first = counts[seen:], stream.next_sample
            self.counters.duplicates += 1
        missing = max(0, -seen)
        self.counters.gaps += missing > 0
        self.counters.missing += missing
        self.counters.chunks += 1
        self.counters.samples += len(counts)
        stream.next_sample, held.start_ns = first + len(counts), chunk.start_ns
        if held.head is not None and len(held.head) < 2 * HEAD:
            held.head = held.head + counts[: HEAD - len(held.head) // 2].tobytes()
        waiting, held.contenders = held.contenders, []
        run = Run(
            patient_id=chunk.patient_id,
            missing=missing,
            first_sample=first,
            lead_off=chunk.lead_off,
            ends=chunk.end,
            battery=chunk.battery,
            fault=chunk.fault,
            parts=[counts],
        )
        if chunk.end:
            del self._held[chunk.patient_id]
            self._remember_end(stream)
            yield run
            rival = next((c for c in waiting if c.why == "rival"), None)
            if rival is not None:
                yield from self._take_over(rival, before=None)
            return
        for contender in waiting:
            if contender.why in ("rival", "ahead"):
                self.counters.refused += len(contender.chunks)
            if contender.why == "rival":
                held.contested, run.refused = True, name_of(contender.chunks[-1])
        yield run

    def _remember_end(self, stream: Stream) -> None:
        self._ended[stream.patient_id] = stream
        self._ended.move_to_end(stream.patient_id)
        if len(self._ended) > ENDED:
            self._ended.popitem(last=False)

    def _is_late_for_ended(self, chunk: SampleChunk) -> bool:
        """Whether a chunk belongs to an ended stream; `first_sample` 0 begins a new one."""
        ended = self._ended.get(chunk.patient_id)
        return (
            ended is not None
            and chunk.first_sample > 0
            and sender_of(ended) == sender_of(chunk)
            and abs(chunk.start_ns - ended.start_ns) <= SAME_STREAM_NS
            and chunk.first_sample + chunk.n <= ended.next_sample
        )


def _why_not_next(held: AdmissionState, chunk: SampleChunk) -> Why | None:
    """Return why a chunk does not continue the stream; None if it does."""
    stream = held.stream
    if sender_of(stream) != sender_of(chunk):
        return "rival"
    start_ns = chunk.start_ns
    moved = (
        abs(start_ns - held.start_ns) > SAME_STREAM_NS
        and abs(start_ns - stream.start_ns) > SAME_STREAM_NS
    )
    if chunk.first_sample == 0 and stream.next_sample and (moved or _begins_otherwise(held, chunk)):
        return "new"
    seen = stream.next_sample - chunk.first_sample
    if seen >= chunk.n and not (chunk.end and seen == chunk.n):
        return "moved" if moved else "repeat"
    if jump_problem(stream.next_sample, chunk) is not None:
        return "ahead"
    return "new" if stream.counts_per_mv != chunk.counts_per_mv else None


def _begins_otherwise(held: AdmissionState, chunk: SampleChunk) -> bool:
    """Whether a chunk of the same sender holds other samples at the beginning of the stream than
    the stream did."""
    if not held.head or sender_of(held.stream) != sender_of(chunk):
        return False
    known = held.head[2 * chunk.first_sample :]
    n = min(len(known), len(chunk.samples))
    return known[:n] != chunk.samples[:n]


def _needed_s(held: AdmissionState, why: Why) -> float:
    if why == "rival" and held.contested:
        return CONTESTED_S
    return REPEAT_S if why == "repeat" else QUICK_S
