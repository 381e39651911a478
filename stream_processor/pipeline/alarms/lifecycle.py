"""Tracks each alarm's life cycle: latching, acknowledgement, silence, re-alarms.

One for all patients, by patient and not by stream: a latched alarm outlives the stream that raised
it. Messages in, messages out; the times are the stream's own, so the same input and the same
actions give the same steps. The time of a re-alarm is exact to the sample, however seldom `advance`
is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ingest.messages import Action, Alarm, AlarmKind, Orders
from stream_processor.pipeline.alarms.limits import BedsideOrders
from stream_processor.pipeline.alarms.orders import acknowledge, resumed_after
from stream_processor.pipeline.alarms.standing import ANY, PatientAlarms, Standing
from stream_processor.pipeline.alarms.steps import (
    acknowledge_by,
    is_kept,
    may_re_alarm,
    merged,
    re_alarm,
    report_silence,
    set_limits,
    silenced_until,
)

RETELL_NS = 10 * 10**9  # how often a silence is published while it lasts


class AlarmLifecycle:
    """The standing alarms of every patient, and what was ordered about them."""

    def __init__(self) -> None:
        self._patients: dict[str, PatientAlarms] = {}
        self._news: dict[str, None] = {}  # patients whose orders have changed since last published

    def patients(self) -> list[str]:
        """Return the patients who must be remembered when no stream is open."""
        return [id_ for id_, p in self._patients.items() if is_kept(p)]

    def ordered(self, patient_id: str) -> BedsideOrders:
        """The limits, switches and profile that people have set for the patient."""
        patient = self._patients.get(patient_id)
        if patient is None:
            return BedsideOrders()
        switches = {kind: switch.on for kind, switch in patient.switched.items()}
        return BedsideOrders(dict(patient.limits), switches, patient.profile)

    def news(self) -> list[str]:
        """Return the patients whose orders must be published since the last call."""
        found, self._news = list(self._news), {}
        return found

    def remembered(self, patient_id: str) -> PatientAlarms | None:
        """Return the remembered state of a patient; None if there is none."""
        return self._patients.get(patient_id)

    def resume(self, orders: Orders) -> list[Alarm]:
        """Go on from the last published orders, which are newer than the snapshot: after a crash,
        or without any snapshot. Returns the steps of the alarms that these change."""
        patient = self._patients.setdefault(orders.patient_id, PatientAlarms())
        found = resumed_after(patient, orders)
        if not patient.acknowledged:  # whose alarms may be raised again in a moment
            self.forget_idle(orders.patient_id)
        return found + report_silence(patient)

    def now_ns(self, patient_id: str) -> int:
        """Return the patient's time, Unix ns; 0 for an unknown patient."""
        patient = self._patients.get(patient_id)
        return patient.now_ns if patient else 0

    def take(self, alarm: Alarm, escalate_s: float) -> list[Alarm]:
        """Return a step of the engine with people's orders applied; before it, the re-alarms due by
        then."""
        patient = self._patients.setdefault(alarm.patient_id, PatientAlarms())
        found = self.advance(alarm.patient_id, alarm.changed_ns, escalate_s)
        before = patient.standing.get(alarm.id)
        if before is not None:
            alarm = merged(alarm, before.alarm)
        elif (until := silenced_until(patient, alarm)) > alarm.changed_ns:
            alarm = msgspec.structs.replace(alarm, silenced_until_ns=until)
        if alarm.end_ns is None or alarm.standing:
            called_ns = before.called_ns if before else alarm.changed_ns
            patient.standing[alarm.id] = Standing(alarm, called_ns, alarm.end_ns is not None)
        else:
            patient.standing.pop(alarm.id, None)
        found.append(alarm)
        given = patient.acknowledged.get(alarm.id)
        if before is None and given is not None and alarm.id in patient.standing:
            # its acknowledgement came before it was raised again, after a crash
            found += acknowledge(patient, [patient.standing[alarm.id]], given)
        return found

    def advance(self, patient_id: str, now_ns: int, escalate_s: float) -> list[Alarm]:
        """Advance the patient's time. Returns re-alarms of alarms that nobody acknowledged, or that
        still hold after somebody did, in order of time."""
        patient = self._patients.get(patient_id)
        if patient is None or now_ns <= patient.now_ns:
            return []
        patient.now_ns = now_ns
        if patient.silenced:
            left = {kind: until for kind, until in patient.silenced.items() if until > now_ns}
            if left != patient.silenced or now_ns - patient.told_ns >= RETELL_NS:
                self._publish(patient_id, patient)
            patient.silenced = left
        every, found = round(escalate_s * 1e9), list[Alarm]()
        newest = {s.alarm.kind: s for s in patient.standing.values()}
        for standing in newest.values():
            while may_re_alarm(standing) and (due := standing.called_ns + every) <= now_ns:
                found.append(re_alarm(standing, due))
        return sorted(found, key=lambda a: a.changed_ns)

    def skip(self, patient_id: str, now_ns: int, escalate_s: float) -> list[Alarm]:
        """Advance the patient's time without a signal: as `advance`, but with one re-alarm of each
        alarm at most. Re-alarms missed meanwhile are not made up for."""
        patient = self._patients.get(patient_id)
        every = round(escalate_s * 1e9)
        for standing in patient.standing.values() if patient else ():
            missed = (now_ns - standing.called_ns) // every - 1
            standing.called_ns += max(0, missed) * every
        return self.advance(patient_id, now_ns, escalate_s)

    def catch_up(self, patient_id: str) -> list[Alarm]:
        """Report alarms that were marked as late and still hold as current: the patient's signal is
        in time again."""
        patient = self._patients.get(patient_id, PatientAlarms())
        found: list[Alarm] = []
        for standing in patient.standing.values():
            if standing.alarm.late_s and standing.alarm.end_ns is None and not standing.over:
                standing.alarm = msgspec.structs.replace(
                    standing.alarm, step="update", changed_ns=patient.now_ns, late_s=0.0
                )
                found.append(standing.alarm)
        return found

    def unanswered(self, patient_id: str, kind: AlarmKind) -> Alarm | None:
        """Return the newest standing alarm of this kind that nobody has acknowledged."""
        patient = self._patients.get(patient_id)
        found = [
            s.alarm
            for s in (patient.standing.values() if patient else ())
            if s.alarm.kind == kind and s.alarm.acknowledged_ns is None
        ]
        return found[-1] if found else None

    def begin_stream(self, patient_id: str, at_ns: int) -> None:
        """Begin a stream, which has its own timeline: shift silences and re-alarms, so that the
        time left of them stays the same."""
        patient = self._patients.setdefault(patient_id, PatientAlarms())
        self._publish(patient_id, patient)
        if patient.now_ns or patient.silenced or patient.standing:
            shift_ns, patient.now_ns = at_ns - patient.now_ns, at_ns
            patient.silenced = {kind: until + shift_ns for kind, until in patient.silenced.items()}
            for standing in patient.standing.values():
                standing.called_ns += shift_ns
        patient.now_ns = at_ns

    def end_stream(self, patient_id: str) -> None:
        """End the patient's stream: forget alarms that still hold and do not latch."""
        patient = self._patients.get(patient_id)
        if patient is not None:
            patient.standing = {
                id_: s
                for id_, s in patient.standing.items()
                if s.alarm.latching and s.alarm.announced
            }
            for s in list(patient.standing.values()):
                s.over = True
                if s.alarm.acknowledged_ns is not None:
                    del patient.standing[s.alarm.id]
            self.forget_idle(patient_id)

    def forget_idle(self, patient_id: str) -> None:
        """Forget a patient without a stream unless something must be remembered."""
        if (patient := self._patients.get(patient_id)) is not None and not is_kept(patient):
            del self._patients[patient_id]
            self._news[patient_id] = None

    def _publish(self, patient_id: str, patient: PatientAlarms) -> None:
        patient.told_ns = patient.now_ns
        self._news[patient_id] = None

    def act(self, action: Action, partition: int, place: int, age_s: float = 0.0) -> list[Alarm]:
        """Apply a person's action, `age_s` old, with its partition and offset; an action already
        applied is ignored."""
        patient = self._patients.setdefault(action.patient_id, PatientAlarms())
        if place < patient.acted.get(partition, 0):
            return []
        patient.acted[partition] = place + 1
        self._publish(action.patient_id, patient)
        if action.action == "acknowledge":
            return acknowledge_by(patient, action)
        if action.action == "escalate":
            named = patient.standing.get(action.alarm_id)
            open_ = named and named.alarm.announced and named.alarm.acknowledged_ns is None
            return [re_alarm(named, patient.now_ns)] if named and open_ else []
        if action.action == "profile":
            patient.profile = action.profile
            return []
        if action.action == "limits":
            set_limits(patient, action)
            return []
        if action.action == "silence":
            patient.silenced[action.kind] = patient.now_ns + round(
                max(0.0, (action.seconds or 0.0) - age_s) * 1e9
            )
        else:
            patient.silenced = (
                {}
                if action.kind == ANY
                else {k: until for k, until in patient.silenced.items() if k != action.kind}
            )
        return report_silence(patient)

    def expect_actions(self, ends: Mapping[int, int]) -> None:
        """These partitions end here. If more was taken, the topic of actions was made anew: places
        count from 0 again."""
        for patient in self._patients.values():
            for partition, place in list(patient.acted.items()):
                if place > ends.get(partition, place):
                    del patient.acted[partition]

    def snapshot(self, patient_id: str) -> dict[str, Any] | None:
        """All that is remembered of a patient, as plain data."""
        patient = self._patients.get(patient_id)
        return None if patient is None else msgspec.to_builtins(patient)

    def restore(self, patient_id: str, state: Any) -> None:
        """Remember what `snapshot` returned. Raises msgspec.ValidationError."""
        self.forget(patient_id)
        if state is not None:
            self._patients[patient_id] = msgspec.convert(state, PatientAlarms)

    def forget(self, patient_id: str) -> None:
        """Forget a patient who belongs to another processor now."""
        self._patients.pop(patient_id, None)
