"""Detected = stored = notified: what of a period's alarms is on one side and not on another.

Detected are the alarms that ecg.alarms tells of, announced or not; stored are those in the store. A notice is what the notifications file
makes of an announced one: a recipient of its onset, of a later call or, where a rule wants them, of its acknowledgement or end.
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
from stream_processor.notifications.plan import Plan, load, tellings
from stream_processor.notifications.reading import Contents, read
from stream_processor.sinks.base import FOREVER_NS, Sink

SETTLE_S, LOOK_AGAIN_S = 4.0, 1.0  # an alarm is in the store about a second after it was raised, and told soon after


class Kept(NamedTuple):
    """The alarms of a period, on the broker and in the store."""

    detected: set[str]
    announced: set[str]  # of these
    stored: set[str]
    expired: set[str]  # stored, and older than what the broker still keeps

    @property
    def unstored(self) -> list[str]:
        """Detected, and not in the store."""
        return sorted(self.detected - self.stored)

    @property
    def undetected(self) -> list[str]:
        """In the store, and neither on the broker nor too old for it."""
        return sorted(self.stored - self.detected - self.expired)


class Told(NamedTuple):
    """What became of the notices of a period."""

    due: int
    delivered: int
    held_back: Counter[str]  # by reason
    missing: list[tuple[str, str, str]]  # alarm id and step, recipient, why not


def reconcile_period(broker: str, sink: Sink, file: Path | None, start_ns: int, end_ns: int, clock: Clock) -> tuple[list[str], bool]:
    """The report for alarms with start_ns <= onset < end_ns, and whether nothing is missing. `file`: the notifications file, if any.

    What is on its way is no loss: where something is missing it looks again, a few seconds later. Raises UnreachableError, BadInputError,
    and SinkBusyError where the store cannot be read.
    """
    plan = None if file is None else load(file)
    give_up_s = clock.steady_s() + SETTLE_S
    while True:
        alarms = read(broker, ALARMS, Alarm)
        deliveries = None if plan is None else read(broker, NOTIFICATIONS, Delivery)
        kept = compare_kept(alarms, sink, start_ns, end_ns)
        told = None if plan is None or deliveries is None else compare_told(alarms, deliveries, plan, start_ns, end_ns)
        holds = not (kept.unstored or kept.undetected or (told and told.missing))
        if holds or clock.steady_s() >= give_up_s:
            return report(kept, told), holds
        time.sleep(LOOK_AGAIN_S)


def report(kept: Kept, told: Told | None) -> list[str]:
    """Counts, then what is missing on each side."""
    lines = [f"detected: {len(kept.detected)} alarms, of these announced: {len(kept.announced)}", f"stored: {len(kept.stored)} alarms"]
    if kept.expired:
        lines.append(f"  of these {len(kept.expired)} are older than what the broker keeps")
    if told is None:
        lines.append("notified: nobody is to be (no notifications file is set)")
    else:
        lines.append(f"notified: {told.delivered} of {told.due} notices")
        lines += [f"  held back: {count} ({reason})" for reason, count in told.held_back.most_common()]
    lines += [f"not stored: {id_}" for id_ in kept.unstored]
    lines += [f"stored, but not on {ALARMS.name}: {id_}" for id_ in kept.undetected]
    lines += [f"not notified: {what} to {recipient}: {why}" for what, recipient, why in (told.missing if told else ())]
    return lines


def compare_kept(alarms: Contents[Alarm], sink: Sink, start_ns: int, end_ns: int) -> Kept:
    """Compare broker and store for alarms with start_ns <= onset < end_ns. Raises SinkBusyError where the store cannot be read."""
    steps = _within(alarms, start_ns, end_ns)
    detected = {alarm.id for alarm in steps}
    patients = {alarm.patient_id for alarm in steps} | set(sink.patients())
    stored = {alarm.id: alarm for patient in sorted(patients) for alarm in sink.read(Alarm, patient, start_ns, end_ns)}
    only_stored = [alarm for id_, alarm in stored.items() if id_ not in detected]
    return Kept(detected, {a.id for a in steps if a.announced}, set(stored), _expired(alarms, only_stored))


def compare_told(alarms: Contents[Alarm], deliveries: Contents[Delivery], plan: Plan, start_ns: int, end_ns: int) -> Told:
    """Compare what the plan wants told of alarms with start_ns <= onset < end_ns with what was."""
    attempts: defaultdict[str, list[Delivery]] = defaultdict(list)
    for kept in deliveries.messages:
        attempts[kept.message.id.rpartition("|")[0]].append(kept.message)
    due = _notices(plan, _within(alarms, start_ns, end_ns))
    delivered, held_back, missing = 0, Counter[str](), list[tuple[str, str, str]]()
    for key, (what, recipient) in due.items():
        found = attempts.get(key, [])
        if any(d.outcome == "delivered" for d in found):
            delivered += 1
        elif found and found[-1].outcome == "held back" and found[-1].next_ns is None:
            held_back[found[-1].reason.partition(" by ")[0].partition(" (")[0]] += 1
        else:
            missing.append((what, recipient, _why(found)))
    return Told(len(due), delivered, held_back, missing)


def _within(alarms: Contents[Alarm], start_ns: int, end_ns: int) -> list[Alarm]:
    return [kept.message for kept in alarms.messages if start_ns <= kept.message.onset_ns < end_ns]


def _notices(plan: Plan, steps: Iterable[Alarm]) -> dict[str, tuple[str, str]]:
    """By key: the alarm's id and step, and the recipient."""
    found: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    for alarm in steps:
        moment = moment_of(alarm, first=alarm.id not in seen)
        if alarm.announced:
            seen.add(alarm.id)
        if moment is not None:
            id_ = moment_id(alarm, moment)
            what = f"{alarm.id} {moment.step}" + (f" {moment.level}" if moment.level else "")
            found |= {f"{id_}|{t.recipient}": (what, t.recipient) for t in tellings(plan, alarm, moment, alarm.changed_ns)}
    return found


def _why(found: list[Delivery]) -> str:
    if not found:
        return "no attempt was made: was `ecgwatch notify` running, with this file?"
    last = found[-1]
    if last.next_ns is None:
        return f"attempt {last.attempt}: {last.reason}"
    return f"attempt {last.attempt} {'failed and it is tried again' if last.outcome == 'failed' else 'is still to come'}: {last.reason}"


def _expired(alarms: Contents[Alarm], only_stored: Iterable[Alarm]) -> set[str]:
    """Those that began before the oldest one still kept of their partition, where that has lost messages by retention."""
    oldest: dict[int, int] = {}
    for kept in alarms.messages:
        oldest[kept.partition] = min(oldest.get(kept.partition, kept.message.onset_ns), kept.message.onset_ns)
    places = ((a, _partition(a.patient_id, alarms.partitions)) for a in only_stored)
    return {a.id for a, partition in places if partition in alarms.cut and a.onset_ns < oldest.get(partition, FOREVER_NS)}


def _partition(patient_id: str, partitions: int) -> int:
    """Where Kafka's own clients put the patient's messages."""
    return int(murmur2(patient_id.encode()) & 0x7FFFFFFF) % partitions
