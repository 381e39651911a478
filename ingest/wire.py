"""The wire format between gateways and the ingest server (docs/devices.md), for HTTP, WebSocket and
MQTT alike.

A body is an array of Chunk, as JSON (samples in base64) or as MessagePack (samples as bytes):

    HTTP       POST {CHUNKS_PATH}       Authorization: Bearer TOKEN    -> 202 Reply, or a Refusal
    WebSocket  {SOCKET_PATH}            subprotocols SUBPROTOCOL and "bearer.TOKEN"; each binary frame
                                        is a MessagePack body; the server pushes Reply, MessagePack
    MQTT 5     mqtt_topic(site, device, "samples"), QoS 1, content type set, user properties
               `stream` and `token`; the server publishes Reply, JSON, on ".../reply"

Every stream has a UUID made by the sender. It begins with first_sample 0; sample n was taken at
t0_ns of sample 0 plus n / fs_hz, within STREAM_SLACK_NS. Who restarts begins a stream with a new
UUID. A repeat of (stream, first_sample, number of samples) with the same bytes is acknowledged
again and counts once, so a sender repeats whatever it has not seen acknowledged. A strap without ECG
sends a stream of lead RR (ingest/messages/rr_channel.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from ingest.bounds import MAX_FAULT, FieldProblem, chunk_problems
from ingest.messages import BadMessageError, SampleChunk

CHUNKS_PATH = "/api/ingest/v1/streams/{stream}/chunks"
SOCKET_PATH = "/api/ingest/v1/streams/{stream}/socket"
EVENTS_PATH = "/api/ingest/v1/events"
DEVICE_PATH = "/api/ingest/v1/device"  # GET: what the server knows of the token's device
SUBPROTOCOL = "ecgwatch.v1"
TOKEN_PREFIX = "bearer."  # of the second subprotocol: browsers cannot set Authorization
JSON, MESSAGEPACK = "application/json", "application/msgpack"
MEDIA_TYPES = (JSON, MESSAGEPACK)
MAX_BODY = 1024 * 1024  # bytes of an HTTP body or an MQTT message: 413 beyond
MAX_FRAME = 256 * 1024  # bytes of a WebSocket frame: closed with 1009 beyond
MAX_CHUNKS = 240  # of a body
STREAM_SLACK_NS = 10**9
CLOSE_BASE = 4000  # a WebSocket that is refused closes with this plus the HTTP status

EventKind = Literal["symptom", "note"]


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run of consecutive samples of one lead, at most 60 s; see SampleChunk for the units.

    A chunk with `end` closes the stream and may be empty.
    """

    first_sample: int
    t0_ns: int
    fs_hz: float
    counts_per_mv: float
    samples: bytes  # int16, little-endian
    lead: str = "ECG"
    lead_off: bool = False
    battery: float | None = None
    fault: str = ""
    end: bool = False

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.samples) // 2

    @property
    def key(self) -> tuple[int, int]:
        """The key by which a repeat within a stream is recognised: (first_sample, number of
        samples)."""
        return self.first_sample, self.n

    def digest(self) -> bytes:
        """8 bytes that tell whether a repeat of the key has the same samples."""
        return hashlib.blake2b(self.samples, digest_size=8).digest()

    def bound(self, patient_id: str, device_id: str, seq: int, fault: str = "") -> SampleChunk:
        """The chunk as the processor reads it; `fault` is what the server adds to the device's."""
        return SampleChunk(
            patient_id=patient_id,
            device_id=device_id,
            lead=self.lead,
            seq=seq,
            first_sample=self.first_sample,
            t0_ns=self.t0_ns,
            fs_hz=self.fs_hz,
            counts_per_mv=self.counts_per_mv,
            samples=self.samples,
            lead_off=self.lead_off,
            battery=self.battery,
            fault="; ".join(part for part in (self.fault, fault) if part)[:MAX_FAULT],
            end=self.end,
        )


class WearerEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event of the wearer: the symptom button, or a note. POST {EVENTS_PATH}, MQTT ".../event".

    `id` is made by the sender; a repeat of it counts once.
    """

    id: str
    time_ns: int
    kind: EventKind = "symptom"
    text: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a device is there; MQTT ".../status", retained, offline as last will."""

    online: bool
    battery: float | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The server's reply: the body of 202, a push on the WebSocket, a message on ".../reply".

    By WebSocket and MQTT a refusal comes as `status` and `problem`. 429 means: held, not lost; send
    nothing more until next_sample comes, or repeat after retry_after_s on a new connection.
    """

    next_sample: int | None = None  # Kafka has every sample before this one that was sent
    wants: Literal["", "battery"] = ""
    released: str = ""  # why this stream is over: discharge, another device, revoked token
    status: int = 0
    problem: str = ""
    remedy: str = ""
    field: str = ""
    retry_after_s: float | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of every HTTP refusal: what is wrong, what to do, which field (422)."""

    problem: str
    remedy: str = ""
    field: str = ""


class WireError(ValueError):
    """A body that the server would refuse: HTTP status, field, and what is wrong."""

    def __init__(self, status: int, problem: str, field: str = "") -> None:
        super().__init__(problem)
        self.status, self.problem, self.field = status, problem, field


_json_chunks = msgspec.json.Decoder(list[Chunk])
_msgpack_chunks = msgspec.msgpack.Decoder(list[Chunk])


def encode_chunks(chunks: Sequence[Chunk], media: str = MESSAGEPACK) -> bytes:
    """The body of the chunks, in the given media type."""
    return msgspec.json.encode(chunks) if media == JSON else msgspec.msgpack.encode(chunks)


def decode_chunks(body: bytes, media: str = MESSAGEPACK) -> list[Chunk]:
    """The chunks of a body, each checked by itself. Raises WireError: 413, 415 or 422 with the
    field."""
    if len(body) > MAX_BODY:
        raise WireError(413, f"the body is longer than {MAX_BODY} bytes")
    if media not in MEDIA_TYPES:
        raise WireError(415, f"the media type is {media[:40]!r}, not {JSON} or {MESSAGEPACK}")
    try:
        chunks = (_json_chunks if media == JSON else _msgpack_chunks).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(422, str(error), _field_of(str(error))) from error
    if not 0 < len(chunks) <= MAX_CHUNKS:
        raise WireError(422, f"{len(chunks)} chunks; send 1 to {MAX_CHUNKS}")
    for number, chunk in enumerate(chunks):
        check(chunk, number)
    return chunks


def check(chunk: Chunk, number: int = 0) -> None:
    """Raise WireError 422 for a chunk that no stage could use, naming the first wrong field."""
    problems = chunk_problems(chunk.bound("p", "d", 0))
    if len(chunk.fault) > MAX_FAULT:  # `bound` has cut it
        problems.append(FieldProblem("fault", f"is longer than {MAX_FAULT}"))
    if not 0 < len(chunk.lead) <= 32:
        problems.append(FieldProblem("lead", "is empty or longer than 32"))
    if problems:
        raise WireError(422, f"chunk {number}: {problems[0]}", problems[0].field)


def decode_reply(data: bytes, media: str = MESSAGEPACK) -> Reply:
    """Decode a server's reply. Raises BadMessageError."""
    try:
        decoder = msgspec.json.decode if media == JSON else msgspec.msgpack.decode
        return decoder(data, type=Reply)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessageError(f"not a Reply: {error}") from error


def mqtt_topic(site: str, device: str, what: Literal["samples", "status", "event", "reply"]) -> str:
    """The MQTT topic of a device. Raises ValueError for a name that MQTT reads otherwise."""
    for name in (site, device):
        if not name or any(mark in name for mark in "/+#\0"):
            raise ValueError(f"{name!r} is empty or holds / + or #")
    return f"ecgwatch/v1/{site}/{device}/{what}"


def _field_of(problem: str) -> str:
    """The field in msgspec's message: "Expected `int`, got `str` - at `$[...].t0_ns`"."""
    path = problem.rpartition("`$")[2].rstrip("`") if "`$" in problem else ""
    if "missing required field" in problem:
        return problem.partition("required field `")[2].partition("`")[0]
    return path.rpartition(".")[2] if "." in path else ""
