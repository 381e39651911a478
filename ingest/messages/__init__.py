"""Every message that passes between processes, and the codec (MessagePack by msgspec).

Every message is a frozen Struct that starts with `schema`, a major version: a reader refuses a
version it does not know (the stream processor then puts the message on the dead-letter topic), and
ignores fields it does not know, so that minor additions are safe. Times are integer nanoseconds
since the Unix epoch and always derive from (start of the stream, sample index), never from the wall
clock: processing the same input again gives the same messages.
"""

from __future__ import annotations

from ingest.messages.codec import BadMessageError, Event, Message, Stored, decode, encode
from ingest.messages.events import Alarm, Beat, Finding, Rhythm, Strip, Vitals, Waveform
from ingest.messages.kinds import (
    SCHEMA,
    AlarmKind,
    BeatLabel,
    Noise,
    Priority,
    RhythmLabel,
    sample_offset_ns,
)
from ingest.messages.people import (
    Acknowledgement,
    Action,
    Delivery,
    Edit,
    JournalEntry,
    JournalKind,
    LimitChange,
    Orders,
    Switch,
    Verdict,
)
from ingest.messages.scores import Score
from ingest.messages.signal import Reference, SampleChunk

__all__ = [
    "SCHEMA",
    "Acknowledgement",
    "Action",
    "Alarm",
    "AlarmKind",
    "BadMessageError",
    "Beat",
    "BeatLabel",
    "Delivery",
    "Edit",
    "Event",
    "Finding",
    "JournalEntry",
    "JournalKind",
    "LimitChange",
    "Message",
    "Noise",
    "Orders",
    "Priority",
    "Reference",
    "Rhythm",
    "RhythmLabel",
    "SampleChunk",
    "Score",
    "Stored",
    "Strip",
    "Switch",
    "Verdict",
    "Vitals",
    "Waveform",
    "decode",
    "encode",
    "sample_offset_ns",
]
