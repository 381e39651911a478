"""Waiting line of the notifications to one recipient, and the times of their attempts.

New jobs are attempted at once, a few at a time; a failed one is tried again after 5 s, 10 s, 20 s
and so on up to a minute. After three failures in a row the recipient counts as away: then only one
attempt runs at a time, and repeats wait for the recipient's own back-off, so that a thousand
waiting jobs do not make a thousand attempts a minute. The first success makes all of them due.
Every recipient has a lane of its own, so that one whose service hangs delays nobody else.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from ingest.messages import Alarm, Priority
from stream_processor.notifications.moments import AlarmMoment

AT_ONCE = 8  # attempts in flight to one recipient
AWAY_AFTER = 3  # failures in a row
FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 60.0
_RANK: dict[Priority, int] = {"high": 0, "medium": 1, "low": 2}


@dataclass(eq=False)
class Job:
    """Notification of one recipient about one moment of an alarm."""

    key: str  # the moment's id and the recipient
    recipient: str
    alarm: Alarm
    moment: AlarmMoment
    partition: int  # of ecg.alarms, and so of its Deliveries
    since_ns: int  # when it was taken up, by the wall clock
    since_s: float  # the same, by the steady clock
    attempts: int = 0
    due_s: float = 0.0
    in_flight: bool = False
    closed: str = ""  # reason why no further attempt is made; empty while open


@dataclass
class RecipientQueue:
    """The jobs of one recipient that wait for an attempt, and the state of the recipient."""

    in_flight: int = 0
    failures: int = 0  # in a row
    retry_s: float = 0.0  # time of the next repeat while the recipient is away
    _silences: int = 0  # number of back-offs since the recipient went away
    # by priority, then order of arrival
    _fresh: list[tuple[int, int, Job]] = field(default_factory=list)
    _again: list[tuple[float, int, Job]] = field(default_factory=list)  # by due time
    _count: int = 0

    @property
    def away(self) -> bool:
        """True if the recipient does not answer."""
        return self.failures >= AWAY_AFTER

    def add(self, job: Job) -> None:
        """Let a job wait for its first or next attempt."""
        self._count += 1
        if job.attempts == 0:
            heapq.heappush(self._fresh, (_RANK[job.alarm.priority], self._count, job))
        else:
            heapq.heappush(self._again, (job.due_s, self._count, job))

    def take(self, now_s: float) -> Job | None:
        """Hand out the next job to attempt, marked as in flight; None if no job is due or enough
        are in flight."""
        if self.in_flight >= (1 if self.away else AT_ONCE):
            return None
        job = self._next(now_s)
        if job is not None:
            job.in_flight = True
            job.attempts += 1
            self.in_flight += 1
        return job

    def succeeded(self) -> None:
        """Record that the recipient has answered, so that every waiting job is due."""
        if self.away:
            again, self._again = self._again, []
            for _, _, job in sorted(
                again, key=lambda item: (_RANK[item[2].alarm.priority], item[1])
            ):
                job.due_s = 0.0
                self.add(job)
        self.failures, self.retry_s, self._silences = 0, 0.0, 0

    def failed(self, job: Job, now_s: float) -> None:
        """Record that an attempt failed, and set when the job is due again."""
        self.failures += 1
        job.due_s = now_s + _backoff_s(job.attempts)
        if self.away:
            # new jobs that fail meanwhile do not postpone the repeats
            if now_s >= self.retry_s:
                self._silences += 1
                self.retry_s = now_s + _backoff_s(self._silences)
            job.due_s = max(job.due_s, self.retry_s)

    def _next(self, now_s: float) -> Job | None:
        """Choose new jobs first; while the recipient is away, a repeat that is due first, so that
        new jobs cannot keep it waiting."""
        if self.away:
            return self._repeat(now_s) or self._new()
        return self._new() or self._repeat(now_s)

    def _new(self) -> Job | None:
        while self._fresh:
            job = heapq.heappop(self._fresh)[2]
            if not job.closed:
                return job
        return None

    def _repeat(self, now_s: float) -> Job | None:
        while self._again and self._again[0][0] <= now_s and now_s >= self.retry_s:
            job = heapq.heappop(self._again)[2]
            if not job.closed:
                return job
        return None


def _backoff_s(tries: int) -> float:
    return min(FIRST_RETRY_S * 2.0 ** min(tries - 1, 10), LONGEST_RETRY_S)
