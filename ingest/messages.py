"""Everything that crosses a process, and its codec (MessagePack by msgspec).

Every message is a frozen Struct that starts with `schema`, a major version: a reader refuses a
version it does not know (the stream processor then puts the message on the dead-letter topic), and
ignores fields it does not know, so that minor additions are safe. Times are integer nanoseconds
since the Unix epoch and always derive from (start of the stream, sample index), never from the wall
clock: processing the same input again gives the same messages.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.bounds import (
    Problem,
    action_problems,
    chunk_problems,
    edit_problems,
    reference_problems,
    sentence,
)

SCHEMA = 1

BeatLabel = Literal["N", "S", "V", "F", "Q"]
RhythmLabel = Literal["N", "AFIB", "SVTA", "VT", "VFL", "VF", "ASYS", "B", "T", "P", "O", "~"]
Priority = Literal["high", "medium", "low"]
AlarmKind = Literal[
    "asystole",
    "ventricular_fibrillation",
    "ventricular_tachycardia",
    "extreme_tachycardia",
    "extreme_bradycardia",
    "nonsustained_vt",
    "ventricular_rhythm",
    "ventricular_bradycardia",
    "svt",
    "atrial_fibrillation",
    "pause",
    "missed_beat",
    "hr_high",
    "hr_low",
    "pvc_couplet",
    "bigeminy",
    "trigeminy",
    "r_on_t",
    "pvc_per_minute",
    "lead_off",
    "no_signal",
    "artefact",
    "gap",
    "battery",
    "device",
    "atrial_fibrillation_end",
    "two_senders",
    "restart",
    "input_refused",
    "state_lost",
    "store_away",
    "processor_down",
    "ventricular_rhythm_end",
]


class SampleChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A run of consecutive samples of one lead (0.2-1 s is usual). Topic ecg.samples, key =
    patient_id.

    A stream starts with a chunk whose `first_sample` is 0; the next chunk's `first_sample` is this
    one's plus its length, and its `seq` one more. A chunk with `end` set closes the stream: what is
    pending is flushed and no "no signal" alarm follows.
    """

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    seq: int
    first_sample: int  # index of the chunk's first sample since the start of the stream
    t0_ns: int  # time of the chunk's first sample
    fs_hz: float
    counts_per_mv: float
    samples: bytes  # int16, little-endian, zero-based (the source has subtracted its ADC zero)
    lead_off: bool = False  # the device says that an electrode is off
    battery: float | None = None  # 0-1, where the device tells
    fault: str = ""  # what else the device reports; "" for nothing
    end: bool = False

    def counts(self) -> npt.NDArray[np.int16]:
        """The samples, shape (n,), int16, read-only."""
        return np.frombuffer(self.samples, dtype="<i2")

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.samples) // 2

    @property
    def start_ns(self) -> int:
        """Time of the stream's sample 0, as this chunk tells it."""
        return self.t0_ns - sample_offset_ns(self.first_sample, self.fs_hz)


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """One reference annotation that came with a record, WFDB symbol and aux note. Topic
    ecg.reference."""

    schema: int = SCHEMA
    patient_id: str
    time_ns: int
    sample: int
    symbol: str
    aux: str = ""


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """One QRS complex. Topic ecg.beats. Identity: (patient_id, time_ns)."""

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    fs_hz: float  # the stream's own sampling frequency, which the sample numbers count in
    time_ns: int  # of the R peak
    sample: int  # of the R peak
    rr_ms: float | None  # to the beat before; None for the first beat of a stream and after a gap
    label: BeatLabel
    confidence: float  # 0-1, that this is a QRS complex
    label_probability: float  # 0-1, of the label


