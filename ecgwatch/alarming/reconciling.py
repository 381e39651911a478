"""Reconciles the alarms of a period: detected = stored = notified.

Detected alarms are those on ecg.alarms, announced or not; stored alarms are those in the store. A
notice is a notification that the notifications file asks for: of one recipient about the onset of
an announced alarm, a re-alarm or, if a rule asks for them, its acknowledgement or end.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from kafka.partitioner import murmur2

from ingest.clock import Clock
from ingest.messages import Alarm, Delivery
from ingest.topics import ALARMS, NOTIFICATIONS
from stream_processor.notifications.moments import moment_id, moment_of
from stream_processor.notifications.plan import NotificationPlan, load, planned_notices
from stream_processor.notifications.reading import TopicMessage, read
from stream_processor.sinks.base import FOREVER_NS, Sink

# an alarm is stored about a second after it was raised, and notified soon after
SETTLE_S, LOOK_AGAIN_S = 4.0, 1.0


class Detected(NamedTuple):
    """Steps of alarms on ecg.alarms in a period."""

    steps: list[Alarm]  # in order within each patient
    partitions: int  # of the topic
    # the oldest onset left, by partition whose oldest messages retention has deleted
    begins: dict[int, int]


class Balance(NamedTuple):
    """The alarms of a period, on the broker and in the store."""

    detected: set[str]
    announced: set[str]  # detected and announced

    stored: set[str]
    expired: set[str]  # stored, and older than the broker's oldest message

    @property
    def unstored(self) -> list[str]:
        """Detected alarms that are not stored."""
        return sorted(self.detected - self.stored)

    @property
    def undetected(self) -> list[str]:
        """Stored alarms that are neither on the broker nor expired there."""
        return sorted(self.stored - self.detected - self.expired)


class PeriodNotices(NamedTuple):
    """Outcome of the notices of a period."""

    due: int
    delivered: int
    held_back: Counter[str]  # by reason
    missing: list[tuple[str, str, str]]  # alarm id and step, recipient, why not


def reconcile_period(
    broker: str, sink: Sink, file: Path | None, start_ns: int, end_ns: int, clock: Clock
) -> tuple[list[str], bool]:
    """Reconcile alarms with start_ns <= onset < end_ns; return the report and whether nothing is
    missing. `file`: the notifications file, if any.

    An alarm may still be on its way: if one is missing, everything is read again for a few seconds.
    Raises UnreachableError, BadInputError, and SinkBusyError if the store cannot be read.
    """
    plan = None if file is None else load(file)
    give_up_s = clock.steady_s() + SETTLE_S
    while True:
        detected = read_detected(broker, start_ns, end_ns)
        kept = compare_kept(detected, sink, start_ns, end_ns)
        notices = (
            None
            if plan is None
            else compare_notified(detected.steps, read_deliveries(broker, start_ns, end_ns), plan)
        )
        holds = not (kept.unstored or kept.undetected or (notices and notices.missing))
        if holds or clock.steady_s() >= give_up_s:
            return report(kept, notices), holds
        time.sleep(LOOK_AGAIN_S)


def report(kept: Balance, notices: PeriodNotices | None) -> list[str]:
    """Return the report's lines: counts, then what is missing on each side."""
    lines = [
        f"detected: {len(kept.detected)} alarms, of these announced: {len(kept.announced)}",
        f"stored: {len(kept.stored)} alarms",
    ]
    if kept.expired:
        lines.append(f"  of these {len(kept.expired)} are older than what the broker keeps")
    if notices is None:
        lines.append("notified: nobody is to be (no notifications file is set)")
    else:
        lines.append(f"notified: {notices.delivered} of {notices.due} notices")
        lines += [
            f"  held back: {count} ({reason})" for reason, count in notices.held_back.most_common()
        ]
    lines += [f"not stored: {id_}" for id_ in kept.unstored]
    lines += [f"stored, but not on {ALARMS.name}: {id_}" for id_ in kept.undetected]
    lines += [
        f"not notified: {what} to {recipient}: {why}"
        for what, recipient, why in (notices.missing if notices else ())
    ]
    return lines


