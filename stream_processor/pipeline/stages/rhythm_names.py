"""Names the rhythm of some 30 s, from the rhythm network's answers and the beats in them.

The network says whether it is atrial fibrillation, and whether the signal can be read. Its third
class, "other" of CinC 2017, is no rhythm: the beats show what is there instead. A sinus
rhythm with ectopic beats is a sinus rhythm. See docs/rhythm.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from ingest.messages import BeatLabel, RhythmLabel
from models.signal.conditioning import FS_HZ

# Classes of the network, in the order of its probabilities: those of CinC 2017, N A O ~.
CLASSES: tuple[RhythmLabel, ...] = ("N", "AFIB", "O", "~")
SINUS, AF, _, UNREADABLE = range(len(CLASSES))
# A segment is AF from this probability on, unless it is unreadable: there sensitivity and
# specificity for AF of CinC 2017's validation records add up to their most. The stream as a whole
# is what is likeliest.
AF_FROM = 0.15
LEAST = 4  # intervals between normal beats, without which they name no rhythm
BRADYCARDIA, TACHYCARDIA = 60.0, 100.0  # a minute
MARGIN = 3.0  # a minute, back inside the limit before the name changes
# Successive normal intervals that differ by this share of their mean (median) do not come from a
# sinus node; breathing changes them gradually.
IRREGULAR = 0.12
# Below half of it the rhythm is regular: then it is AF only if the network finds nothing likelier.
REGULAR = IRREGULAR / 2
ARRHYTHMIA_S, ARRHYTHMIA = 0.16, 0.15  # from the tenth shortest to the longest, and of the median
SETTLED = 0.75  # of these, below which a sinus arrhythmia ends
PACED = 0.5  # share of paced beats
# In AF and in paced rhythms these are ectopic beats, and long intervals are its nature.
NOT_IN: dict[RhythmLabel, tuple[RhythmLabel, ...]] = {
    "AFIB": ("SVTA", "B", "T", "PAUSE"),
    "P": ("SVTA", "B", "T"),
}
# A run of V beats in AF that is shorter than this is over when its segment is decided (rhythm.py).
SALVO = 15 * FS_HZ


class RhythmBeat(NamedTuple):
    """The properties of a beat on which the rhythm's name depends."""

    at: float
    rr_s: float | None
    label: BeatLabel
    sure: bool  # it is no weak peak, which has no class


class NamedRhythm(NamedTuple):
    """A rhythm, how likely it is, and why it is not known ("" if it is)."""

    label: RhythmLabel
    probability: float
    reason: str = ""


def name_rhythm(
    beats: Sequence[RhythmBeat], mean: Sequence[float], before: RhythmLabel
) -> NamedRhythm:
    """Name the rhythm of a segment.

    Args:
        beats: those of the segment and some seconds around it, in order.
        mean: probabilities of CLASSES.
        before: the rhythm of the segment before.
    """
    best = max(range(len(CLASSES)), key=mean.__getitem__)
    if best == UNREADABLE:
        return NamedRhythm("~", mean[UNREADABLE], "noise")
    sure = [b for b in beats if b.sure]
    if sure and sum(b.label == "Q" for b in sure) >= PACED * len(sure):
        return NamedRhythm("P", 1 - mean[UNREADABLE])
    nn = normal_intervals(beats)
    if len(nn) < LEAST:
        if mean[AF] >= AF_FROM:
            return NamedRhythm("AFIB", mean[AF])
        return NamedRhythm("U", 1 - mean[AF] - mean[UNREADABLE], "too few normal beats")
    usual = median(nn)
    step = median(abs(b - a) for a, b in pairwise(nn)) / usual
    if mean[AF] >= AF_FROM and (best == AF or step >= REGULAR):
        return NamedRhythm("AFIB", mean[AF])
    if step >= IRREGULAR:
        return NamedRhythm("U", 1 - mean[AF] - mean[UNREADABLE], "irregular, no known pattern")
    return NamedRhythm(_sinus(nn, usual, before), 1 - mean[AF] - mean[UNREADABLE])


def normal_intervals(beats: Sequence[RhythmBeat]) -> list[float]:
    """Return the intervals between neighbouring normal beats, s."""
    return [b.rr_s for a, b in pairwise(beats) if b.rr_s is not None and a.label == b.label == "N"]


def is_within(
    base: NamedRhythm, beats: Sequence[RhythmBeat], start: int, end: int, label: RhythmLabel
) -> bool:
    """Whether what the beats show from `start` to `end` belongs to the rhythm beneath it. AF goes
    on through slow salvos of V beats, and through fast ones that are as irregular as AF: those are
    aberrant beats, as a VT is regular. The alarms of salvos do not depend on it.

    Args:
        base: the rhythm of the segment.
        beats: those around the segment, in order.
    """
    if label in NOT_IN.get(base.label, ()):
        return True
    if base.label != "AFIB" or end - start >= SALVO:
        return False
    return label == "IVR" or (label == "VT" and _is_irregular(beats, start, end))


def _is_irregular(beats: Sequence[RhythmBeat], start: int, end: int) -> bool:
    at = [b.at for b in beats if start <= b.at <= end]
    rr = [b - a for a, b in pairwise(at)]
    if len(rr) < LEAST:
        return False
    return median(abs(b - a) for a, b in pairwise(rr)) >= IRREGULAR * median(rr)


def _sinus(nn: Sequence[float], usual: float, before: RhythmLabel) -> RhythmLabel:
    rate = 60 / usual
    if rate < BRADYCARDIA + MARGIN * (before == "SBR"):
        return "SBR"
    if rate > TACHYCARDIA - MARGIN * (before == "STACH"):
        return "STACH"
    ordered = sorted(nn)
    tenth = len(nn) // 10
    spread = ordered[-1 - tenth] - ordered[tenth]
    needed = max(ARRHYTHMIA_S, ARRHYTHMIA * usual) * (SETTLED if before == "SARR" else 1)
    return "SARR" if spread >= needed else "N"
