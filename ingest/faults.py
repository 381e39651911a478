"""Faults put into a patient's stream, to see what the pipeline makes of them.

A fault wraps the iterator of due messages of ONE patient; faults compose in the order given. The
same seed, patient and faults give the same stream. Only samples are touched: reference annotations
always arrive, at their true times, and so does the end of a stream (as an empty chunk where its
last samples are lost).
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ingest.errors import BadInputError
from ingest.messages import SampleChunk
from ingest.noise import Noise
from ingest.replay import Due, end_after
from ingest.sources.base import Source

Fault = Callable[[Iterator[Due], np.random.Generator], Iterator[Due]]

FORMS = {
    "drop": "drop:P - each chunk is lost with probability P",
    "duplicate": "duplicate:P - each chunk is sent twice with probability P",
    "reorder": "reorder:P - each chunk arrives after the next one with probability P",
    "delay": "delay:SECONDS[:P] - each chunk arrives SECONDS late with probability P (default 1)",
    "drift": "drift:PPM - the device's clock runs fast by PPM parts per million",
    "lead-off": "lead-off:FROM-TO - flat and flagged between these seconds of the stream",
    "disconnect": "disconnect:FROM-TO - chunks that touch these seconds of the stream are lost",
    "battery": "battery:FROM-TO - the device reports an all but empty battery between these seconds",
    "device": "device:FROM-TO - the device reports a fault between these seconds",
    "noise": "noise:RECORD:SNR - noise of a record (nstdb/em) at SNR dB",
}


SPANS = ("lead-off", "disconnect", "battery", "device")


class Spec(NamedTuple):
    """A fault as the user wrote it, parsed."""

    name: str
    numbers: tuple[float, ...]
    record: str = ""


def parse(text: str) -> Spec:
    """A fault from its option text. Raises BadInputError naming the fault and its form."""
    name, _, rest = text.partition(":")
    if name not in FORMS:
        raise BadInputError(
            f"--fault {text}: there is no fault {name!r}",
            "Faults are:\n  " + "\n  ".join(FORMS.values()),
        )
    try:
        spec = _parse_numbers(name, rest)
    except ValueError as error:
        raise BadInputError(f"--fault {text}: {error}", f"Write {FORMS[name]}.") from error
    return spec


def apply(
    specs: Sequence[Spec],
    items: Iterator[Due],
    *,
    patient_id: str,
    seed: int,
    source: Source,
    noises: dict[str, Source],
) -> Iterator[Due]:
    """The patient's stream with the faults in it. `noises` are the opened noise records by name;
    `source` is what the stream plays."""
    for index, spec in enumerate(specs):
        rng = np.random.default_rng([seed, zlib.crc32(patient_id.encode()), index])
        items = _fault(spec, source, noises)(items, rng)
    return items


def _parse_numbers(name: str, rest: str) -> Spec:
    if name == "noise":
        record, _, snr = rest.rpartition(":")
        if not record:
            raise ValueError("needs a record and a signal-to-noise ratio")
        return Spec(name, (_number(snr),), record)
    if name in SPANS:
        begin, _, end = rest.partition("-")
        span = (_number(begin), _number(end))
        if not 0 <= span[0] < span[1]:
            raise ValueError("its span must rise")
        return Spec(name, span)
    numbers = tuple(_number(n) for n in rest.split(":"))
    if len(numbers) > (2 if name == "delay" else 1):
        raise ValueError("has too many values")
    probabilities = {"delay": numbers[1:], "drift": ()}.get(name, numbers)
    if any(not 0 <= p <= 1 for p in probabilities):
        raise ValueError("a probability lies between 0 and 1")
    if name == "delay" and numbers[0] < 0:
        raise ValueError("a delay is not negative")
    return Spec(name, numbers)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    if not np.isfinite(value):
        raise ValueError(f"{text!r} is not a number")
    return value


def _fault(spec: Spec, source: Source, noises: dict[str, Source]) -> Fault:
    values = spec.numbers
    if spec.name == "noise":
        return noise(Noise(source, noises[spec.record], snr_db=values[0]))
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
    """Each chunk is lost with probability p."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        for item in items:
            if isinstance(item.message, SampleChunk) and rng.random() < p:
                yield from _end_of(item)
            else:
                yield item

    return wrap


def duplicate(p: float) -> Fault:
    """Each chunk but the last is sent twice with probability p."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        for item in items:
            yield item
            if isinstance(item.message, SampleChunk) and rng.random() < p and not item.message.end:
                yield item

    return wrap


def reorder(p: float) -> Fault:
    """Each chunk arrives after the following one with probability p; the last chunk stays last."""

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
    """Each chunk arrives `seconds` late with probability p, behind those that overtake it; the last
    chunk stays last."""

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
    """The device's clock runs fast by ppm: its times depart from the truth, its samples and their
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
    """Between these seconds of the stream the signal stays at its last value; every chunk that
    touches them is flagged."""

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
    """Chunks that touch these seconds of the stream are lost."""

    def wrap(items: Iterator[Due], rng: np.random.Generator) -> Iterator[Due]:
        for item in items:
            if isinstance(item.message, SampleChunk) and _touches(item.message, from_s, to_s):
                yield from _end_of(item)
            else:
                yield item

    return wrap


def battery(from_s: float, to_s: float) -> Fault:
    """Every chunk that touches these seconds of the stream says that the battery is at 3 %, the
    others that it is at 80 %."""
    return _reporting(from_s, to_s, {"battery": 0.03}, {"battery": 0.8})


def device(from_s: float, to_s: float) -> Fault:
    """Every chunk that touches these seconds of the stream reports a fault of the device."""
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


def noise(added: Noise) -> Fault:
    """The noise is added to every chunk, from a place in the noise record that depends on seed and
    patient; clipped to int16."""

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
    """What stays of a lost item: the end of its stream, if it was that."""
    if isinstance(item.message, SampleChunk) and item.message.end:
        yield Due(item.due_s, end_after(item.message))
