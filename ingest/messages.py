"""Every message that passes between processes, and the codec (MessagePack by msgspec).

Every message is a frozen Struct that starts with `schema`, a major version: a reader refuses a
version it does not know (the stream processor then puts the message on the dead-letter topic), and
ignores fields it does not know, so that minor additions are safe. Times are integer nanoseconds
since the Unix epoch and always derive from (start of the stream, sample index), never from the wall
clock: processing the same input again gives the same messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import msgspec

from ingest.bounds import (
    Problem,
    action_problems,
    chunk_problems,
    edit_problems,
    reference_problems,
    sentence,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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
    """Consecutive samples of one lead (usually 0.2-1 s). Topic ecg.samples, key =
    patient_id.

    A stream starts with a chunk whose `first_sample` is 0; the next chunk's `first_sample` is this
    one's plus its length, and its `seq` one more. A chunk with `end` set closes the stream: pending
    results are flushed and no "no signal" alarm follows.
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
    battery: float | None = None  # 0-1, if the device reports it
    fault: str = ""  # any other status that the device reports; "" for none
    end: bool = False

    def counts(self) -> npt.NDArray[np.int16]:
        """The samples, shape (n,), int16, read-only."""
        import numpy as np  # only readers of samples need it: not the command line

        return np.frombuffer(self.samples, dtype="<i2")

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.samples) // 2

    @property
    def start_ns(self) -> int:
        """Time of the stream's sample 0, derived from this chunk."""
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
    # interval to the beat before; None for the first beat of a stream and after a gap
    rr_ms: float | None
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
    """Heart rate, HRV and signal quality, once a second of signal. Topic ecg.vitals. Identity:
    (patient_id, time_ns)."""

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    time_ns: int
    hr_bpm: float | None  # None: no heart rate, or none that can be trusted; `reason` says which
    sdnn_ms: float | None  # over the last 5 min of N-N intervals
    rmssd_ms: float | None
    quality: float  # 0-1, share of the last 10 s that is readable
    reason: Literal["", "starting", "no beats", "artefact", "lead off"] = ""


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One step in an alarm's life cycle. Topic ecg.alarms. Identity: (patient_id, id); the last
    step received is the alarm's state."""

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    fs_hz: float  # the stream's own sampling frequency, which the sample numbers count in
    id: str  # patient:kind:onset_ns, so that reprocessing gives the same alarm
    kind: AlarmKind
    priority: Priority
    step: Literal["onset", "update", "escalated", "acknowledged", "silenced", "end"]
    changed_ns: int  # stream time of this step
    # where the condition began: the first beat of the run, the last QRS before an asystole
    onset_ns: int
    raised_ns: int  # time of the last sample needed before the alarm could be raised
    end_ns: int | None = None  # when the condition stopped, even if the alarm still latches
    onset_sample: int
    raised_sample: int
    end_sample: int | None = None
    # False: suppressed by a more urgent alarm of its chain, or by its refractory time
    announced: bool = True
    latching: bool = False
    # number of re-alarms: nobody acknowledged the alarm, or its condition persisted afterwards
    level: int = 0
    # wall time of the acknowledgement in force
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    # stream time; only medium and low alarms can be silenced
    silenced_until_ns: int | None = None
    value: float | None = None
    limit: float | None = None
    text: str = ""  # "HR 134 > 120"
    # delay of the alarm after its signal, by the wall clock, for instance after a lost connection;
    # 0: in time, or the condition still held when the signal was in time again
    late_s: float = 0.0

    @property
    def standing(self) -> bool:
        """True if the alarm needs attention: it is announced, and its condition holds or it is
        latched and not acknowledged."""
        return self.announced and (
            self.end_ns is None or (self.latching and self.acknowledged_ns is None)
        )


class Waveform(msgspec.Struct, frozen=True, kw_only=True):
    """Up to 10 s of the signal as received, for history. Topic ecg.waveforms. Identity:
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
    """The signal from 10 s before an alarm's onset to 10 s after, as far as it exists. Topic
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
    """A person's action on a patient's alarms. Topic ecg.acks. Identity: (patient_id, time_ns,
    id).

    acknowledge: the alarm `alarm_id`, or all standing ones. silence: alarms of `kind` ("": of any)
    for `seconds`; alarms of high priority still sound. resume: ends a silence. escalate: raises the
    alarm `alarm_id` again now, so that the next person is called. limits: sets fields
    of the patient's alarm profile; None restores the profile's value. profile: from now on the
    patient's alarm profile is the one named `profile`; "" restores the one of the profiles file.
    """

    schema: int = SCHEMA
    patient_id: str
    time_ns: int  # by the wall clock
    id: str  # made by the sender; a repeated id counts once
    by: str
    action: Literal["acknowledge", "silence", "resume", "escalate", "limits", "profile"]
    alarm_id: str = ""
    kind: AlarmKind | Literal[""] = ""
    seconds: float | None = None
    limits: dict[str, float | None] = {}
    note: str = ""
    profile: str = ""


