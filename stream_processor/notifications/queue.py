"""The notification queue: takes steps of alarms, returns attempts and Deliveries. Plain logic, without
Kafka, threads or network.

A job is one moment of an alarm for one recipient. Every job ends in a Delivery whose `next_ns` is
None: delivered, given up after a day, suppressed by a rule, or stopped because somebody acknowledged
or silenced the alarm or because the alarm has re-alarmed since. Until then its last Delivery says
when it goes on, so that a new process can restore the open jobs from the topic alone (`restore`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Literal, NamedTuple

from ingest.clock import Clock
from ingest.messages import Alarm, Delivery
from stream_processor.notifications.entries import DeliveryEntry, entry_of
from stream_processor.notifications.lane import Job, RecipientQueue
from stream_processor.notifications.late import LateAlarms, late_key
from stream_processor.notifications.moments import AlarmMoment, is_silenced, moment_id, moment_of
from stream_processor.notifications.past_jobs import PastJobs, make_job
from stream_processor.notifications.plan import NotificationPlan, planned_notices

GIVE_UP_S = 24 * 3600.0
# a job that waits this long for its first attempt gets a Delivery that says so
SAY_AFTER_S = 10.0
_LOOK_S = 60.0  # interval at which jobs that are too old are looked for
_REMEMBERED = 50_000  # alarms; a repeated step of a forgotten alarm is notified again
_URGENT = ("onset", "escalated")
_GIVEN_UP = "given up after a day"
_HANDED_OVER = "another process goes on with it"


class Attempt(NamedTuple):
    """One attempt of a job."""

    job: Job
    number: int
    started_s: float


class NotificationQueue:
    """Holds the open jobs of all recipients. Not safe for several threads."""

    def __init__(self, plan: NotificationPlan, clock: Clock) -> None:
        self._plan, self._clock = plan, clock
        self._lanes: dict[str, RecipientQueue] = {
            name: RecipientQueue() for name in plan.recipients
        }
        # announced alarms and the keys of their jobs, the longest without a step first
        self._alarms: dict[str, set[str]] = {}
        self._open: defaultdict[str, list[Job]] = defaultdict(list)  # by alarm
        self._past = PastJobs()
        self._unsaid: deque[Job] = (
            deque()
        )  # jobs that may need a Delivery that they wait, in order of arrival
        self._look_s = clock.steady_s()
        self._late = LateAlarms(clock)

    @property
    def waiting(self) -> int:
        """Number of open jobs."""
        return sum(len(jobs) for jobs in self._open.values())

    def take(
        self, alarm: Alarm, partition: int, *, replayed: bool = False
    ) -> tuple[list[str], list[DeliveryEntry]]:
        """Make jobs of a step of an alarm.

        Args:
            alarm: the step.
            partition: of ecg.alarms, and so of its Deliveries.
            replayed: an earlier process has handled this step; only the jobs that it left open are
                taken up.

        Returns the keys of the jobs that have no Delivery yet, and Deliveries to write at once.
        """
        entries = self._stop_answered(alarm)
        if alarm.late_s:
            return self._take_late(alarm, partition, replayed), entries
        moment = moment_of(alarm, first=alarm.id not in self._alarms)
        done = self._jobs_of(alarm)
        if moment is None:
            return [], entries
        keys: list[str] = []
        for recipient, held_back in planned_notices(
            self._plan, alarm, moment, self._clock.now_ns()
        ):
            key = f"{moment_id(alarm, moment)}|{recipient}"
            past = self._past.pop(key)
            if key in done or (past is None and replayed):
                continue
            done.add(key)
            if past is not None and past.closed:
                continue
            job = make_job(key, recipient, alarm, moment, partition, past, self._clock)
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
    ) -> list[DeliveryEntry]:
        """Take over what earlier processes left open in some partitions.

        Args:
            deliveries: their Deliveries with partition, oldest first.
            alarms: the steps of alarms that they have handled, with partition, oldest first.
            coming: ids of alarms with steps still to be taken.

        Returns Deliveries that close the jobs which no rule asks for any more.
        """
        for partition, delivery in deliveries:
            self._past.add(partition, delivery)
        entries: list[DeliveryEntry] = []
        for partition, alarm in alarms:
            entries += self.take(alarm, partition, replayed=True)[1]
        return entries + self._past.close_others(set(coming), self._clock.now_ns())

    def start(self) -> list[Attempt]:
        """Return the attempts to begin now."""
        now_s = self._clock.steady_s()
        found: list[Attempt] = []
        for lane in self._lanes.values():
            while (job := lane.take(now_s)) is not None:
                found.append(Attempt(job, job.attempts, now_s))
        return found

    def finish(self, attempt: Attempt, failure: str) -> list[DeliveryEntry]:
        """Record that an attempt has ended; `failure` is the reason, or "" if it succeeded."""
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

    def late(self, attempt: Attempt) -> list[DeliveryEntry]:
        """Record that an attempt which was finished as failed has succeeded after all, so that no
        further one is made."""
        return [] if attempt.job.closed else self._delivered(attempt)

    def tick(self) -> list[DeliveryEntry]:
        """Return the Deliveries due because time has passed: of jobs that wait for a recipient who is
        away, and of jobs given up."""
        self._start_late()
        now_s, entries = self._clock.steady_s(), list[DeliveryEntry]()
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
        """Gather a late alarm for one message with others of its patient; return the keys of the jobs
        that this will become."""
        if alarm.step != "onset" or not alarm.announced:
            return []
        moment = AlarmMoment("late", 0)
        recipients = planned_notices(self._plan, alarm, moment, self._clock.now_ns())
        keys = [
            self._late.add(alarm, name, partition)
            for name, held_back in recipients
            if not held_back and (not replayed or late_key(alarm, name) in self._past)
        ]
        return [key for key in keys if key]

    def _start_late(self) -> None:
        """Make jobs of the late alarms that have been gathered."""
        for batch in self._late.due():
            moment = AlarmMoment("late", batch.count, batch.since_ns, batch.until_ns)
            past = self._past.pop(batch.key)
            if past is not None and past.closed:
                continue
            job = make_job(
                batch.key, batch.recipient, batch.worst, moment, batch.partition, past, self._clock
            )
            if past is None:
                self._unsaid.append(job)
            self._open[job.alarm.id].append(job)
            self._lanes[job.recipient].add(job)

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop the open jobs of partitions that another process has taken over."""
        gone = set(partitions)
        self._late.forget(gone)
        for jobs in list(self._open.values()):
            for job in [j for j in jobs if j.partition in gone]:
                self._close(job, _HANDED_OVER)
                self._alarms.pop(job.alarm.id, None)

    def _jobs_of(self, alarm: Alarm) -> set[str]:
        """Return the keys of the jobs made of an alarm so far; remember the alarm if it is announced."""
        done = self._alarms.pop(alarm.id, set())
        if alarm.announced:
            self._alarms[alarm.id] = done
        while len(self._alarms) > _REMEMBERED:
            del self._alarms[next(iter(self._alarms))]
        return done

    def _delivered(self, attempt: Attempt) -> list[DeliveryEntry]:
        self._close(attempt.job, "delivered")
        self._lanes[attempt.job.recipient].succeeded()
        return [self._entry(attempt.job, "delivered", attempt=attempt.number)]

    def _stop_answered(self, alarm: Alarm) -> list[DeliveryEntry]:
        """Stop the urgent jobs of an alarm once somebody has acknowledged or silenced it."""
        silenced = alarm.step == "silenced" and is_silenced(alarm)
        if alarm.step != "acknowledged" and not silenced:
            return []
        reason = "silenced" if silenced else f"acknowledged by {alarm.acknowledged_by}"
        jobs = [job for job in self._open.get(alarm.id, ()) if job.moment.step in _URGENT]
        return [entry for job in jobs for entry in self._stop(job, reason)]

    def _supersede(self, new: Job) -> list[DeliveryEntry]:
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
            for entry in self._stop(job, f"the alarm has re-alarmed (level {new.moment.level})")
        ]

    def _stop(self, job: Job, reason: str) -> list[DeliveryEntry]:
        """Close a job; `finish` writes the Delivery of one that is in flight."""
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
    ) -> DeliveryEntry:
        return entry_of(job, self._clock.now_ns(), outcome, reason, next_ns, attempt)
