"""Reference annotations in the classes that are scored.

Beats have the AAMI classes that de Chazal et al. 2004 (DOI 10.1109/TBME.2004.827359) assign to the
MIT-BIH symbols. We differ from bxb and rxr of the WFDB package, which count escape beats (e, j, n)
as S: here they are N.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

AAMI = (
    dict.fromkeys("NLRBejn", "N")
    | dict.fromkeys("AaJS", "S")
    | dict.fromkeys("VEr", "V")
    | {"F": "F"}
    | dict.fromkeys("/fQ?", "Q")
)
RHYTHMS = {"VFIB": "VF", "NSR": "N"}  # other names of the same rhythms
FIBRILLATION = frozenset({"VF", "VFL"})
LETHAL = FIBRILLATION | {"VT", "ASYS"}


class Mark(NamedTuple):
    """A beat: its sample and its class, one of N S V F Q."""

    sample: int
    label: str


class Episode(NamedTuple):
    """A stretch of one rhythm; `end` is one past its last sample."""

    start: int
    end: int
    label: str


class Symbol(NamedTuple):
    """An annotation as in WFDB."""

    sample: int
    symbol: str
    aux: str = ""


@dataclass(frozen=True)
class Record:
    """Beats and rhythm of a record, annotated or detected, in samples at fs_hz since its start."""

    fs_hz: float
    n: int
    beats: tuple[Mark, ...] = ()
    rhythm: tuple[Episode, ...] = ()

    @property
    def duration_s(self) -> float:
        return self.n / self.fs_hz

    def episodes(self, labels: Iterable[str]) -> list[Episode]:
        """Return the episodes of any of these rhythms; those that touch or overlap are joined."""
        wanted = frozenset(labels)
        return joined([e for e in self.rhythm if e.label in wanted])


def reference(symbols: Sequence[Symbol], fs_hz: float, n: int) -> Record:
    """Make the reference of a record of n samples from its annotations, in order."""
    beats = tuple(Mark(s.sample, AAMI[s.symbol]) for s in symbols if s.symbol in AAMI)
    changes = [
        (s.sample, s.aux.strip("\0 ").removeprefix("("))
        for s in symbols
        if s.symbol == "+" and s.aux.startswith("(")
    ]
    ends = [*(at for at, _ in changes[1:]), n]  # one too many if no rhythm is annotated
    rhythm = [
        Episode(at, end, RHYTHMS.get(name, name))
        for (at, name), end in zip(changes, ends, strict=False)
        if at < end
    ]
    return Record(fs_hz, n, beats, tuple(sorted([*rhythm, *_flutter(symbols, n)])))


def _flutter(symbols: Sequence[Symbol], n: int) -> list[Episode]:
    """Return the sections between [ and ] as episodes of VFL."""
    found, begin = [], None
    for s in symbols:
        if s.symbol == "[" and begin is None:
            begin = s.sample
        elif s.symbol == "]" and begin is not None:
            found.append(Episode(begin, s.sample, "VFL"))
            begin = None
    return found if begin is None else [*found, Episode(begin, n, "VFL")]


def joined(episodes: Iterable[Episode]) -> list[Episode]:
    """Sort episodes and join those that touch or overlap; a joined episode has the label of its
    first part."""
    whole: list[Episode] = []
    for e in sorted(episodes):
        if whole and e.start <= whole[-1].end:
            whole[-1] = whole[-1]._replace(end=max(whole[-1].end, e.end))
        else:
            whole.append(e)
    return whole