class Rhythm(msgspec.Struct, frozen=True, kw_only=True):
    """A rhythm episode so far. Topic ecg.rhythm. Identity: (patient_id, start_ns); a later message
    with the same identity extends it."""

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    fs_hz: float  # the stream's own sampling frequency, which the sample numbers count in
    start_ns: int
    end_ns: int
    start_sample: int
    end_sample: int
    label: RhythmLabel
    probability: float


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """Once a second of signal. Topic ecg.vitals. Identity: (patient_id, time_ns)."""

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    time_ns: int
    hr_bpm: float | None  # None: no heart rate, or not to be trusted; `reason` says which
    sdnn_ms: float | None  # over the last 5 min of N-N intervals
    rmssd_ms: float | None
    quality: float  # 0-1, share of the last 10 s that is readable
    reason: Literal["", "starting", "no beats", "artefact", "lead off"] = ""


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """A step in an alarm's life. Topic ecg.alarms. Identity: (patient_id, id); the last step
    received is the alarm's state."""

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    fs_hz: float  # the stream's own sampling frequency, which the sample numbers count in
    id: str  # patient:kind:onset_ns, so that reprocessing gives the same alarm
    kind: AlarmKind
    priority: Priority
    step: Literal["onset", "update", "escalated", "acknowledged", "silenced", "end"]
    changed_ns: int  # when this step was taken, by the stream's own time
    # where the condition began: the first beat of the run, the last QRS before an asystole
    onset_ns: int
    raised_ns: int  # time of the last sample needed before the alarm could be raised
    end_ns: int | None = None  # when the condition stopped, whatever latches
    onset_sample: int
    raised_sample: int
    end_sample: int | None = None
    # False: held back by a worse alarm of its chain, or by its refractory time
    announced: bool = True
    latching: bool = False
    # how often it has called again: nobody acknowledged it, or it held on after somebody had
    level: int = 0
    # when the acknowledgement that counts was given, by the wall clock
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    # by the stream's own time; only medium and low alarms can be silenced
    silenced_until_ns: int | None = None
    value: float | None = None
    limit: float | None = None
    text: str = ""  # "HR 134 > 120"
    # raised so long after its signal, by the wall clock, as where the connection had been away; 0:
    # in time, or it still held when the signal was in time again
    late_s: float = 0.0

    @property
    def standing(self) -> bool:
        """Whether somebody must look: it is announced, and holds, or is latched and not
        acknowledged."""
        return self.announced and (
            self.end_ns is None or (self.latching and self.acknowledged_ns is None)
        )


class Waveform(msgspec.Struct, frozen=True, kw_only=True):
    """Up to 10 s of the signal as it came, for history. Topic ecg.waveforms. Identity:
    (patient_id, start_ns)."""

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    fs_hz: float
    counts_per_mv: float
    start_ns: int
    start_sample: int
    n: int  # samples
    packed: bytes  # ingest.packing: int16, MISSING where samples were lost


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """The signal from 10 s before an alarm's onset to 10 s after, as far as there is any. Topic
    ecg.strips. Identity: the alarm's."""

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    fs_hz: float
    counts_per_mv: float
    alarm_id: str
    kind: AlarmKind
    onset_ns: int  # the alarm's
    start_ns: int
    start_sample: int
    n: int  # samples
    packed: bytes  # ingest.packing: int16, MISSING where samples were lost


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did about a patient's alarms. Topic ecg.acks. Identity: (patient_id, time_ns,
    id).

    acknowledge: the alarm `alarm_id`, or all standing ones. silence: alarms of `kind` ("": of any)
    for `seconds`; high ones break through. resume: ends that. limits: sets fields of the patient's
    alarm profile; None goes back to the profile's. profile: from now on the patient's alarm profile
    is the one named `profile`; "" goes back to the profile file's.
    """

    schema: int = SCHEMA
    patient_id: str
    time_ns: int  # by the wall clock
    id: str  # made by whoever sends it; a repeat of an id counts once
    by: str
    action: Literal["acknowledge", "silence", "resume", "limits", "profile"]
    alarm_id: str = ""
    kind: AlarmKind | Literal[""] = ""
    seconds: float | None = None
    limits: dict[str, float | None] = {}
    note: str = ""
    profile: str = ""


class Acknowledgement(msgspec.Struct, frozen=True):
    """Of an alarm: when by the patient's own time, when by the wall clock of who gave it, by whom."""

    at_ns: int
    time_ns: int
    by: str


