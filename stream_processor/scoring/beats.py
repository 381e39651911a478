"""Beat-by-beat comparison as in ANSI/AAMI EC57 (bxb of the WFDB package; Moody and Mark 2001, DOI
10.1109/51.932724).

Beats are paired one to one within 150 ms; the learning time at the start and ventricular flutter or
fibrillation of the reference are left out on both sides. For V, reference F or Q classified as V is
neither right nor wrong; for S, reference Q classified as S is neither. We differ: the pairs are
those of wfdb.processing.compare_annotations, so that anyone gets the same counts in Python, and
there is no shutdown (X), because we never report one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from stream_processor.scoring.counts import Counts
from stream_processor.scoring.reference import FIBRILLATION, Mark, Record

WINDOW_S = 0.150
NONE = "O"  # no beat, in the matrix


@dataclass(frozen=True)
class BeatScore:
    """Matrix of beat classes and the beats that disagree.

    A key of the matrix is the reference's class and then ours in lower case: "Nv" is N classified
    as V, "No" a missed N, "On" an extra N.
    """

    matrix: dict[str, int] = field(default_factory=dict)
    missed: tuple[Mark, ...] = ()
    extra: tuple[Mark, ...] = ()
    # the reference's beats of N or S classified as V, and of V classified as N or S
    wrong_v: tuple[Mark, ...] = ()

    def of(self, reference: str, ours: str) -> int:
        """Sum the matrix over reference classes and our classes, one letter each; "O" for no
        beat."""
        return sum(self.matrix.get(r + t.lower(), 0) for r in reference for t in ours)

    @property
    def qrs(self) -> Counts:
        return Counts(self.of("NSVFQ", "NSVFQ"), self.of("NSVFQ", NONE), self.of(NONE, "NSVFQ"))

    @property
    def veb(self) -> Counts:
        return Counts(
            self.of("V", "V"), self.of("V", "NSFQO"), self.of("NSO", "V"), self.of("NSFQO", "NSFQ")
        )

    @property
    def sveb(self) -> Counts:
        return Counts(
            self.of("S", "S"), self.of("S", "NVFQO"), self.of("NVFO", "S"), self.of("NVFQO", "NVFQ")
        )


def score_beats(reference: Record, ours: Record, start_s: float) -> BeatScore:
    """Compare the beats from `start_s` on, outside ventricular flutter and fibrillation of the
    reference."""
    ref, test = scored(reference.beats, reference, start_s), scored(ours.beats, reference, start_s)
    partners = match(
        [m.sample for m in ref], [m.sample for m in test], int(WINDOW_S * reference.fs_hz)
    )
    taken = {j for j in partners if j is not None}
    pairs = [(r, None if j is None else test[j]) for r, j in zip(ref, partners, strict=True)]
    extra = tuple(t for j, t in enumerate(test) if j not in taken)
    matrix = Counter(r.label + (NONE if t is None else t.label).lower() for r, t in pairs)
    matrix.update(NONE + t.label.lower() for t in extra)
    wrong = tuple(
        r
        for r, t in pairs
        if t is not None and r.label in "NSV" and (r.label == "V") != (t.label == "V")
    )
    return BeatScore(
        dict(sorted(matrix.items())), tuple(r for r, t in pairs if t is None), extra, wrong
    )


def scored(beats: Sequence[Mark], reference: Record, start_s: float) -> list[Mark]:
    """Return the beats that count: from `start_s` on, outside ventricular flutter and fibrillation
    of the reference."""
    flutter = reference.episodes(FIBRILLATION)
    start = start_s * reference.fs_hz
    return [
        b
        for b in beats
        if b.sample >= start and not any(e.start <= b.sample < e.end for e in flutter)
    ]


def match(reference: Sequence[int], test: Sequence[int], window: int) -> list[int | None]:
    """Pair reference and test samples, both in order.

    A reference takes the nearest test; if the next reference is nearer to that test, it takes the
    test before it, if that one is free (the rule of wfdb.processing.compare_annotations). We
    differ: no test is ever paired twice, which theirs allows if reference beats are closer together
    than the window.

    Returns for each reference the index of its partner in `test`, nearer than `window` samples, or
    None.
    """
    partners: list[int | None] = [None] * len(reference)
    first, taken = 0, -1
    for i, at in enumerate(reference):
        if first >= len(test):
            break
        j = _nearest(test, at, first)
        if i + 1 < len(reference):
            k = _nearest(test, reference[i + 1], first)
            if k == j and abs(reference[i + 1] - test[k]) < abs(at - test[j]):
                j -= 1
                if j <= taken:
                    continue
        if abs(at - test[j]) < window:
            partners[i] = taken = j
        first = j + 1
    return partners


def _nearest(test: Sequence[int], at: int, first: int) -> int:
    """Return the index, from `first` on, of the sample nearest to `at`; the earlier one of two."""
    j = bisect_left(test, at, first)
    if j == len(test) or (j > first and at - test[j - 1] <= test[j] - at):
        return j - 1
    return j
