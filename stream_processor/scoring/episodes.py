"""Scores of atrial and ventricular fibrillation by episode and by second, as in ANSI/AAMI EC57
(epicmp of the WFDB package).

A reference episode is found if an episode of ours overlaps it at all; an episode of ours is right
if a reference episode overlaps it. Duration statistics are the seconds of overlap over the seconds
of either side. Atrial flutter is not AF, but AF that we report during flutter does not count
against us.
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
    """Score of one rhythm, in episodes and in seconds."""

    episodes: TwoSided
    seconds: TwoSided

    def __add__(self, other: EpisodeScore) -> EpisodeScore:
        return EpisodeScore(self.episodes + other.episodes, self.seconds + other.seconds)


def score_episodes(
    reference: Record, ours: Record, labels: frozenset[str], start_s: float
) -> EpisodeScore:
    """Score the episodes of these labels from `start_s` on."""
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
    """Count the samples of an episode that lie in `others`, which do not overlap each other."""
    return sum(max(0, min(episode.end, o.end) - max(episode.start, o.start)) for o in others)


def without(episodes: Sequence[Episode], holes: Iterable[Episode]) -> list[Episode]:
    """Return the parts of episodes outside the holes."""
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
