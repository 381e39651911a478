"""Plays annotated records to the monitor's page at record time: play, pause, speed, go to."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

import msgspec

from dashboards.monitor.live.feed import Arrival, Deliver, Followed
from ecgwatch.viewing.annotated import AnnotatedRecord, open_store
from ingest.clock import Clock
from ingest.messages import Action, Alarm, Beat, Edit, Rhythm, SampleChunk, Vitals

TICK_S = 0.05
LEAD_S = 3.0  # of signal that is there at once when playing begins somewhere
MOST_LEFT_S = 2.0  # a machine that was asleep does not catch up
SPEEDS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
BEAT_DELAY_S = 1.0  # as live: a beat is reported about a second after its R peak
_SHIFT_S = 10


class Cue(NamedTuple):
    """A message, and the second of the record at which it is delivered."""

    due_s: float
    message: Followed


class Player:
    """A Feed of the monitor. All records share one position, in seconds from their start."""

    def __init__(self, records: Sequence[AnnotatedRecord], clock: Clock) -> None:
        self.clock = clock
        self._cues = sorted(
            (cue for record in records for cue in cues(record)), key=lambda cue: cue.due_s
        )
        self._due = [cue.due_s for cue in self._cues]
        self.length_s = max(record.length_s for record in records)
        self.at_s, self.speed, self.playing = 0.0, 1.0, True
        self._stepped_s = clock.steady_s()
        self._next = 0
        self._jumps = 0
        self._orders: deque[Action | Edit] = deque()

    @property
    def connected(self) -> bool:
        return True

    def go(self, at_s: float) -> None:
        """Play on from here."""
        self.at_s = min(max(0.0, at_s), self.length_s)
        self._next = bisect_right(self._due, max(0.0, self.at_s - LEAD_S))
        self._jumps += 1
        self.playing = True

    def take_order(self, order: Action | Edit) -> None:
        """Deliver what a person said. Safe to call from any thread."""
        self._orders.append(order)

    async def run(self, deliver: Deliver) -> None:
        while True:
            now_s = self.clock.steady_s()
            if messages := self.step(now_s):
                deliver([Arrival(message, now_s) for message in messages])
            await asyncio.sleep(TICK_S)

    def step(self, now_s: float) -> list[Followed]:
        """Play up to this time of the steady clock; returns what is due."""
        passed_s, self._stepped_s = now_s - self._stepped_s, now_s
        due: list[Followed] = list(self._take_orders())
        if not self.playing:
            return due
        self.at_s += min(passed_s, MOST_LEFT_S) * self.speed
        ended = self.at_s >= self.length_s
        if ended:
            self.at_s, self.playing = self.length_s, False
        return [*due, *self._take_due(math.inf if ended else self.at_s)]

    def _take_orders(self) -> Iterator[Action | Edit]:
        while self._orders:
            yield self._orders.popleft()

    def _take_due(self, to_s: float) -> Iterator[Followed]:
        while self._next < len(self._cues) and self._due[self._next] <= to_s:
            message = self._cues[self._next].message
            self._next += 1
            yield self._shifted(message) if isinstance(message, SampleChunk) else message

    def _shifted(self, chunk: SampleChunk) -> SampleChunk:
        """After each jump the sample numbers begin elsewhere, by which the monitor knows another
        stream and wipes the screen."""
        first = chunk.first_sample + round(self._jumps * _SHIFT_S * chunk.fs_hz)
        return msgspec.structs.replace(chunk, first_sample=first)


def cues(record: AnnotatedRecord) -> Iterator[Cue]:
    """Return all messages that a live page would get of a record, each with its time."""

    def after_s(time_ns: int) -> float:
        return (time_ns - record.start_ns) / 1e9

    for chunk in record.chunks:
        yield Cue((chunk.first_sample + chunk.n) / chunk.fs_hz, chunk)
    for reference in record.references:
        yield Cue(after_s(reference.time_ns) + BEAT_DELAY_S, reference)
    with closing(open_store(record.store)) as store:
        for beat in store.read(Beat, record.name):
            yield Cue(after_s(beat.time_ns) + BEAT_DELAY_S, beat)
        for vitals in store.read(Vitals, record.name):
            yield Cue(after_s(vitals.time_ns), vitals)
        for rhythm in store.read(Rhythm, record.name):
            yield Cue(after_s(rhythm.start_ns), rhythm)
        for alarm in store.read(Alarm, record.name):
            began = msgspec.structs.replace(alarm, end_ns=None, end_sample=None, step="onset")
            yield Cue(after_s(alarm.raised_ns), began)
            yield Cue(max(after_s(alarm.end_ns or 0), after_s(alarm.raised_ns)), alarm)
