"""The way from a gateway to the ingest server, as the sender sees it: by HTTP or by WebSocket."""

from __future__ import annotations

from typing import Protocol

import msgspec

from ingest.gateway.spool import ChunkBatch
from ingest.wire import Refusal

ACCEPTED = 202


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The server's answer to a batch: an HTTP status and its details, for every kind of uplink."""

    status: int = 0  # 0: nothing that can be read came; `refusal` says why
    next_sample: int | None = None  # with 202: Kafka has every sample before it
    refusal: Refusal = Refusal(problem="")
    retry_after_s: float = 1.0  # with 429


class KnownStream(msgspec.Struct, frozen=True):
    """A device's newest stream, as the server knows it."""

    id: str
    over: str = ""


class KnownDevice(msgspec.Struct, frozen=True):
    """The server's knowledge of this device."""

    worn_by: dict[str, str] | None
    since_ns: int | None
    stream: KnownStream | None
    now_ns: int


class Uplink(Protocol):
    """Carries the chunks of one device. It repeats nothing: that is the sender's."""

    async def send(self, batch: ChunkBatch) -> Answer:
        """Send a batch, and wait for what the server says of the whole of it."""
        ...

    async def ask(self) -> KnownDevice | None:
        """Ask what the server knows of the device; None if it does not say."""
        ...

    async def close(self) -> None:
        """Close the uplink."""
        ...


def unanswered(problem: str) -> Answer:
    """No answer, and why."""
    return Answer(refusal=Refusal(problem=problem))