class Acknowledgement(msgspec.Struct, frozen=True):
    """An alarm's acknowledgement: its stream time, its wall time and the person's name."""

    at_ns: int
    time_ns: int
    by: str


class LimitChange(msgspec.Struct, frozen=True):
    """A limit that a person set: its value, its wall time and the person's name."""

    value: float
    time_ns: int
    by: str


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """The orders of people in force for a patient's alarms. Topic ecg.orders, compacted; the newest
    message of a patient counts, and None says that no order is in force.

    Decided by the alarm life cycle alone, published on every change and every 10 s while something
    is silenced: a display derives nothing itself, and needs only a timer that counts seconds.
    """

    schema: int = SCHEMA
    patient_id: str
    now_ns: int = 0  # stream time
    silenced: dict[str, float] = {}  # kind ("" for any but high): seconds left
    limits: dict[str, float] = {}  # every limit in force
    defaults: dict[str, float] = {}  # the profile's
    changed: dict[str, LimitChange] = {}  # those of them that people have set
    profile: str = ""  # name of the profile given at admission; "" for the one of the profiles file
    acknowledged: dict[str, Acknowledgement] = {}  # the newest ones, by alarm id
    acted: dict[int, int] = {}  # by partition of ecg.acks: one past the last action inside


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to notify one recipient of one step of an alarm. Topic ecg.notifications.
    Identity: (patient_id, time_ns, id)."""

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
    reason: str = ""  # why the attempt failed, or which rule suppressed it
    next_ns: int | None = None  # when the attempt is repeated; None if it is not


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Agreement of the stream so far with the reference annotations that are replayed beside it.
    Topic ecg.scores.

    Identity: (patient_id, time_ns). Beats within 150 ms match; counts since the stream began.
    """

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    time_ns: int  # stream time: everything before it has been scored
    qrs_tp: int
    qrs_fn: int
    qrs_fp: int
    v_tp: int
    v_fn: int
    v_fp: int
    s_tp: int
    s_fn: int
    s_fp: int
    rhythm_s: float  # seconds with a reference rhythm
    rhythm_agreed_s: float
    episodes: int  # reference episodes that must alarm (VF, VFL, VT, asystole, AF)
    episodes_alarmed: int
    worst_delay_s: float | None = None  # from an episode's onset to its alarm's `raised_ns`


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """A person's verdict on one of the model's answers. Topic ecg.edits. Identity: (patient_id,
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
    at_ns: int  # position of the target in the stream
    said: str  # the model's answer: kind or label
    verdict: Literal["confirmed", "rejected", "relabelled"]
    label: str = ""  # the new label, if relabelled
    note: str = ""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The label that an added task gives a stretch of signal; added tasks are those that the model
    learned after its release. Topic ecg.findings.

    Identity: (patient_id, time_ns, task). Published when the task's label changes, every 60 s while
    it holds, and at the end of the signal. Stretches of a task are contiguous: each lasts until the
    next begins, except across missing signal.
    """

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    fs_hz: float  # the stream's own sampling frequency, which the sample numbers count in
    time_ns: int  # end of the stretch so far
    start_ns: int  # start of the stretch
    sample: int
    start_sample: int
    task: str
    label: str
    probability: float  # probability of the label, mean over the stretch
    model: str  # version of the model folder that gave the label


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
    """An event of a patient that is not in the signal: a symptom reported by the wearer, or a
    change of bed or device. Topic ecg.journal. Identity: (patient_id, time_ns, id).
    """

    schema: int = SCHEMA
    patient_id: str
    time_ns: int  # wall time; for a symptom, when the button was pressed
    id: str  # made by the sender; a repeated id counts once
    by: str  # a person's name, or the device that the wearer pressed
    kind: JournalKind
    text: str = ""


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