class LimitChange(msgspec.Struct, frozen=True):
    """A limit that people set: its value, when by the wall clock, and by whom."""

    value: float
    time_ns: int
    by: str


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What holds of what people ordered about a patient's alarms. Topic ecg.orders, compacted; the
    newest message of a patient counts, and None says that nothing holds.

    Decided by the alarm life cycle alone, told whenever it changes and every 10 s while something is
    silenced: whoever shows it works nothing out, and needs no clock but one that counts seconds.
    """

    schema: int = SCHEMA
    patient_id: str
    now_ns: int = 0  # by the patient's own time
    silenced: dict[str, float] = {}  # kind ("" for any but high): seconds that are left
    limits: dict[str, float] = {}  # all that hold
    defaults: dict[str, float] = {}  # the profile's
    changed: dict[str, LimitChange] = {}  # of these people have set
    profile: str = ""  # the name of the one that was given at admission; "" for the file's
    acknowledged: dict[str, Acknowledgement] = {}  # by alarm id, the newest ones
    acted: dict[int, int] = {}  # by partition of ecg.acks: one past the last action inside


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to tell one recipient of one step of an alarm. Topic ecg.notifications. Identity:
    (patient_id, time_ns, id)."""

    schema: int = SCHEMA
    patient_id: str
    time_ns: int  # by the wall clock
    id: str  # alarm id, step, level, recipient and attempt
    alarm_id: str
    kind: AlarmKind
    priority: Priority
    step: str
    recipient: str  # its name in the notifications file; never its address
    attempt: int  # from 1
    outcome: Literal["delivered", "failed", "held back"]
    reason: str = ""  # why it failed, or which rule held it back
    next_ns: int | None = None  # when it is tried again; None where it is not


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How the stream agrees so far with the reference annotations that are replayed beside it.
    Topic ecg.scores.

    Identity: (patient_id, time_ns). Beats within 150 ms match; counts since the stream began.
    """

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    time_ns: int  # of the stream: everything before has been scored
    qrs_tp: int
    qrs_fn: int
    qrs_fp: int
    v_tp: int
    v_fn: int
    v_fp: int
    s_tp: int
    s_fn: int
    s_fp: int
    rhythm_s: float  # with a reference rhythm
    rhythm_agreed_s: float
    episodes: int  # reference episodes that must alarm (VF, VFL, VT, asystole, AF)
    episodes_alarmed: int
    worst_delay_s: float | None = None  # from an episode's onset to its alarm's `raised_ns`


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says of something the model said. Topic ecg.edits. Identity: (patient_id,
    time_ns, id).

    The newest edit of a target counts.
    """

    schema: int = SCHEMA
    patient_id: str
    time_ns: int  # by the wall clock
    id: str
    by: str
    target: Literal["alarm", "beat", "rhythm"]
    target_id: str  # the alarm's id, the beat's time_ns, the episode's start_ns
    at_ns: int  # where it is in the stream
    said: str  # the model's answer: kind or label
    verdict: Literal["confirmed", "rejected", "relabelled"]
    label: str = ""  # where relabelled
    note: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a task that the model learned in the field says of a stretch of signal. Topic
    ecg.findings.

    Identity: (patient_id, time_ns, task). Told when the task's label changes, every 60 s while it
    holds, and at the end of the signal. Stretches of a task join: one goes on until the next
    begins, except where signal is missing.
    """

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    fs_hz: float  # the stream's own sampling frequency, which the sample numbers count in
    time_ns: int  # up to here the label has held
    start_ns: int  # since when
    sample: int
    start_sample: int
    task: str
    label: str
    probability: float  # of the label, mean over the stretch
    model: str  # version of the model folder that says so


JournalKind = Literal[
    "symptom",
    "note",
    "admitted",
    "transferred",
    "edited",
    "discharged",
    "device assigned",
    "device released",
]


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a patient beside the signal: what the wearer says, and what people did with
    bed and device. Topic ecg.journal. Identity: (patient_id, time_ns, id).
    """

    schema: int = SCHEMA
    patient_id: str
    time_ns: int  # by the wall clock; of a symptom, when the button was pressed
    id: str  # made by whoever sends it; a repeat of an id counts once
    by: str  # a person's name, or the device that the wearer pressed
    kind: JournalKind
    text: str = ""


Event = Beat | Rhythm | Vitals | Alarm | Strip | Waveform | Finding  # what the ward makes
Stored = Event | Action | Delivery | Score | Edit | JournalEntry
Message = SampleChunk | Reference | Stored | Orders
M = TypeVar("M", bound=Message)

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in get_args(Message)
}


class BadMessageError(ValueError):
    """Bytes on a topic that are no message of ours; the text says why. Goes to the dead-letter
    topic, never stops anything."""


def encode(message: Message) -> bytes:
    """MessagePack bytes of any message."""
    return _encoder.encode(message)


def decode(data: bytes, kind: type[M]) -> M:
    """The message of the given kind, within the bounds of ingest/bounds.py. Raises BadMessageError
    with the reason."""
    try:
        message: M = _decoders[kind].decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # ValidationError is a DecodeError
        raise BadMessageError(f"not a {kind.__name__}: {error}") from error
    if message.schema != SCHEMA:
        raise BadMessageError(
            f"{kind.__name__} has schema version {message.schema}; this version reads {SCHEMA}"
        )
    problems: list[Problem] = []
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


def sample_offset_ns(sample: int, fs_hz: float) -> int:
    """Nanoseconds from a stream's sample 0 to the given sample: the one rounding rule for every
    time in the system."""
    return round(sample * 1e9 / fs_hz)
