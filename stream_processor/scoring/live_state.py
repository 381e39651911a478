"""State of one stream in the live scorer: messages that are not settled yet, and the sums of those
that are.

Each topic arrives in order but at its own pace, and a message may arrive more than once. Beats and
rhythm before `beats_to` are settled, and episodes before `episodes_to`: their counts are final, and
messages about that time are ignored.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple, TypeVar

import msgspec

from ingest.messages import Alarm, Beat, Reference, Rhythm, sample_offset_ns
from stream_processor.scoring.beats import WINDOW_S
from stream_processor.scoring.reference import AAMI, Mark, Symbol

_KEPT = frozenset(AAMI) | frozenset("+[]")  # symbols of annotations that are scored
T = TypeVar("T", Symbol, Mark)


class AlarmTimes(NamedTuple):
    """Times of an alarm, in samples since the start of the stream."""

    kind: str
    onset: int
    end: int | None
    announced: int | None  # when it was first announced


class LiveStreamState(msgspec.Struct):
    """State of one stream. Times without a unit are samples since its start."""

    patient_id: str
    device_id: str
    lead: str
    fs_hz: float
    start_ns: int
    reached: int = 0  # end of our last Rhythm
    given: int = 0  # time of the last Score
    first: int | None = None  # the first annotation
    has_beats: bool = False  # a beat annotation was seen
    beats_to: int = 0  # beats and rhythm before it are settled
    episodes_to: int = 0  # episodes before it are settled
    # sums of what is settled
    matrix: dict[str, int] = {}  # beats by (reference, ours), see BeatScore
    rhythm_n: int = 0  # samples with a rhythm on both sides
    agreed_n: int = 0  # samples with the same rhythm
    episodes: int = 0  # that must alarm
    alarmed: int = 0  # those that did
    worst: int | None = None  # longest delay of an alarm, samples
    beats_at: int = -1  # newest Beat
    notes_at: int = -1  # newest Reference
    alarms_at: int = -1  # newest onset of an Alarm
    changed: bool = False  # something before the last Score has changed since
    late: int = 0  # messages about time that was already settled
    # not settled yet, each in order of time
    symbols: list[Symbol] = []  # the reference
    beats: list[Mark] = []  # ours
    spans: dict[int, tuple[int, str]] = {}  # our rhythm: start -> (end, label)
    calls: dict[str, AlarmTimes] = {}  # by id

    @property
    def window(self) -> int:
        """Samples within which two beats may be paired."""
        return int(WINDOW_S * self.fs_hz)

    def take(self, message: Reference | Beat | Rhythm | Alarm) -> None:
        """Add a message of this stream."""
        if isinstance(message, Reference):
            self._take_reference(message)
        elif isinstance(message, Beat):
            self._take_beat(message)
        elif isinstance(message, Rhythm):
            self._take_rhythm(message)
        else:
            self._take_alarm(message)

    def forget_beats(self, until: int) -> None:
        """Drop our beats and rhythm before a sample; the caller has counted them."""
        self.beats_to = max(until, self.beats_to)
        del self.beats[: first_index(self.beats, until)]
        self.spans = {start: span for start, span in self.spans.items() if span[0] > until}

    def _take_rhythm(self, message: Rhythm) -> None:
        if message.end_sample > self.beats_to:
            end = max(message.end_sample, self.spans.get(message.start_sample, (0, ""))[0])
            self.spans[message.start_sample] = (end, message.label)
        self.reached = max(self.reached, message.end_sample)

    def _take_beat(self, message: Beat) -> None:
        if message.sample >= self.beats_to:
            new = _insert(self.beats, Mark(message.sample, message.label))
            self.changed = self.changed or (new and message.sample < self.given)
        elif (
            message.sample > self.beats_at
            and self.first is not None
            and message.sample >= self.first
        ):
            self.late += 1  # an older one is a repetition
        self.beats_at = max(self.beats_at, message.sample)

    def _take_reference(self, message: Reference) -> None:
        if self.first is None:
            self.first = message.sample
            self.forget_beats(message.sample - self.window)
        if message.symbol in _KEPT and message.sample >= self.beats_to:
            new = _insert(self.symbols, Symbol(message.sample, message.symbol, message.aux))
            self.changed = self.changed or (new and message.sample < self.given)
        elif message.symbol in _KEPT and message.sample > self.notes_at:
            self.late += 1
        self.notes_at = max(self.notes_at, message.sample)

    def _take_alarm(self, message: Alarm) -> None:
        known = self.calls.get(message.id)
        if message.step == "onset":
            self.late += 1 if self.alarms_at < message.raised_sample < self.episodes_to else 0
            self.alarms_at = max(self.alarms_at, message.raised_sample)
        announced = [known.announced] if known is not None and known.announced is not None else []
        if message.announced:
            # a suppressed alarm is announced later than it is raised
            later = round((message.changed_ns - self.start_ns) * self.fs_hz / 1e9)
            announced.append(message.raised_sample if message.step == "onset" else later)
        call = AlarmTimes(
            message.kind, message.onset_sample, message.end_sample, min(announced, default=None)
        )
        self.changed = self.changed or (call != known and message.onset_sample < self.given)
        self.calls[message.id] = call


def start_of(message: Beat | Rhythm | Alarm) -> int:
    """Return the time of sample 0 of the stream that the message belongs to, Unix time in ns."""
    if isinstance(message, Beat):
        return message.time_ns - sample_offset_ns(message.sample, message.fs_hz)
    if isinstance(message, Rhythm):
        return message.start_ns - sample_offset_ns(message.start_sample, message.fs_hz)
    return message.onset_ns - sample_offset_ns(message.onset_sample, message.fs_hz)


def first_index(items: list[Symbol] | list[Mark], sample: int) -> int:
    """Return the index of the first item at `sample` or later."""
    return bisect_left(items, sample, key=lambda item: item[0])


def _insert(items: list[T], item: T) -> bool:
    """Insert an item in order unless it is there already; return whether it was new."""
    i = bisect_left(items, item)
    new = i == len(items) or items[i] != item
    if new:
        items.insert(i, item)
    return new
