"""Makes messages from rows and positions at 125 Hz. Times follow from (start of the stream,
sample), never from a clock."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from ingest.messages import (
    Alarm,
    AlarmKind,
    Beat,
    Finding,
    Rhythm,
    Strip,
    Vitals,
    Waveform,
    sample_offset_ns,
)
from ingest.messages.rr_channel import is_rr
from models.signal.conditioning import FS_HZ, HALF_WIDTH_S
from stream_processor.pipeline.alarms.catalogue import CATALOGUE, AlarmRow, words
from stream_processor.pipeline.alarms.engine import AlarmStep
from stream_processor.pipeline.stages.admission.runs import Stream
from stream_processor.pipeline.stages.episodes import Span
from stream_processor.pipeline.stages.seconds import LabelledBeat
from stream_processor.pipeline.stages.tasks.findings import TaskLabel
from stream_processor.pipeline.stages.vitals import VitalSigns
from stream_processor.pipeline.stages.waveform_recorder import AlarmStrip, PackedBlock


def sample_of(stream: Stream, at: float) -> int:
    """The stream's own sample nearest to a position at 125 Hz."""
    return round(at * stream.fs_hz / FS_HZ)


def last_sample_seen(stream: Stream, needed: float) -> int:
    """Return the last of the stream's own samples that the signal before `needed` depends on,
    including the resampler's reach."""
    return min(stream.next_sample, math.ceil(((needed - 1) / FS_HZ + HALF_WIDTH_S) * stream.fs_hz))


def _ns(stream: Stream, sample: int) -> int:
    return stream.start_ns + sample_offset_ns(sample, stream.fs_hz)


def beat(stream: Stream, b: LabelledBeat) -> Beat:
    """A beat of this stream."""
    sample = sample_of(stream, b.at)
    return Beat(
        patient_id=stream.patient_id,
        device_id=stream.device_id,
        lead=stream.lead,
        fs_hz=stream.fs_hz,
        time_ns=_ns(stream, sample),
        sample=sample,
        rr_ms=None if b.rr_s is None else round(b.rr_s * 1000, 1),
        label=b.label,
        confidence=round(min(1.0, b.confidence), 4),
        label_probability=round(b.probability, 4),
    )


def vitals(stream: Stream, v: VitalSigns) -> Vitals:
    """A second's vitals of this stream."""
    return Vitals(
        patient_id=stream.patient_id,
        device_id=stream.device_id,
        lead=stream.lead,
        time_ns=_ns(stream, sample_of(stream, v.until)),
        hr_bpm=_rounded(v.hr_bpm),
        sdnn_ms=_rounded(v.sdnn_ms),
        rmssd_ms=_rounded(v.rmssd_ms),
        quality=round(v.quality, 3),
        reason=v.reason,
        nn=v.nn,
        noise=v.noise,
    )


def rhythm(stream: Stream, s: Span) -> Rhythm:
    """A rhythm episode so far of this stream."""
    start, end = sample_of(stream, s.start), min(stream.next_sample, sample_of(stream, s.end))
    return Rhythm(
        patient_id=stream.patient_id,
        device_id=stream.device_id,
        lead=stream.lead,
        fs_hz=stream.fs_hz,
        start_ns=_ns(stream, start),
        end_ns=_ns(stream, end),
        start_sample=start,
        end_sample=end,
        label=s.label,
        probability=round(s.probability, 4),
        reason=s.reason,
    )


def finding(stream: Stream, s: TaskLabel, model: str) -> Finding:
    """Make the finding of an added task about this stream; `model` is the version of the model."""
    start, end = sample_of(stream, s.start), min(stream.next_sample, sample_of(stream, s.end))
    return Finding(
        patient_id=stream.patient_id,
        device_id=stream.device_id,
        lead=stream.lead,
        fs_hz=stream.fs_hz,
        time_ns=_ns(stream, end),
        start_ns=_ns(stream, start),
        sample=end,
        start_sample=start,
        task=s.task,
        label=s.label,
        probability=round(s.probability, 4),
        model=model,
    )


def alarm(stream: Stream, s: AlarmStep) -> Alarm:
    """A step in the life of an alarm of this stream, before people's orders are applied
    (pipeline/alarms/lifecycle.py)."""
    kind, a = CATALOGUE[s.kind], s.alarm
    # known from time alone, or from the signal
    seen = sample_of if s.kind == "no_signal" else last_sample_seen
    onset, raised, changed = sample_of(stream, a.onset), seen(stream, a.raised), seen(stream, s.at)
    end = None if s.end is None else sample_of(stream, s.end)
    onset_ns = _ns(stream, onset)
    return Alarm(
        patient_id=stream.patient_id,
        device_id=stream.device_id,
        lead=stream.lead,
        fs_hz=stream.fs_hz,
        id=f"{stream.patient_id}:{s.kind}:{onset_ns}",
        kind=s.kind,
        priority=kind.priority,
        step=s.step,
        changed_ns=_ns(stream, changed),
        onset_ns=onset_ns,
        raised_ns=_ns(stream, raised),
        end_ns=None if end is None else _ns(stream, end),
        onset_sample=onset,
        raised_sample=raised,
        end_sample=end,
        announced=a.announced,
        latching=kind.latching,
        value=_rounded(a.value),
        limit=a.limit,
        text=words(s.kind, a.value, a.limit, a.detail) + _by_what(stream, kind),
    )


def _by_what(stream: Stream, kind: AlarmRow) -> str:
    """Say of an alarm of the heart that intervals alone stand behind it."""
    return " (RR only)" if is_rr(stream.lead) and not kind.technical else ""


def technical(
    patient_id: str,
    stream: Stream | None,
    kind: AlarmKind,
    now_ns: int,
    detail: str,
    before: Alarm | None,
) -> Alarm:
    """An alarm about a patient's input or state, not about its signal: it happened now; `before` is
    the one of its kind that nobody has acknowledged yet, and that it goes on."""
    entry = CATALOGUE[kind]
    text = entry.text.format(detail=detail)
    if before is not None:
        return msgspec.structs.replace(before, step="update", changed_ns=now_ns, text=text)
    sample = 0 if stream is None else stream.next_sample
    return Alarm(
        patient_id=patient_id,
        device_id="" if stream is None else stream.device_id,
        lead="" if stream is None else stream.lead,
        fs_hz=FS_HZ if stream is None else stream.fs_hz,
        id=f"{patient_id}:{kind}:{now_ns}",
        kind=kind,
        priority=entry.priority,
        step="onset",
        changed_ns=now_ns,
        onset_ns=now_ns,
        raised_ns=now_ns,
        end_ns=now_ns,
        onset_sample=sample,
        raised_sample=sample,
        end_sample=sample,
        latching=entry.latching,
        text=text,
    )


def recorded(stream: Stream, item: PackedBlock | AlarmStrip) -> Waveform | Strip:
    """A block of this stream's own samples for history, or the strip of an alarm."""
    block = item.block if isinstance(item, AlarmStrip) else item
    shared: dict[str, Any] = {
        "patient_id": stream.patient_id,
        "device_id": stream.device_id,
        "lead": stream.lead,
        "fs_hz": stream.fs_hz,
        "counts_per_mv": stream.counts_per_mv,
        "start_ns": _ns(stream, block.start),
        "start_sample": block.start,
        "n": block.n,
        "packed": block.packed,
    }
    if isinstance(item, PackedBlock):
        return Waveform(**shared)
    wanted = item.wanted
    onset_ns = _ns(stream, wanted.onset)
    return Strip(**shared, alarm_id=wanted.alarm_id, kind=wanted.kind, onset_ns=onset_ns)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
