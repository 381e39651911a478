"""Checks of a stream's chunks, before any of them is sent to Kafka."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.bounds import jump_problem
from ingest.messages import sample_offset_ns
from ingest.registry.state import Binding
from ingest.server.refusals import IngestRefusedError
from ingest.server.stream import Done, IngestStream
from ingest.wire import STREAM_SLACK_NS, Chunk

# How much older a sample may be than the moment when the device was given to the person,
EARLY_NS = 5 * 10**9
AHEAD_NS = 60 * 10**9  # and how much newer than now.
BEGIN_NEW = "Begin a new stream: a new UUID, first_sample 0, with what was taken since."


def check_owner(stream: IngestStream, bound: Binding) -> None:
    """Raise RefusedError 409 for a stream of another device or an earlier wearer."""
    if stream.device_id != bound.device.device_id:
        raise IngestRefusedError(
            409,
            f"stream {stream.id} is another device's",
            "Make a UUID of your own for each stream.",
        )
    if (stream.patient_id, stream.stay_ns) != (bound.person.patient_id, bound.person.admitted_ns):
        raise IngestRefusedError(
            409, f"stream {stream.id} is over: {stream.over or 'the wearer has changed'}", BEGIN_NEW
        )


def check_first(stream_id: str, bound: Binding, first: Chunk) -> None:
    """Raise RefusedError for a chunk that cannot be a stream's first, or that may be of an earlier
    wearer."""
    device, person = bound
    if first.first_sample != 0:
        raise IngestRefusedError(
            422,
            f"stream {stream_id} is not known here, and does not begin with first_sample 0",
            "Begin a new stream: a new UUID, first_sample 0.",
            field="first_sample",
        )
    if first.t0_ns < device.bound_ns - EARLY_NS:
        raise IngestRefusedError(
            409,
            f"these samples were taken {(device.bound_ns - first.t0_ns) / 1e9:.0f} s before {person.patient_id!r} got"
            f" device {device.device_id!r}: they may be somebody else's, or the device's clock is wrong",
            BEGIN_NEW,
            field="t0_ns",
        )


def check_chunks(stream: IngestStream, chunks: Sequence[Chunk], now_ns: int) -> list[Done | None]:
    """Return, for each chunk, the future to wait for if it is a repeat, else None. Raises
    RefusedError."""
    found: list[Done | None] = []
    ahead = stream.next_sample
    for number, chunk in enumerate(chunks):
        _check_one(stream, number, chunk, now_ns, ahead)
        known = stream.recent.get(chunk.key)
        if known is not None and known[0] != chunk.digest():
            raise IngestRefusedError(
                409,
                f"chunk {number}: other samples came before as sample {chunk.first_sample}, {chunk.n} long",
                "Samples are never changed; a restarted device begins a new stream.",
                field="samples",
            )
        found.append(None if known is None else known[1])
        ahead = max(ahead, chunk.first_sample + chunk.n)
    if any(chunk.end for chunk in chunks[:-1]):
        raise IngestRefusedError(422, "a chunk follows the one that ends the stream", field="end")
    return found


def _check_one(stream: IngestStream, number: int, chunk: Chunk, now_ns: int, ahead: int) -> None:
    kept = ("lead", "fs_hz", "counts_per_mv")
    changed = next((name for name in kept if getattr(chunk, name) != getattr(stream, name)), "")
    if changed:
        raise IngestRefusedError(
            422,
            f"chunk {number}: {changed} is {getattr(chunk, changed)}, the stream's is {getattr(stream, changed)}",
            "Begin a new stream.",
            field=changed,
        )
    offset_ns = chunk.t0_ns - stream.start_ns - sample_offset_ns(chunk.first_sample, chunk.fs_hz)
    if abs(offset_ns) > STREAM_SLACK_NS:
        raise IngestRefusedError(
            422,
            f"chunk {number}: t0_ns is {offset_ns / 1e9:+.1f} s off the time that first_sample and fs_hz give",
            "Resample to fs_hz by disciplined time, or begin a new stream.",
            field="t0_ns",
        )
    if chunk.t0_ns > now_ns + AHEAD_NS:
        raise IngestRefusedError(
            422,
            f"chunk {number}: t0_ns is {(chunk.t0_ns - now_ns) / 1e9:.0f} s ahead of the server's clock",
            "Set the clock of the device or its gateway.",
            field="t0_ns",
        )
    if stream.sure and (jump := jump_problem(ahead, chunk.bound("p", "d", 0))):
        raise IngestRefusedError(
            422, f"chunk {number}: {jump}", "Begin a new stream.", field=jump.field
        )
