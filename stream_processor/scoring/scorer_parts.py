"""What the live scorer remembers of a partition number: its patients, how far each topic is read, and what may be committed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ingest import topics
from ingest.messages import Alarm, Beat, Reference, Rhythm, Score
from stream_processor.scoring.live import LiveScore

INPUTS: dict[str, type[Reference] | type[Beat] | type[Rhythm] | type[Alarm]] = {
    topics.REFERENCE.name: Reference, topics.BEATS.name: Beat, topics.RHYTHM.name: Rhythm, topics.ALARMS.name: Alarm,
}  # fmt: skip
RECENT = 32  # messages kept of a patient without annotations, about 20 s; an annotation comes before what we make of its beat
FEW = 50_000  # messages: seconds to read
Raw = tuple[str, int, bytes]  # topic, offset, value


@dataclass
class Patient:
    """One patient with annotations."""

    live: LiveScore
    heard_s: float  # when a message last came, by the steady clock
    since: dict[str, int] = field(default_factory=dict)  # by topic, the first message that is in no saved state yet
    last: Score | None = None
    saved: int | None = None  # offset in ecg.scores of the newest saved state


@dataclass
class Part:
    """One partition number of all topics."""

    positions: dict[str, int]  # next message, by topic
    patients: dict[bytes, Patient] = field(default_factory=dict)  # those with annotations, by key
    marked_s: float = 0.0
    marked: dict[bytes, dict[int, int]] | None = None  # what the rhythms had reached at that time
    ends: dict[str, tuple[int, int]] | None = None  # begins and ends of the topics, a while after that
    committed: dict[str, int] = field(default_factory=dict)
    _recent: dict[bytes, deque[Raw]] = field(default_factory=dict)
    _before: dict[bytes, deque[Raw]] = field(default_factory=dict)  # of patients not heard of since `forget`

    def remember(self, key: bytes, raw: Raw) -> None:
        """Keep a message of a patient without annotations for a while."""
        found = self._recent.get(key)
        if found is None:
            found = self._recent[key] = self._before.pop(key) if key in self._before else deque(maxlen=RECENT)
        found.append(raw)

    def remembered(self, key: bytes) -> list[Raw]:
        """What was kept of a patient, oldest first; it is kept no longer."""
        return [*self._before.pop(key, ()), *self._recent.pop(key, ())]

    def forget(self) -> None:
        """Called now and then: forget who was not heard of since the last call."""
        self._before, self._recent = self._recent, {}

    def to_commit(self) -> dict[str, int]:
        """The first message of each topic that a restart would need."""
        offsets = {t: min([at, *(p.since[t] for p in self.patients.values() if t in p.since)]) for t, at in self.positions.items()}
        saved = [p.saved for p in self.patients.values() if p.saved is not None]
        return offsets | ({topics.SCORES.name: min(saved)} if saved else {})


def fresh_start(marks: dict[str, tuple[int, int]]) -> dict[str, int]:
    """Where a new group starts: with the first message, if all there ever was is still there and is not much, else with what comes next.

    Topics that have lost their first messages begin at different times, and beats without annotations would count as false.
    """
    whole = all(begin == 0 for begin, _ in marks.values()) and sum(end for _, end in marks.values()) <= FEW
    return {name: 0 if whole else end for name, (_, end) in marks.items()}
