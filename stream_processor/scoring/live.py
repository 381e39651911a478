"""Live scoring of one patient: assigns each message to its stream and returns the streams' Scores.

A replay that begins again, or another record of the same patient, is another stream: it has another
start (time less sample / frequency). Reference annotations carry no sampling frequency, so they
wait for a stream whose start they match to the nanosecond.
"""

from __future__ import annotations

from collections import deque

import msgspec

from ingest.messages import Alarm, Beat, Reference, Rhythm, Score
from stream_processor.scoring.live_state import start_of
from stream_processor.scoring.live_stream import StreamScore

OPEN_STREAMS = 2  # the newest one, and the one before, whose last messages may still arrive
REMEMBERED = 16  # starts of finished streams: their messages, repeated, open no new stream
EARLY = 200  # alarms kept without a stream; an alarm of a finished stream may still be acknowledged
WAITING = 200_000  # annotations kept without a stream; about two days of a record


class _Snapshot(msgspec.Struct):
    streams: list[bytes]
    waiting: list[Reference]
    early: list[Alarm]
    over: list[int]


class LiveScore:
    """Scores the streams of one patient. Each topic must arrive in order; it may arrive at its own
    pace and more than once without changing the final Score."""

    def __init__(self) -> None:
        self._streams: list[StreamScore] = []  # oldest first
        self._waiting: dict[tuple[int, int, str, str], Reference] = {}
        self._early: deque[Alarm] = deque(maxlen=EARLY)
        self._over: deque[int] = deque(maxlen=REMEMBERED)

    def take(self, message: Reference | Beat | Rhythm | Alarm) -> list[Score]:
        """Add a message; return the last Scores of an older stream if it opens a new one."""
        if isinstance(message, Reference):
            self._take_reference(message)
            return []
        start_ns = start_of(message)
        stream = next((s for s in self._streams if s.start_ns == start_ns), None)
        scores: list[Score] = []
        if stream is None:
            if start_ns in self._over:
                return []
            if isinstance(message, Alarm):
                self._early.append(message)
                return []
            stream = StreamScore.open(message)
            scores = self._open(stream)
        stream.take(message)
        return scores

    def reached(self) -> dict[int, int]:
        """Return, by start of stream, the sample up to which our rhythm is decided. Give it to
        `advance` once every message sent before has been taken."""
        return {s.start_ns: s.reached for s in self._streams}

    def advance(self, reached: dict[int, int]) -> list[Score]:
        """Score up to an earlier result of `reached`, after every message sent before it has been
        taken."""
        return [score for s in self._streams for score in s.advance(reached.get(s.start_ns, 0))]

    def finish(self) -> list[Score]:
        """Score everything that has arrived, to be called when no message has arrived for a while;
        it may be called again if more arrive."""
        return [score for s in self._streams for score in s.finish()]

    @property
    def done(self) -> bool:
        """True if `finish` would return no Score."""
        return all(s.done for s in self._streams)

    def late(self) -> int:
        """Return how many messages arrived after their time was settled, since the last call."""
        return sum(s.late() for s in self._streams)

    def snapshot(self) -> bytes:
        """Return the state as MessagePack, for `restore`."""
        streams = [s.snapshot() for s in self._streams]
        return msgspec.msgpack.encode(
            _Snapshot(streams, list(self._waiting.values()), list(self._early), list(self._over))
        )

    @classmethod
    def restore(cls, state: bytes) -> LiveScore:
        """Go on from a snapshot. Raises msgspec.DecodeError for anything else."""
        loaded, score = msgspec.msgpack.decode(state, type=_Snapshot), cls()
        score._streams = [StreamScore.restore(s) for s in loaded.streams]
        score._early.extend(loaded.early)
        score._over.extend(loaded.over)
        for message in loaded.waiting:
            score._wait(message)
        return score

    def _take_reference(self, message: Reference) -> None:
        for stream in self._streams:
            if stream.owns(message):
                return stream.take(message)
        return self._wait(message)

    def _wait(self, message: Reference) -> None:
        self._waiting[message.time_ns, message.sample, message.symbol, message.aux] = message
        if len(self._waiting) > WAITING:
            del self._waiting[next(iter(self._waiting))]

    def _open(self, stream: StreamScore) -> list[Score]:
        for key, message in list(self._waiting.items()):
            if stream.owns(message):
                stream.take(self._waiting.pop(key))
        for alarm in [a for a in self._early if start_of(a) == stream.start_ns]:
            stream.take(alarm)
            self._early.remove(alarm)
        self._streams.append(stream)
        if len(self._streams) <= OPEN_STREAMS:
            return []
        oldest = self._streams.pop(0)
        self._over.append(oldest.start_ns)
        return oldest.finish()
