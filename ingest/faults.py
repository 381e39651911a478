"""Faults injected into a patient's stream, to test how the pipeline handles them.

A fault wraps the iterator of due messages of ONE patient; faults compose in the order given. The
same seed, patient and faults give the same stream. Only sample chunks are changed: reference
annotations always arrive, at their true times, and so does the end of a stream (as an empty chunk if
its last samples are lost).
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import msgspec
import numpy as np

from ingest.fault_options import FaultSpec
from ingest.messages import SampleChunk
from ingest.noise import RecordedNoise
from ingest.replay import Due, end_after
from ingest.sources.base import Source

Fault = Callable[[Iterator[Due], np.random.Generator], Iterator[Due]]


def apply(
    specs: Sequence[FaultSpec],
    items: Iterator[Due],
    *,
    patient_id: str,
    seed: int,
    source: Source,
    noises: dict[str, Source],
) -> Iterator[Due]:
    """Wrap a patient's stream in faults.

    Args:
        specs: the faults, applied in this order.
        items: the stream, in order of due time.
        patient_id: with `seed`, it fixes the random choices.
        seed: of the run.
        source: what the stream plays; noise is scaled to its signal.
        noises: opened noise records by name.
    """
    for index, spec in enumerate(specs):
        rng = np.random.default_rng([seed, zlib.crc32(patient_id.encode()), index])
        items = _fault(spec, source, noises)(items, rng)
    return items


def _fault(spec: FaultSpec, source: Source, noises: dict[str, Source]) -> Fault:
    values = spec.numbers
    if spec.name == "noise":
        return noise(RecordedNoise(source, noises[spec.record], snr_db=values[0]))
    faults: dict[str, Callable[..., Fault]] = {
        "drop": drop,
        "duplicate": duplicate,
        "reorder": reorder,
        "delay": delay,
        "drift": drift,
        "lead-off": lead_off,
        "disconnect": disconnect,
        "battery": battery,
        "device": device,
    }
    return faults[spec.name](*values)


def drop(p: float) -> Fault:
    """Lose each chunk with probability p."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        for item in items:
            if isinstance(item.message, SampleChunk) and rng.random() < p:
                yield from _end_of(item)
            else:
                yield item

    return wrap


def duplicate(p: float) -> Fault:
    """Send each chunk but the last twice with probability p."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        for item in items:
            yield item
            if isinstance(item.message, SampleChunk) and rng.random() < p and not item.message.end:
                yield item

    return wrap


def reorder(p: float) -> Fault:
    """Deliver each chunk after the following one with probability p; the last chunk stays last."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        held: Due | None = None
        for item in items:
            if not isinstance(item.message, SampleChunk):
                yield item
            elif held is not None:
                pair = (held, item) if item.message.end else (item, held)
                yield from (Due(item.due_s, one.message) for one in pair)
                held = None
            elif rng.random() < p and not item.message.end:
                held = item
            else:
                yield item
        if held is not None:
            yield held

    return wrap


def delay(seconds: float, p: float = 1.0) -> Fault:
    """Deliver each chunk `seconds` late with probability p, so that later ones may overtake it; the
    last chunk stays last."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        late: list[tuple[float, int, Due]] = []
        order = count()
        for item in items:
            if isinstance(item.message, SampleChunk):
                late_s = seconds if rng.random() < p else 0.0
                due_s = max([item.due_s + late_s, *(d for d, _, _ in late if item.message.end)])
                heapq.heappush(late, (due_s, next(order), Due(due_s, item.message)))
            else:
                heapq.heappush(late, (item.due_s, next(order), item))
            while late and late[0][0] <= item.due_s:
                yield heapq.heappop(late)[2]
        yield from (heapq.heappop(late)[2] for _ in range(len(late)))

    return wrap


def drift(ppm: float) -> Fault:
    """Let the device's clock run fast by `ppm` parts per million: times drift, samples and their
    count do not."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        for item in items:
            chunk = item.message
            if isinstance(chunk, SampleChunk):
                elapsed_ns = chunk.t0_ns - chunk.start_ns
                chunk = msgspec.structs.replace(
                    chunk, t0_ns=chunk.t0_ns + round(elapsed_ns * ppm / 1e6)
                )
            yield Due(item.due_s, chunk)

    return wrap


def lead_off(from_s: float, to_s: float) -> Fault:
    """Hold the signal at its last value between these seconds of the stream, and flag every chunk
    that touches them as lead-off."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        held = 0
        for item in items:
            chunk = item.message
            if isinstance(chunk, SampleChunk) and _touches(chunk, from_s, to_s):
                counts = chunk.counts().copy()
                a, b = (
                    min(max(round(s * chunk.fs_hz) - chunk.first_sample, 0), chunk.n)
                    for s in (from_s, to_s)
                )
                counts[a:b] = counts[a - 1] if a else held
                chunk = msgspec.structs.replace(chunk, samples=counts.tobytes(), lead_off=True)
            if isinstance(chunk, SampleChunk) and chunk.n:
                held = int(chunk.counts()[-1])
            yield Due(item.due_s, chunk)

    return wrap


def disconnect(from_s: float, to_s: float) -> Fault:
    """Lose the chunks that touch these seconds of the stream."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        for item in items:
            if isinstance(item.message, SampleChunk) and _touches(item.message, from_s, to_s):
                yield from _end_of(item)
            else:
                yield item

    return wrap


def battery(from_s: float, to_s: float) -> Fault:
    """Report a battery at 3 % in every chunk that touches these seconds of the stream, at 80 % in
    the others."""
    return _reporting(from_s, to_s, {"battery": 0.03}, {"battery": 0.8})


def device(from_s: float, to_s: float) -> Fault:
    """Report a fault of the device in every chunk that touches these seconds of the stream."""
    return _reporting(from_s, to_s, {"fault": "self-test failed"}, {})


def _reporting(
    from_s: float, to_s: float, within: dict[str, Any], without: dict[str, Any]
) -> Fault:
    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        for item in items:
            chunk = item.message
            if isinstance(chunk, SampleChunk):
                chunk = msgspec.structs.replace(
                    chunk, **(within if _touches(chunk, from_s, to_s) else without)
                )
            yield Due(item.due_s, chunk)

    return wrap


def noise(added: RecordedNoise) -> Fault:
    """Add noise to every chunk, from a place in the noise record that depends on seed and patient;
    clipped to int16."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        shift = int(rng.integers(added.n))
        for item in items:
            chunk = item.message
            if isinstance(chunk, SampleChunk):
                noisy = chunk.counts() + added.counts(shift + chunk.first_sample, chunk.n)
                samples = np.clip(np.rint(noisy), -(2**15), 2**15 - 1).astype("<i2").tobytes()
                chunk = msgspec.structs.replace(chunk, samples=samples)
            yield Due(item.due_s, chunk)

    return wrap


def _touches(chunk: SampleChunk, from_s: float, to_s: float) -> bool:
    return chunk.first_sample < round(to_s * chunk.fs_hz) and chunk.first_sample + chunk.n > round(
        from_s * chunk.fs_hz
    )


def _end_of(item: Due) -> Iterator[Due]:
    """Keep the end of the stream, as an empty chunk, if the lost item was the last."""
    if isinstance(item.message, SampleChunk) and item.message.end:
        yield Due(item.due_s, end_after(item.message))
