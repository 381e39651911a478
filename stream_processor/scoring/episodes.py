"""Episode by episode and second by second, as ANSI/AAMI EC57 (epicmp of the WFDB package): atrial
fibrillation, ventricular fibrillation.

An episode of the reference is found if one of ours overlaps it at all, one of ours is right if one
of the reference does; durations are the seconds of overlap over the seconds of either. Atrial
flutter is no AF, but what we call AF in it does not count against us.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stream_processor.scoring.counts import TwoSided
from stream_processor.scoring.reference import FIBRILLATION, Episode, Record

AF = frozenset({"AFIB"})
VF = FIBRILLATION
FLUTTER = frozenset({"AFL"})


@dataclass(frozen=True)
class EpisodeScore:
    """Of one rhythm: episodes, and seconds."""

    episodes: TwoSided
    seconds: TwoSided

    def __add__(self, other: EpisodeScore) -> EpisodeScore:
        return EpisodeScore(self.episodes + other.episodes, self.seconds + other.seconds)


def score_episodes(
    reference: Record, ours: Record, labels: frozenset[str], start_s: float
) -> EpisodeScore:
    """Episodes of these labels, from `start_s` on."""
    start = round(start_s * reference.fs_hz)
    ref, test = _after(reference.episodes(labels), start), _after(ours.episodes(labels), start)
    if labels == AF:
        test = without(test, reference.episodes(FLUTTER))
    hits, right = sum(overlap(e, test) > 0 for e in ref), sum(overlap(e, ref) > 0 for e in test)
    both = sum(overlap(e, test) for e in ref) / reference.fs_hz
    ref_s, test_s = (sum(e.end - e.start for e in side) / reference.fs_hz for side in (ref, test))
    return EpisodeScore(
        TwoSided(hits, len(ref) - hits, right, len(test) - right),
        TwoSided(both, ref_s - both, both, test_s - both),
    )


def overlap(episode: Episode, others: Iterable[Episode]) -> int:
    """Samples of the episode that lie in others, which do not overlap each other."""
    return sum(max(0, min(episode.end, o.end) - max(episode.start, o.start)) for o in others)


def without(episodes: Sequence[Episode], holes: Iterable[Episode]) -> list[Episode]:
    """The parts of episodes outside the holes."""
    parts = list(episodes)
    for hole in holes:
        cut = [
            (
                Episode(p.start, min(p.end, hole.start), p.label),
                Episode(max(p.start, hole.end), p.end, p.label),
            )
            for p in parts
        ]
        parts = [p for pair in cut for p in pair if p.start < p.end]
    return parts


def _after(episodes: Iterable[Episode], start: int) -> list[Episode]:
    return [e._replace(start=max(e.start, start)) for e in episodes if e.end > start]
