"""Rhythm over a period: shares, and the burden of atrial fibrillation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ingest.messages import JournalEntry, Rhythm, RhythmLabel
from stream_processor.sinks.base import Sink

UNREADABLE: RhythmLabel = "~"
_HOUR_NS = 3600 * 10**9
_AROUND_NS = 30 * 10**9  # of a journal entry, on either side: its minute
_LOOK_BACK_NS = (_HOUR_NS, 8 * _HOUR_NS, 64 * _HOUR_NS, 31 * 24 * _HOUR_NS)


class ClippedEpisode(NamedTuple):
    """A rhythm episode, clipped to the period."""

    label: RhythmLabel
    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


class RhythmShare(NamedTuple):
    """The total of one rhythm."""

    label: RhythmLabel
    seconds: float
    part: float  # share of the readable time; for unreadable signal, share of the whole
    episodes: int
    longest: ClippedEpisode


def reaching_into(sink: Sink, patient_id: str, start_ns: int, end_ns: int) -> Iterator[Rhythm]:
    """Stored rhythm episodes that reach into the period; the first may have begun long before, at
    most 31 days."""
    earlier: list[Rhythm] = []
    for back_ns in _LOOK_BACK_NS:
        earlier = list(sink.read(Rhythm, patient_id, max(0, start_ns - back_ns), start_ns))
        if earlier:
            break
    yield from (r for r in earlier if r.end_ns > start_ns)
    yield from sink.read(Rhythm, patient_id, start_ns, end_ns)


def episodes(rhythm: Iterable[Rhythm], start_ns: int, end_ns: int) -> list[ClippedEpisode]:
    """The episodes, clipped to the period, in order of time; if two overlap (a stream that was sent
    again), the later one counts."""
    found: list[ClippedEpisode] = []
    for r in sorted(rhythm, key=lambda r: (r.start_ns, r.end_ns)):
        one = ClippedEpisode(r.label, max(r.start_ns, start_ns), min(r.end_ns, end_ns))
        if one.start_ns >= one.end_ns:
            continue
        while found and found[-1].start_ns >= one.start_ns:
            found.pop()
        if found and found[-1].end_ns > one.start_ns:
            found[-1] = found[-1]._replace(end_ns=one.start_ns)
        if found and found[-1].label == one.label and found[-1].end_ns == one.start_ns:
            one = one._replace(start_ns=found.pop().start_ns)
        found.append(one)
    return found


def around(found: Sequence[ClippedEpisode], time_ns: int) -> list[RhythmLabel]:
    """The rhythms of the minute around a time, the longest first; empty if none is known."""
    held: dict[RhythmLabel, int] = {}
    for one in found:
        within = min(one.end_ns, time_ns + _AROUND_NS) - max(one.start_ns, time_ns - _AROUND_NS)
        if within > 0:
            held[one.label] = held.get(one.label, 0) + within
    return sorted(held, key=lambda label: -held[label])


def minutes(
    sink: Sink, patient_id: str, entries: Iterable[JournalEntry]
) -> Iterator[tuple[JournalEntry, list[RhythmLabel]]]:
    """Each entry of the journal, in order of time, with the rhythms of the minute around it."""
    known: list[ClippedEpisode] = []
    known_ns = 0  # the episodes are known up to here
    for entry in entries:
        end_ns = entry.time_ns + _AROUND_NS
        if end_ns > known_ns:
            start_ns, known_ns = entry.time_ns - _AROUND_NS, end_ns + _HOUR_NS
            known = episodes(
                reaching_into(sink, patient_id, start_ns, known_ns), start_ns, known_ns
            )
        yield entry, around(known, entry.time_ns)


def shares(found: Sequence[ClippedEpisode]) -> list[RhythmShare]:
    """The share of each rhythm that occurs, the longest first; unreadable signal last."""
    total = sum(one.seconds for one in found)
    readable = sum(one.seconds for one in found if one.label != UNREADABLE)
    answer = []
    for label in dict.fromkeys(one.label for one in found):
        of_it = [one for one in found if one.label == label]
        seconds = sum(one.seconds for one in of_it)
        whole = total if label == UNREADABLE else readable
        answer.append(
            RhythmShare(
                label, seconds, seconds / whole, len(of_it), max(of_it, key=lambda one: one.seconds)
            )
        )
    return sorted(answer, key=lambda share: (share.label == UNREADABLE, -share.seconds))