def read_detected(broker: str, start_ns: int, end_ns: int) -> Detected:
    """Read the steps of alarms with start_ns <= onset < end_ns. Raises UnreachableError."""
    oldest: dict[int, int] = {}

    def keep(kept: TopicMessage[Alarm]) -> bool:
        onset_ns = kept.message.onset_ns
        oldest[kept.partition] = min(oldest.get(kept.partition, onset_ns), onset_ns)
        return start_ns <= onset_ns < end_ns

    found = read(broker, ALARMS, Alarm, keep=keep)
    return Detected(
        [kept.message for kept in found.messages],
        found.partitions,
        {p: oldest.get(p, FOREVER_NS) for p in found.cut},
    )


def read_deliveries(broker: str, start_ns: int, end_ns: int) -> list[Delivery]:
    """Read the Deliveries about alarms with start_ns <= onset < end_ns, in order within each
    patient. Raises UnreachableError."""

    def keep(kept: TopicMessage[Delivery]) -> bool:
        onset = kept.message.alarm_id.rpartition(":")[2]
        return onset.isdecimal() and start_ns <= int(onset) < end_ns

    return [kept.message for kept in read(broker, NOTIFICATIONS, Delivery, keep=keep).messages]


def compare_kept(detected: Detected, sink: Sink, start_ns: int, end_ns: int) -> Balance:
    """Compare broker and store for alarms with start_ns <= onset < end_ns. Raises SinkBusyError if
    the store cannot be read."""
    ids = {alarm.id for alarm in detected.steps}
    patients = {alarm.patient_id for alarm in detected.steps} | set(sink.patients())
    stored = {
        alarm.id: alarm
        for patient in sorted(patients)
        for alarm in sink.read(Alarm, patient, start_ns, end_ns)
    }
    expired = {
        id_
        for id_, alarm in stored.items()
        if id_ not in ids and alarm.onset_ns < _begin_ns(detected, alarm.patient_id)
    }
    return Balance(ids, {a.id for a in detected.steps if a.announced}, set(stored), expired)


def compare_notified(
    steps: Iterable[Alarm], deliveries: Iterable[Delivery], plan: NotificationPlan
) -> PeriodNotices:
    """Compare the notices that the plan asks for with the Deliveries."""
    attempts: defaultdict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        attempts[delivery.id.rpartition("|")[0]].append(delivery)
    due = _notices(plan, steps)
    delivered, held_back, missing = 0, Counter[str](), list[tuple[str, str, str]]()
    for key, (what, recipient) in due.items():
        found = attempts.get(key, [])
        if any(d.outcome == "delivered" for d in found):
            delivered += 1
        elif found and found[-1].outcome == "held back" and found[-1].next_ns is None:
            held_back[found[-1].reason.partition(" by ")[0].partition(" (")[0]] += 1
        else:
            missing.append((what, recipient, _why(found)))
    return PeriodNotices(len(due), delivered, held_back, missing)


def _notices(plan: NotificationPlan, steps: Iterable[Alarm]) -> dict[str, tuple[str, str]]:
    """Return the notices that a plan asks for: by key, the alarm's id and step, and the
    recipient."""
    found: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    for alarm in steps:
        moment = moment_of(alarm, first=alarm.id not in seen)
        if alarm.announced and not alarm.late_s:
            seen.add(alarm.id)
        if moment is not None:
            id_ = moment_id(alarm, moment)
            what = f"{alarm.id} {moment.step}" + (f" {moment.level}" if moment.level else "")
            found |= {
                f"{id_}|{t.recipient}": (what, t.recipient)
                for t in planned_notices(plan, alarm, moment, alarm.changed_ns)
            }
    return found


def _why(found: list[Delivery]) -> str:
    if not found:
        return "no attempt was made: was `ecgwatch notify` running, with this file?"
    last = found[-1]
    if last.next_ns is None:
        return f"attempt {last.attempt}: {last.reason}"
    return f"attempt {last.attempt} {'failed and it is tried again' if last.outcome == 'failed' else 'is still to come'}: {last.reason}"


def _begin_ns(detected: Detected, patient_id: str) -> int:
    """Return the oldest onset left in the patient's partition (by the partitioner of Kafka's own
    clients); 0 if the partition is complete."""
    return detected.begins.get(
        int(murmur2(patient_id.encode()) & 0x7FFFFFFF) % detected.partitions, 0
    )
