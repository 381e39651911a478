"""The notification desk: steps of alarms in, attempts and Deliveries out. Plain logic: no Kafka, no
threads, no network.

Every job (one recipient, one moment of an alarm) ends in a Delivery whose `next_ns` is None:
delivered, given up after a day, held back by a rule, or stopped because somebody acknowledged or
silenced the alarm or because it has called again since. Until then its last Delivery says when it
goes on, so that the topic alone tells a new process what is still open (`restore`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec

from ingest.clock import Clock
from ingest.messages import Alarm, Delivery
from stream_processor.notifications.lane import Job, Lane
from stream_processor.notifications.late import LateAlarms, late_key
from stream_processor.notifications.moments import Moment, is_silenced, moment_id, moment_of
from stream_processor.notifications.plan import Plan, tellings

GIVE_UP_S = 24 * 3600.0
# a message that has waited so long for its first attempt gets a Delivery that says so
SAY_AFTER_S = 10.0
_LOOK_S = 60.0  # how often aged jobs are looked for
_REMEMBERED = 50_000  # alarms; a step of one that is forgotten and comes again is told again
_URGENT = ("onset", "escalated")
_GIVEN_UP = "given up after a day"
_HANDED_OVER = "another process goes on with it"


class Entry(NamedTuple):
    """A Delivery to put on ecg.notifications, and the job it is of."""

    partition: int
    key: str
    delivery: Delivery


class Attempt(NamedTuple):
    """One try of a job."""

    job: Job
    number: int
    started_s: float


@dataclass
class _Past:
    """What is on the broker of a job of an earlier process."""

    partition: int
    last: Delivery  # the one that counts: once delivered, always delivered
    since_ns: int


class NotificationQueue:
    """All recipients and everything that is open. Not safe for several threads."""

    def __init__(self, plan: Plan, clock: Clock) -> None:
        self._plan, self._clock = plan, clock
        self._lanes: dict[str, Lane] = {name: Lane() for name in plan.recipients}
        # announced alarms and the jobs made of them, the longest unheard first
        self._alarms: dict[str, set[str]] = {}
        self._open: defaultdict[str, list[Job]] = defaultdict(list)  # by alarm
        self._past: dict[str, _Past] = {}
        self._unsaid: deque[Job] = deque()  # in order of arrival
        self._look_s = clock.steady_s()
        self._late = LateAlarms(clock)

    @property
    def waiting(self) -> int:
        """Jobs that are open."""
        return sum(len(jobs) for jobs in self._open.values())

    def take(
        self, alarm: Alarm, partition: int, *, replayed: bool = False
    ) -> tuple[list[str], list[Entry]]:
        """Take a step of an alarm: the keys of the jobs that have no Delivery yet, and what is to
        be said at once.

        `replayed`: an earlier process has dealt with this step; only what it left open is taken up.
        """
        entries = self._stop_answered(alarm)
        if alarm.late_s:
            return self._take_late(alarm, partition, replayed), entries
        moment = moment_of(alarm, first=alarm.id not in self._alarms)
        done = self._jobs_of(alarm)
        if moment is None:
            return [], entries
        keys: list[str] = []
        for recipient, held_back in tellings(self._plan, alarm, moment, self._clock.now_ns()):
            key = f"{moment_id(alarm, moment)}|{recipient}"
            past = self._past.pop(key, None)
            if key in done or (past is None and replayed):
                continue
            done.add(key)
            if past is not None and past.last.next_ns is None:
                continue
            job = self._job(key, recipient, alarm, moment, partition, past)
            if past is None:
                keys.append(key)
                if held_back:
                    entries.append(self._entry(job, "held back", held_back))
                    continue
                self._unsaid.append(job)
            entries += self._supersede(job)
            self._open[alarm.id].append(job)
            self._lanes[recipient].add(job)
        return keys, entries

    def restore(
        self,
        deliveries: Iterable[tuple[int, Delivery]],
        alarms: Iterable[tuple[int, Alarm]],
        coming: Iterable[str],
    ) -> list[Entry]:
        """Take over what earlier processes left of some partitions.

        Their Deliveries and the steps of alarms that they have dealt with, with partition, each
        oldest first; `coming`: ids of alarms with steps still to be taken. Returns what closes
        those that nobody is to be told of any more.
        """
        for partition, delivery in deliveries:
            key = delivery.id.rpartition("|")[0]
            past = self._past.setdefault(key, _Past(partition, delivery, delivery.time_ns))
            past.last = past.last if past.last.outcome == "delivered" else delivery
        entries: list[Entry] = []
        for partition, alarm in alarms:
            entries += self.take(alarm, partition, replayed=True)[1]
        still = set(coming)
        for key, past in list(self._past.items()):
            if past.last.alarm_id not in still:
                del self._past[key]
                if past.last.next_ns is not None:
                    reason = "its recipient is no longer told of it by the notifications file, or its alarm is older than a day"
                    entries.append(self._closing(key, past, reason))
        return entries

    def start(self) -> list[Attempt]:
        """The attempts to begin now."""
        now_s = self._clock.steady_s()
        found: list[Attempt] = []
        for lane in self._lanes.values():
            while (job := lane.take(now_s)) is not None:
                found.append(Attempt(job, job.attempts, now_s))
        return found

    def finish(self, attempt: Attempt, failure: str) -> list[Entry]:
        """An attempt has ended, with the reason where it failed."""
        job, lane, now_s = attempt.job, self._lanes[attempt.job.recipient], self._clock.steady_s()
        job.in_flight = False
        lane.in_flight -= 1
        if not failure:
            return self._delivered(attempt)
        lane.failed(job, now_s)
        if job.closed == _HANDED_OVER:
            return []
        next_ns = self._clock.now_ns() + round((job.due_s - now_s) * 1e9)
        if job.closed:
            return [
                self._entry(job, "failed", failure, next_ns, attempt.number),
                self._entry(job, "held back", job.closed),
            ]
        if now_s - job.since_s >= GIVE_UP_S:
            self._close(job, _GIVEN_UP)
            return [self._entry(job, "failed", f"{failure}; {_GIVEN_UP}", attempt=attempt.number)]
        lane.add(job)
        return [self._entry(job, "failed", failure, next_ns, attempt.number)]

    def late(self, attempt: Attempt) -> list[Entry]:
        """An attempt that `finish` was told had failed has succeeded after all: no further one is
        needed."""
        return [] if attempt.job.closed else self._delivered(attempt)

    def tick(self) -> list[Entry]:
        """What is to be said because time has passed: messages that wait for a recipient who is
        away, and those given up."""
        now_s, entries = self._clock.steady_s(), self._tell_late()
        while self._unsaid and (
            self._unsaid[0].closed
            or self._unsaid[0].attempts
            or now_s - self._unsaid[0].since_s >= SAY_AFTER_S
        ):
            job = self._unsaid.popleft()
            if not job.closed and not job.attempts:
                reason = (
                    "waits its turn: the recipient does not answer"
                    if self._lanes[job.recipient].away
                    else "waits its turn"
                )
                entries.append(self._entry(job, "held back", reason, self._clock.now_ns()))
        if now_s >= self._look_s:
            self._look_s = now_s + _LOOK_S
            aged = [
                j
                for jobs in self._open.values()
                for j in jobs
                if not j.in_flight and now_s - j.since_s >= GIVE_UP_S
            ]
            for job in aged:
                self._close(job, _GIVEN_UP)
                entries.append(self._entry(job, "failed", _GIVEN_UP))
        return entries

    def _take_late(self, alarm: Alarm, partition: int, replayed: bool) -> list[str]:
        """Keep an alarm that came late for one message with others of its patient; the keys of the
        jobs that this will be."""
        if alarm.step != "onset" or not alarm.announced:
            return []
        moment = Moment("late", 0)
        told = tellings(self._plan, alarm, moment, self._clock.now_ns())
        keys = [
            self._late.add(alarm, name, partition)
            for name, held_back in told
            if not held_back and (not replayed or late_key(alarm, name) in self._past)
        ]
        return [key for key in keys if key]

    def _tell_late(self) -> list[Entry]:
        for batch in self._late.due():
            moment = Moment("late", batch.count, batch.since_ns, batch.until_ns)
            past = self._past.pop(batch.key, None)
            if past is not None and past.last.next_ns is None:
                continue
            job = self._job(batch.key, batch.recipient, batch.worst, moment, batch.partition, past)
            if past is None:
                self._unsaid.append(job)
            self._open[job.alarm.id].append(job)
            self._lanes[job.recipient].add(job)
        return []

    def forget(self, partitions: Iterable[int]) -> None:
        """The partitions belong to another process now, which takes up what is open."""
        gone = set(partitions)
        self._late.forget(gone)
        for jobs in list(self._open.values()):
            for job in [j for j in jobs if j.partition in gone]:
                self._close(job, _HANDED_OVER)
                self._alarms.pop(job.alarm.id, None)

    def _jobs_of(self, alarm: Alarm) -> set[str]:
        """The keys of the jobs made of an alarm so far; remembers it as announced if it is."""
        done = self._alarms.pop(alarm.id, set())
        if alarm.announced:
            self._alarms[alarm.id] = done
        while len(self._alarms) > _REMEMBERED:
            del self._alarms[next(iter(self._alarms))]
        return done

    def _job(
        self,
        key: str,
        recipient: str,
        alarm: Alarm,
        moment: Moment,
        partition: int,
        past: _Past | None,
    ) -> Job:
        now_s, now_ns = self._clock.steady_s(), self._clock.now_ns()
        if past is None:
            return Job(key, recipient, alarm, moment, partition, now_ns, now_s)
        attempts = past.last.attempt if past.last.outcome == "failed" else past.last.attempt - 1
        age_s, wait_s = (now_ns - past.since_ns) / 1e9, ((past.last.next_ns or 0) - now_ns) / 1e9
        return Job(
            key,
            recipient,
            alarm,
            moment,
            partition,
            past.since_ns,
            now_s - age_s,
            attempts,
            now_s + max(wait_s, 0.0),
        )

    def _delivered(self, attempt: Attempt) -> list[Entry]:
        self._close(attempt.job, "delivered")
        self._lanes[attempt.job.recipient].succeeded()
        return [self._entry(attempt.job, "delivered", attempt=attempt.number)]

    def _stop_answered(self, alarm: Alarm) -> list[Entry]:
        """Stop what calls for somebody to come, once somebody has."""
        silenced = alarm.step == "silenced" and is_silenced(alarm)
        if alarm.step != "acknowledged" and not silenced:
            return []
        reason = "silenced" if silenced else f"acknowledged by {alarm.acknowledged_by}"
        jobs = [job for job in self._open.get(alarm.id, ()) if job.moment.step in _URGENT]
        return [entry for job in jobs for entry in self._stop(job, reason)]

    def _supersede(self, new: Job) -> list[Entry]:
        if new.moment.step not in _URGENT:
            return []
        older = [
            j
            for j in self._open.get(new.alarm.id, ())
            if j.recipient == new.recipient and j.moment.step in _URGENT
        ]
        return [
            entry
            for job in older
            for entry in self._stop(job, f"the alarm has called again (level {new.moment.level})")
        ]

    def _stop(self, job: Job, reason: str) -> list[Entry]:
        """Close a job; one in flight says so itself when it lands."""
        self._close(job, reason)
        return [] if job.in_flight else [self._entry(job, "held back", reason)]

    def _close(self, job: Job, reason: str) -> None:
        job.closed = reason
        jobs = self._open.get(job.alarm.id, [])
        if job in jobs:
            jobs.remove(job)
        if not jobs:
            self._open.pop(job.alarm.id, None)

    def _entry(
        self,
        job: Job,
        outcome: Literal["delivered", "failed", "held back"],
        reason: str = "",
        next_ns: int | None = None,
        attempt: int = 0,
    ) -> Entry:
        """`attempt`: the one it tells of; otherwise the last one that failed, or the one that was
        not made."""
        number = attempt or (job.attempts if outcome == "failed" else job.attempts + 1)
        delivery = Delivery(
            patient_id=job.alarm.patient_id,
            time_ns=self._clock.now_ns(),
            id=f"{job.key}|{number}",
            alarm_id=job.alarm.id,
            kind=job.alarm.kind,
            priority=job.alarm.priority,
            step=job.moment.step,
            recipient=job.recipient,
            attempt=number,
            outcome=outcome,
            reason=reason,
            next_ns=next_ns,
        )
        return Entry(job.partition, job.key, delivery)

    def _closing(self, key: str, past: _Past, reason: str) -> Entry:
        delivery = msgspec.structs.replace(
            past.last,
            time_ns=self._clock.now_ns(),
            outcome="held back",
            reason=reason,
            next_ns=None,
        )
        return Entry(past.partition, key, delivery)
