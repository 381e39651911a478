"""Applies people's orders and time to the alarms that the rules raise: limits, silence, lateness,
re-alarms. One for all patients of a ward."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from ingest.clock import Clock
from ingest.messages import Action, Alarm, AlarmKind, Orders, Vitals
from stream_processor.pipeline import events
from stream_processor.pipeline.alarms.lateness import Lateness
from stream_processor.pipeline.alarms.lifecycle import AlarmLifecycle
from stream_processor.pipeline.alarms.limits import BedsideOrders, PatientLimits
from stream_processor.pipeline.alarms.orders import orders_of
from stream_processor.pipeline.alarms.profiles import Profile, Profiles
from stream_processor.pipeline.stages.admission.runs import Stream


class AlarmControl:
    """The life cycle of alarms with the limits that hold. Limits are kept worked out for patients
    with an open stream; of others only what people ordered is remembered."""

    def __init__(self, clock: Clock, profiles: Profiles, late_after_s: float | None) -> None:
        self._clock, self._lateness = clock, Lateness(clock, late_after_s)
        self._lifecycle, self._limits = AlarmLifecycle(), PatientLimits(profiles)
        self._action_ends: dict[int, int] = {}

    def patients(self) -> Sequence[str]:
        """Return the patients of whom anything is remembered."""
        return list(self._lifecycle.patients())

    def set_limits(self, patient_id: str) -> Profile:
        """Work out the limits of a patient with an open stream, and return them."""
        return self._limits.set(patient_id, self._lifecycle.ordered(patient_id))

    def limits(self, patient_id: str) -> Profile:
        """Return the limits of a patient with an open stream."""
        return self._limits[patient_id]

    def act(
        self, actions: Sequence[tuple[int, int, Action]], streams: Container[str]
    ) -> tuple[list[Alarm], list[str]]:
        """Take what people did, each with its partition and its place there; what was taken before
        counts once. Returns alarm steps, and those of `streams` (patients with one) whose limits
        must be set anew."""
        found: list[Alarm] = []
        changed: list[str] = []
        for partition, place, action in actions:
            # One that has just come is as old as its way here; the clocks of two machines would
            # only add their difference.
            missed = place < self._action_ends.get(partition, 0)
            age_s = max(0.0, (self._clock.now_ns() - action.time_ns) / 1e9) if missed else 0.0
            action = self._limits.usable(action, self._lifecycle.ordered(action.patient_id))
            found += self._lifecycle.act(action, partition, place, age_s)
            if action.patient_id not in streams:
                if not action.alarm_id:  # else it may be raised again in a moment, after a crash
                    self._lifecycle.forget_idle(action.patient_id)
            elif action.action in ("limits", "profile"):
                changed.append(action.patient_id)
        return found, changed

    def expect_actions(self, ends: Mapping[int, int]) -> None:
        """Set the present end offsets of the action partitions. If more actions than that were
        taken, the topic was made anew, and counting starts at 0."""
        self._lifecycle.expect_actions(ends)
        self._action_ends = dict(ends)  # what lies before was given while nobody was there

    def orders(self) -> dict[str, Orders | None]:
        """Return the orders in force, for each patient whose orders must be published; None if
        there are none."""
        found: dict[str, Orders | None] = {}
        for patient_id in self._lifecycle.news():
            patient = self._lifecycle.remembered(patient_id)
            own = self._lifecycle.ordered(patient_id)
            holding = self._limits.combined(patient_id, own)
            profile = self._limits.combined(patient_id, BedsideOrders(profile=own.profile))
            found[patient_id] = (
                None if patient is None else orders_of(patient_id, patient, holding, profile)
            )
        return found

    def resume(self, orders: Orders) -> list[Alarm]:
        """Go on with orders that are newer than the snapshot that was restored."""
        return list(self._lifecycle.resume(orders))

    def take(self, alarm: Alarm) -> list[Alarm]:
        """Return a step of an alarm with people's orders applied, for a patient with an open
        stream."""
        return self._lifecycle.take(
            self._lateness.marked(alarm), self._limits[alarm.patient_id].escalate_s
        )

    def technical(
        self,
        patient_id: str,
        stream: Stream | None,
        kind: AlarmKind,
        at_ns: int | None,
        detail: str,
    ) -> list[Alarm]:
        """Raise an alarm about a patient's input or state. `at_ns`: when, if nothing else is known
        of the patient's time."""
        now_ns = self._lifecycle.now_ns(patient_id) or at_ns or self._clock.now_ns()
        before = self._lifecycle.unanswered(patient_id, kind)
        alarm = events.technical(patient_id, stream, kind, now_ns, detail, before)
        return self._lifecycle.take(alarm, self._escalate_s(patient_id))

    def advance(self, vitals: Sequence[Vitals]) -> list[Alarm]:
        """Return re-alarms that are due by the patients' own time."""
        found: list[Alarm] = []
        for patient, until_ns in {v.patient_id: v.time_ns for v in vitals}.items():
            found += self._lifecycle.advance(patient, until_ns, self._limits[patient].escalate_s)
            if self._lateness.is_in_time(until_ns):
                found += self._lifecycle.catch_up(patient)
        return found

    def skip(self, patient_id: str, until_ns: int) -> list[Alarm]:
        """Return what is due after a gap in the signal of a patient with an open stream."""
        return self._lifecycle.skip(patient_id, until_ns, self._limits[patient_id].escalate_s)

    def pass_time(self, passed_ns: Mapping[str, int], streams: Container[str]) -> list[Alarm]:
        """Return re-alarms of patients without a signal; `passed_ns`: the time that has passed for
        each."""
        found: list[Alarm] = []
        for patient, passed in passed_ns.items():
            until_ns = self._lifecycle.now_ns(patient) + passed
            found += self._lifecycle.skip(patient, until_ns, self._escalate_s(patient))
            if patient not in streams:
                self._lifecycle.forget_idle(patient)
        return found

    def begin_stream(self, patient_id: str, start_ns: int) -> None:
        """Begin a patient's stream; latched alarms stay."""
        self._lifecycle.begin_stream(patient_id, start_ns)

    def end_stream(self, patient_id: str) -> None:
        """End a patient's stream; latched alarms stay."""
        self._lifecycle.end_stream(patient_id)

    def drop_limits(self, patient_id: str) -> None:
        """Drop the limits of a patient without an open stream."""
        self._limits.forget(patient_id)

    def forget(self, patient_id: str) -> None:
        """Forget a patient, including standing alarms."""
        self._lifecycle.forget(patient_id)

    def snapshot(self, patient_id: str) -> Any:
        """Return what is remembered of a patient, as plain data."""
        return self._lifecycle.snapshot(patient_id)

    def restore(self, patient_id: str, state: Any) -> None:
        """Remember what `snapshot` returned."""
        self._lifecycle.restore(patient_id, state)

    def _escalate_s(self, patient_id: str) -> float:
        """Return the seconds between re-alarms of a patient, with or without an open stream."""
        return self._limits.combined(patient_id, self._lifecycle.ordered(patient_id)).escalate_s
