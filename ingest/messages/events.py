"""Events that the ward computes from the signal: beats, rhythm, vitals, alarms and their strips."""

from __future__ import annotations

from typing import Literal

import msgspec

from ingest.messages.kinds import SCHEMA, AlarmKind, BeatLabel, Noise, Priority, RhythmLabel


class StreamEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Names the stream that an event is of; its fields come first in every event."""

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str


class SampledEvent(StreamEvent, frozen=True, kw_only=True):
    """An event that counts in samples of its stream."""

    fs_hz: float  # the stream's own sampling frequency, which the sample numbers count in


class Beat(SampledEvent, frozen=True, kw_only=True):
    """One QRS complex. Topic ecg.beats. Identity: (patient_id, time_ns)."""

    time_ns: int  # of the R peak
    sample: int  # of the R peak
    # interval to the beat before; None for the first beat of a stream and after a gap
    rr_ms: float | None
    label: BeatLabel
    confidence: float  # 0-1, that this is a QRS complex
    label_probability: float  # 0-1, of the label


class Rhythm(SampledEvent, frozen=True, kw_only=True):
    """A rhythm episode so far. Topic ecg.rhythm. Identity: (patient_id, start_ns); a later message
    with the same identity extends it."""

    start_ns: int
    end_ns: int
    start_sample: int
    end_sample: int
    label: RhythmLabel
    probability: float
    reason: str = ""  # of U and ~: why nothing can be said of the rhythm


class Vitals(StreamEvent, frozen=True, kw_only=True):
    """Heart rate, HRV and signal quality, once a second of signal. Topic ecg.vitals. Identity:
    (patient_id, time_ns)."""

    time_ns: int
    hr_bpm: float | None  # None: no heart rate, or none that can be trusted; `reason` says which
    sdnn_ms: float | None  # over the last 5 min of N-N intervals
    rmssd_ms: float | None
    quality: float  # 0-1, share of the last 10 s that is readable
    reason: Literal["", "starting", "no beats", "no RR", "artefact", "lead off"] = ""
    nn: int = 0  # number of N-N intervals of the last 5 min
    noise: Noise = ""  # what disturbs most of the last 10 s


class Alarm(SampledEvent, frozen=True, kw_only=True):
    """One step in an alarm's life cycle. Topic ecg.alarms. Identity: (patient_id, id); the last
    step received is the alarm's state."""

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


class Waveform(SampledEvent, frozen=True, kw_only=True):
    """Up to 10 s of the signal as received, for history. Topic ecg.waveforms. Identity:
    (patient_id, start_ns)."""

    counts_per_mv: float
    start_ns: int
    start_sample: int
    n: int  # samples
    packed: bytes  # ingest.packing: int16, MISSING where samples were lost


class Strip(SampledEvent, frozen=True, kw_only=True):
    """The signal from 10 s before an alarm's onset to 10 s after, as far as it exists. Topic
    ecg.strips. Identity: the alarm's."""

    counts_per_mv: float
    alarm_id: str
    kind: AlarmKind
    onset_ns: int  # the alarm's
    start_ns: int
    start_sample: int
    n: int  # samples
    packed: bytes  # ingest.packing: int16, MISSING where samples were lost


class Finding(SampledEvent, frozen=True, kw_only=True):
    """The label that an added task gives a stretch of signal; added tasks are those that the model
    learned after its release. Topic ecg.findings.

    Identity: (patient_id, time_ns, task). Published when the task's label changes, every 60 s while
    it holds, and at the end of the signal. Stretches of a task are contiguous: each lasts until the
    next begins, except across missing signal.
    """

    time_ns: int  # end of the stretch so far
    start_ns: int  # start of the stretch
    sample: int
    start_sample: int
    task: str
    label: str
    probability: float  # probability of the label, mean over the stretch
    model: str  # version of the model folder that gave the label
