"""State of the live scorer for one partition number: its patients, the positions in each topic, and
the offsets that may be committed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ingest import topics
from ingest.messages import Alarm, Beat, Reference, Rhythm, Score
from stream_processor.scoring.live import LiveScore

INPUTS: dict[str, type[Reference] | type[Beat] | type[Rhythm] | type[Alarm]] = {
    topics.REFERENCE.name: Reference,
    topics.BEATS.name: Beat,
    topics.RHYTHM.name: Rhythm,
    topics.ALARMS.name: Alarm,
}
# messages of patients without annotations that are kept before `look_through` runs early: some MB
HELD = 20_000
FEW = 50_000  # messages that take seconds to read
Raw = tuple[str, int, bytes]  # topic, offset, value


@dataclass
class ScoredPatient:
    """One patient with annotations."""

    live: LiveScore
    heard_s: float  # time of the last message, steady clock
    # by topic, the offset of the first message that no saved state contains
    since: dict[str, int] = field(default_factory=dict)
    last: Score | None = None
    saved: int | None = None  # offset in ecg.scores of the newest saved state


@dataclass
class PendingMessages:
    """Messages of patients for whom no annotation has arrived yet."""

    by_key: dict[bytes, list[Raw]] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)  # by topic, the first offset
    n: int = 0

    def add(self, key: bytes, raw: Raw) -> None:
        """Keep a message."""
        self.by_key.setdefault(key, []).append(raw)
        self.first.setdefault(raw[0], raw[1])
        self.n += 1


@dataclass
class PartitionState:
    """State of one partition number of all topics."""

    positions: dict[str, int]  # offset of the next message, by topic
    patients: dict[bytes, ScoredPatient] = field(
        default_factory=dict
    )  # those with annotations, by key
    marked_s: float = 0.0
    marked: dict[bytes, dict[int, int]] | None = None  # `reached` of each patient at that time
    # begin and end of each topic, a moment later
    ends: dict[str, tuple[int, int]] | None = None
    committed: dict[str, int] = field(default_factory=dict)
    _held: PendingMessages = field(default_factory=PendingMessages)
    _closing: PendingMessages | None = None
    _closing_end: int | None = None  # end of ecg.reference after the last of `_closing` had arrived

    def hold(self, key: bytes, raw: Raw) -> None:
        """Keep a message of a patient for whom no annotation has arrived yet."""
        self._held.add(key, raw)

    def release(self, key: bytes) -> list[Raw]:
        """Hand out the messages kept of a patient, oldest first, and keep them no longer."""
        older = [] if self._closing is None else self._closing.by_key.pop(key, [])
        return older + self._held.by_key.pop(key, [])

    @property
    def holding(self) -> int:
        """Number of messages kept since the last `look_through`."""
        return self._held.n

    def look_through(self, ask_end: Callable[[], int | None]) -> None:
        """Drop messages whose patients have no annotations.

        A message is dropped once everything has been read that was on ecg.reference after it
        arrived. `ask_end` returns the end of ecg.reference just now, None if the broker does not
        answer.
        """
        if self._closing is None and self._held.n:
            self._closing, self._held, self._closing_end = self._held, PendingMessages(), None
        if self._closing is not None and self._closing_end is None:
            self._closing_end = ask_end()
        if (
            self._closing_end is not None
            and self.positions[topics.REFERENCE.name] >= self._closing_end
        ):
            self._closing = self._closing_end = None

    def to_commit(self) -> dict[str, int]:
        """Return, by topic, the offset of the first message that a restart would need."""
        needed = [p.since for p in self.patients.values()] + [
            h.first for h in (self._held, self._closing) if h is not None
        ]
        offsets = {
            t: min([at, *(first[t] for first in needed if t in first)])
            for t, at in self.positions.items()
        }
        saved = [p.saved for p in self.patients.values() if p.saved is not None]
        return offsets | ({topics.SCORES.name: min(saved)} if saved else {})


def fresh_start(marks: dict[str, tuple[int, int]]) -> dict[str, int]:
    """Return the offsets at which a new group starts: 0 if the topics are complete and short, else
    their ends.

    Topics that have lost their first messages begin at different times, and beats without
    annotations would count as false positives.
    """
    whole = (
        all(begin == 0 for begin, _ in marks.values())
        and sum(end for _, end in marks.values()) <= FEW
    )
    return {name: 0 if whole else end for name, (_, end) in marks.items()}
