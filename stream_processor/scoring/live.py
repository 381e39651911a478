"""Live scoring of one patient: which stream a message belongs to, and when a stream's score is
given.

A replay that begins again, or another record for the same patient, is another stream: it has
another start (time less sample / frequency). Reference annotations do not tell their sampling
frequency, so they wait for a stream that they fit, to the nanosecond.
"""

from __future__ import annotations

from collections import deque

import msgspec

from ingest.messages import Alarm, Beat, Reference, Rhythm, Score
from stream_processor.scoring.live_state import start_of
from stream_processor.scoring.live_stream import StreamScore

OPEN_STREAMS = 2  # the newest, and the one before, whose last messages may still come
REMEMBERED = 16  # starts of streams that are over: what comes again of them is no new stream
EARLY = 200  # alarms that no stream fits; one of a stream that is over may still be acknowledged
WAITING = 200_000  # annotations that no stream fits; about two days of a record


class _Snapshot(msgspec.Struct):
    streams: list[bytes]
    waiting: list[Reference]
    early: list[Alarm]
    over: list[int]


class LiveScore:
    """Takes a patient's messages, gives Scores. Each topic comes in order, at its own pace, perhaps
    more than once; the end is the same."""

    def __init__(self) -> None:
        self._streams: list[StreamScore] = []  # oldest first
        self._waiting: dict[tuple[int, int, str, str], Reference] = {}
        self._early: deque[Alarm] = deque(maxlen=EARLY)
        self._over: deque[int] = deque(maxlen=REMEMBERED)

    def take(self, message: Reference | Beat | Rhythm | Alarm) -> list[Score]:
        """Take note of a message. Scores come of it where it opens a stream and thereby ends an
        older one."""
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
        """For each stream, by its start, the sample up to which we have decided; `advance` takes it
        once all before has been taken."""
        return {s.start_ns: s.reached for s in self._streams}

    def advance(self, reached: dict[int, int]) -> list[Score]:
        """Scores up to what `reached` has said earlier, since when every message sent before has
        been taken."""
        return [score for s in self._streams for score in s.advance(reached.get(s.start_ns, 0))]

    def finish(self) -> list[Score]:
        """Scores up to the end, for when nothing has come for a while; again, when more has come
        nevertheless."""
        return [score for s in self._streams for score in s.finish()]

    @property
    def done(self) -> bool:
        """Whether `finish` would give nothing."""
        return all(s.done for s in self._streams)

    def late(self) -> int:
        """How many messages came after their time was judged for good, since last asked."""
        return sum(s.late() for s in self._streams)

    def snapshot(self) -> bytes:
        """All that is remembered, for `restore`."""
        streams = [s.snapshot() for s in self._streams]
        return msgspec.msgpack.encode(
            _Snapshot(streams, list(self._waiting.values()), list(self._early), list(self._over))
        )

    @classmethod
    def restore(cls, state: bytes) -> LiveScore:
        """What gave this snapshot. Raises msgspec.DecodeError for anything else."""
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
