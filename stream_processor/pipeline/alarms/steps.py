"""Steps of an alarm's life cycle that follow from people's actions and from time, on plain data
(standing.py)."""

from __future__ import annotations

import msgspec

from ingest.messages import Acknowledgement, Action, Alarm, LimitChange, Switch
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.pipeline.alarms.orders import acknowledge, note_acknowledged
from stream_processor.pipeline.alarms.standing import ANY, PatientAlarms, Standing


def is_kept(patient: PatientAlarms) -> bool:
    """Whether something must be remembered of a patient without a stream."""
    ordered = patient.silenced or patient.limits or patient.switched or patient.profile
    return bool(patient.standing or ordered)


def merged(alarm: Alarm, before: Alarm) -> Alarm:
    """Return the alarm with the acknowledgement, silence and level of the step before."""
    return msgspec.structs.replace(
        alarm,
        level=before.level,
        acknowledged_ns=before.acknowledged_ns,
        acknowledged_by=before.acknowledged_by,
        silenced_until_ns=before.silenced_until_ns,
        late_s=before.late_s,
    )


def may_re_alarm(s: Standing) -> bool:
    """Whether an alarm re-alarms: one of high priority until it is acknowledged and over; one of
    medium priority if it was acknowledged and still holds; a technical one never."""
    alarm = s.alarm
    if not alarm.announced or CATALOGUE[alarm.kind].technical or alarm.priority == "low":
        return False
    if alarm.acknowledged_ns is not None:
        return not s.over
    return alarm.priority == "high"


def re_alarm(standing: Standing, at_ns: int) -> Alarm:
    """Re-alarm: raise the level and clear the acknowledgement."""
    standing.called_ns = at_ns
    standing.alarm = msgspec.structs.replace(
        standing.alarm,
        step="escalated",
        changed_ns=at_ns,
        level=standing.alarm.level + 1,
        acknowledged_ns=None,
        acknowledged_by="",
    )
    return standing.alarm


def acknowledge_by(patient: PatientAlarms, action: Action) -> list[Alarm]:
    """Acknowledge the alarm that is named and the earlier ones of its kind, which nobody sees behind it; or
    all. One that is named and not there may be raised again in a moment, after a crash."""
    given = Acknowledgement(patient.now_ns, action.time_ns, action.by)
    standing = [
        s
        for s in patient.standing.values()
        if s.alarm.announced and s.alarm.acknowledged_ns is None
    ]
    if action.alarm_id:
        named = patient.standing.get(action.alarm_id)
        if named is None:
            note_acknowledged(patient, action.alarm_id, given)
            return []
        standing = [
            s
            for s in standing
            if s.alarm.kind == named.alarm.kind and s.alarm.onset_ns <= named.alarm.onset_ns
        ]
    return acknowledge(patient, standing, given)


def set_limits(patient: PatientAlarms, action: Action) -> None:
    """Take over limits and switches; those that are None go back to the profile's."""
    for name, value in action.limits.items():
        patient.limits.pop(name, None)
        patient.changed.pop(name, None)
        if value is not None:
            patient.limits[name] = value
            patient.changed[name] = LimitChange(value, action.time_ns, action.by)
    for kind, on in action.switches.items():
        patient.switched.pop(kind, None)
        if on is not None:
            patient.switched[kind] = Switch(on, action.time_ns, action.by)


def silenced_until(patient: PatientAlarms, alarm: Alarm) -> int:
    """Return until when alarms of this kind are silenced, Unix ns; 0 if not. High priority is never
    silenced."""
    return (
        0
        if alarm.priority == "high"
        else max(patient.silenced.get(alarm.kind, 0), patient.silenced.get(ANY, 0))
    )


def report_silence(patient: PatientAlarms) -> list[Alarm]:
    """Return an update of every standing alarm whose silence has changed."""
    found: list[Alarm] = []
    for s in patient.standing.values():
        until = silenced_until(patient, s.alarm) or None
        if until != s.alarm.silenced_until_ns and s.alarm.announced:
            step = "update" if until is None else "silenced"
            s.alarm = msgspec.structs.replace(
                s.alarm, step=step, changed_ns=patient.now_ns, silenced_until_ns=until
            )
            found.append(s.alarm)
    return found
