"""Messages to bytes and back."""

from __future__ import annotations

from typing import Any, TypeVar, get_args

import msgspec

from ingest.bounds import (
    FieldProblem,
    action_problems,
    chunk_problems,
    edit_problems,
    reference_problems,
    sentence,
)
from ingest.messages.events import Alarm, Beat, Finding, Rhythm, Strip, Vitals, Waveform
from ingest.messages.kinds import SCHEMA
from ingest.messages.people import Action, Delivery, Edit, JournalEntry, Orders
from ingest.messages.scores import Score
from ingest.messages.signal import Reference, SampleChunk

Event = Beat | Rhythm | Vitals | Alarm | Strip | Waveform | Finding  # messages that the ward makes
Stored = Event | Action | Delivery | Score | Edit | JournalEntry
Message = SampleChunk | Reference | Stored | Orders
M = TypeVar("M", bound=Message)

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in get_args(Message)
}


class BadMessageError(ValueError):
    """Bytes on a topic that are no valid message; the text says why. They go to the dead-letter
    topic and never stop the processor."""


def encode(message: Message) -> bytes:
    """Encode any message as MessagePack bytes."""
    return _encoder.encode(message)


def decode(data: bytes, kind: type[M]) -> M:
    """Decode a message of the given kind, within the bounds of ingest/bounds.py. Raises
    BadMessageError with the reason."""
    try:
        message: M = _decoders[kind].decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
        raise BadMessageError(f"not a {kind.__name__}: {error}") from error
    if message.schema != SCHEMA:
        raise BadMessageError(
            f"{kind.__name__} has schema version {message.schema}; this version reads {SCHEMA}"
        )
    problems: list[FieldProblem] = []
    if isinstance(message, SampleChunk):
        problems = chunk_problems(message)
    elif isinstance(message, Reference):
        problems = reference_problems(message)
    elif isinstance(message, Action):
        problems = action_problems(message)
    elif isinstance(message, Edit):
        problems = edit_problems(message)
    if problems:
        raise BadMessageError(f"{kind.__name__}: {sentence(problems)}")
    return message
