"""Replay of a source as messages, each with the time at which it is due.

`stream` cuts a source into chunks on the grid of the stream's own samples; every item carries the
stream time, in seconds, at which a live device would have it. Only `play` reads a clock. It turns
stream time into wall time on an absolute schedule: an item is due at start + due_s / speed,
computed and never accumulated, so an hour of replay does not drift.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count, tee
from typing import NamedTuple

import msgspec
import numpy as np

from ingest.bounds import MAX_CHUNK_S, sentence, stream_problems
from ingest.clock import Clock
from ingest.errors import BadInputError
from ingest.messages import Reference, SampleChunk, sample_offset_ns
from ingest.sources.base import Annotation, Block, Source

CHUNK_S = 0.5


class Due(NamedTuple):
    """A message, and the stream time in seconds at which its last sample has been taken."""

    due_s: float
    message: SampleChunk | Reference


def stream(
    source: Source,
    patient_id: str,
    start_ns: int,
    *,
    from_s: float = 0.0,
    to_s: float | None = None,
    loop: bool = False,
    chunk_s: float = CHUNK_S,
) -> Iterator[Due]:
    """Yield a source between `from_s` and `to_s` (seconds of the record) as chunks of one patient,
    in order, with its annotations.

    The stream's sample 0 is the first one sent and has the time `start_ns`; with `loop` the stream
    goes on from the record's end to `from_s` without a gap in sample count, seq or time. Chunks end
    on multiples of `chunk_s` and when lead-off changes; the last one has `end` set. Raises
    BadInputError if there is no signal between `from_s` and `to_s`.
    """
    _check_span(source, from_s, to_s, chunk_s)
    held: Due | None = None  # the newest chunk, until it is known whether it is the last
    references: list[Due] = []
    for seq, (first, block) in enumerate(
        _cut(_passes(source, from_s, to_s, loop), chunk_s * source.fs_hz)
    ):
        if held is not None:
            yield held
            yield from references
        due_s = (first + len(block.counts)) / source.fs_hz
        held = Due(due_s, _chunk(source, patient_id, start_ns, seq, first, block))
        references = [
            Due(due_s, _reference(source, patient_id, start_ns, a)) for a in block.annotations
        ]
    if held is None:
        problem = f"{source.name}: there is no signal from {from_s:g} s" + (
            f" to {to_s:g} s" if to_s is not None else ""
        )
        raise BadInputError(
            problem, f"It is {source.duration_s or 0:g} s long: choose --from and --to within it."
        )
    yield Due(held.due_s, msgspec.structs.replace(held.message, end=True))
    yield from references


def check_stream(source: Source, patient_id: str, start_ns: int) -> None:
    """Check that the processor would accept the stream. Raises BadInputError otherwise."""
    problems = stream_problems(
        patient_id=patient_id,
        device_id=source.device_id,
        lead=source.lead,
        fs_hz=source.fs_hz,
        counts_per_mv=source.counts_per_mv,
        start_ns=start_ns,
    )
    if problems:
        problem = f"{source.name[:40]}: cannot be streamed: {sentence(problems)}"
        raise BadInputError(
            problem,
            "Choose the patient id with --patient, the start with --start-time, the lead with --channel.",
        )


def copy_ids(patient_id: str, n: int) -> list[str]:
    """Return patient_id-1 to patient_id-n, or patient_id itself if n is 1."""
    return [patient_id] if n == 1 else [f"{patient_id}-{i}" for i in range(1, n + 1)]


def copies(items: Iterator[Due], patient_id: str, n: int) -> dict[str, Iterator[Due]]:
    """Return the same stream for n patients, by patient id as in `copy_ids`."""
    if n == 1:
        return {patient_id: items}
    return {
        name: _renamed(copy, name)
        for name, copy in zip(copy_ids(patient_id, n), tee(items, n), strict=True)
    }


def merge(streams: Iterable[Iterator[Due]]) -> Iterator[Due]:
    """Merge streams by due time."""
    return heapq.merge(*streams, key=lambda item: item.due_s)


def play(
    items: Iterator[Due],
    send: Callable[[SampleChunk | Reference], None],
    clock: Clock,
    *,
    speed: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
    on_sent: Callable[[Due], None] = lambda item: None,
) -> None:
    """Send every item when it is due, `speed` times as fast as it was recorded (math.inf: without
    waiting). Late items are sent at once.

    On KeyboardInterrupt, streams that have not ended are closed with an empty last chunk, so that
    no "no signal" alarm follows.
    """
    start_s = clock.steady_s()
    open_streams: dict[str, SampleChunk] = {}
    try:
        for item in items:
            # a sleep may end early
            while (wait_s := start_s + item.due_s / speed - clock.steady_s()) > 0:
                sleep(wait_s)
            send(item.message)
            on_sent(item)
            _follow(open_streams, item.message)
    except KeyboardInterrupt:
        for chunk in open_streams.values():
            send(end_after(chunk))
        raise


def end_after(chunk: SampleChunk) -> SampleChunk:
    """Return an empty last chunk that follows the given one."""
    first = chunk.first_sample + chunk.n
    t0_ns = chunk.start_ns + sample_offset_ns(first, chunk.fs_hz)
    return msgspec.structs.replace(
        chunk, seq=chunk.seq + 1, first_sample=first, t0_ns=t0_ns, samples=b"", end=True
    )


def _check_span(source: Source, from_s: float, to_s: float | None, chunk_s: float) -> None:
    if from_s < 0 or (to_s is not None and to_s <= from_s):
        raise BadInputError(
            f"{source.name}: --from {from_s:g} --to {to_s or math.nan:g} is no span",
            "Give 0 <= from < to, in seconds.",
        )
    if not 1 <= chunk_s * source.fs_hz <= MAX_CHUNK_S * source.fs_hz:
        raise BadInputError(
            f"chunks of {chunk_s:g} s cannot be sent",
            f"Choose at least one sample and at most {MAX_CHUNK_S:g} s.",
        )


def _passes(source: Source, from_s: float, to_s: float | None, loop: bool) -> Iterator[Block]:
    """Yield the wanted part, repeatedly with `loop`; annotations count from the stream's first
    sample."""
    begin = round(from_s * source.fs_hz)
    sent = 0  # samples sent in earlier passes
    while True:
        n = 0
        for block in source.blocks(from_s):
            room = len(block.counts) if to_s is None else round(to_s * source.fs_hz) - begin - n
            if room <= 0:
                break
            shift = sent - begin
            notes = tuple(
                a._replace(sample=a.sample + shift)
                for a in block.annotations
                if a.sample - begin < n + room
            )
            yield Block(block.counts[:room], block.lead_off, notes)
            n += min(len(block.counts), room)
        sent += n
        if not loop or n == 0:
            return


def _cut(blocks: Iterator[Block], grid: float) -> Iterator[tuple[int, Block]]:
    """Yield (first sample, block); blocks end at round(k * grid) and when lead-off changes."""
    held: list[Block] = []
    first = at = 0
    ends = count(1)
    end = round(grid)
    for block in blocks:
        if held and held[0].lead_off != block.lead_off:
            yield first, _joined(held)
            held, first = [], at
        while len(block.counts):
            head, block = _split(block, end - at, at)
            held.append(head)
            at += len(head.counts)
            if at == end:
                yield first, _joined(held)
                held, first = [], at
                end = next(e for k in ends if (e := round((k + 1) * grid)) > at)
    if held:
        yield first, _joined(held)


def _split(block: Block, n: int, at: int) -> tuple[Block, Block]:
    """Split a block that begins at stream sample `at` after n samples."""
    before = tuple(a for a in block.annotations if a.sample < at + n)
    return Block(block.counts[:n], block.lead_off, before), Block(
        block.counts[n:], block.lead_off, block.annotations[len(before) :]
    )


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    return Block(
        np.concatenate([b.counts for b in blocks]),
        blocks[0].lead_off,
        tuple(a for b in blocks for a in b.annotations),
    )


def _chunk(
    source: Source, patient_id: str, start_ns: int, seq: int, first: int, block: Block
) -> SampleChunk:
    return SampleChunk(
        patient_id=patient_id,
        device_id=source.device_id,
        lead=source.lead,
        seq=seq,
        first_sample=first,
        t0_ns=start_ns + sample_offset_ns(first, source.fs_hz),
        fs_hz=source.fs_hz,
        counts_per_mv=source.counts_per_mv,
        samples=block.counts.astype("<i2", copy=False).tobytes(),
        lead_off=block.lead_off,
    )


def _reference(source: Source, patient_id: str, start_ns: int, note: Annotation) -> Reference:
    time_ns = start_ns + sample_offset_ns(note.sample, source.fs_hz)
    return Reference(
        patient_id=patient_id, time_ns=time_ns, sample=note.sample, symbol=note.symbol, aux=note.aux
    )


def _renamed(items: Iterator[Due], patient_id: str) -> Iterator[Due]:
    for item in items:
        yield Due(item.due_s, msgspec.structs.replace(item.message, patient_id=patient_id))


def _follow(open_streams: dict[str, SampleChunk], message: SampleChunk | Reference) -> None:
    """Remember the furthest chunk of every stream that has not ended."""
    if not isinstance(message, SampleChunk):
        return
    known = open_streams.get(message.patient_id)
    if message.end:
        open_streams.pop(message.patient_id, None)
    elif known is None or message.first_sample > known.first_sample:
        open_streams[message.patient_id] = message
