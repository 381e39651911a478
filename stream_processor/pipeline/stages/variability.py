"""Heart-rate variability, once a second: SDNN and RMSSD of the normal-to-normal intervals of 5 min.

Task Force (1996), DOI 10.1161/01.CIR.93.5.1043. An interval counts if both its beats are N, if it
lies in the range of a sinus rhythm, and if the rhythm there has been decided and is one in which the
sinus node leads (rhythm.py decides it 15 to 20 s later, so that the 5 min end there). We differ: a
running window, and intervals that do not count are left out, not interpolated. Reports use the same
rules (dashboards/report/beats.py).
"""

from __future__ import annotations

import math

import msgspec

from models.signal.conditioning import FS_HZ
from models.signal.stage import Rows, StructStage
from stream_processor.pipeline.stages.episodes import Span
from stream_processor.pipeline.stages.seconds import Beats, LabelledBeat
from stream_processor.pipeline.stages.vitals import VitalSigns

WINDOW = 300 * FS_HZ  # samples
NN_MS = (300.0, 2000.0)  # intervals outside this range are no sinus rhythm
LEAST = 60  # intervals without which no variability is given: about a minute
NOT_SINUS = frozenset({"AFIB", "SVTA", "IVR", "VT", "VFL", "VF", "ASYS", "P", "~"})


class _State(msgspec.Struct):
    waiting: list[tuple[float, float]] = []  # (position, ms) of intervals whose rhythm is not known
    label: str = ""  # of the beat before
    # those that count, and running sums over them: of intervals, their squares, squared successive
    # differences, and how many of these
    nn: list[tuple[float, float]] = []
    total: float = 0.0
    squares: float = 0.0
    steps: float = 0.0
    n_steps: int = 0


class Variability(StructStage[_State]):
    """Stage: VitalSigns in, the same with their variability out."""

    def __init__(self) -> None:
        super().__init__(_State)

    def push(
        self, batch: tuple[list[VitalSigns], list[Beats], list[list[Span]]]
    ) -> list[VitalSigns]:
        """Return one VitalSigns for each VitalSigns, from its second's beats and the rhythm decided
        with it."""
        return [self._second(signs, item, spans) for signs, item, spans in zip(*batch, strict=True)]

    def flush(self, rows: Rows) -> list[VitalSigns]:
        """Return nothing: `push` leaves no output pending."""
        return []

    def _second(self, signs: VitalSigns, item: Beats, spans: list[Span]) -> VitalSigns:
        state = self._state[item.second.row]
        for beat in item.beats:
            _wait(state, beat)
        for span in spans:
            _decide(state, span)
        newest = state.nn[-1][0] if state.nn else 0.0
        newest = max(newest, float(spans[-1].end)) if spans else newest
        while state.nn and state.nn[0][0] < newest - WINDOW:
            _drop_oldest(state)
        sdnn, rmssd = _figures(state)
        return signs._replace(sdnn_ms=sdnn, rmssd_ms=rmssd, nn=len(state.nn))


def _wait(state: _State, beat: LabelledBeat) -> None:
    normal = beat.label == state.label == "N"
    state.label = beat.label
    if normal and beat.rr_s is not None and NN_MS[0] <= beat.rr_s * 1000 <= NN_MS[1]:
        state.waiting = [*state.waiting, (beat.at, beat.rr_s * 1000)]


def _decide(state: _State, span: Span) -> None:
    """Count the intervals of a span in which the sinus node leads; forget those of another."""
    decided = [one for one in state.waiting if one[0] < span.end]
    state.waiting = state.waiting[len(decided) :]
    if span.label not in NOT_SINUS:
        for one in decided:
            _add(state, one)


def _add(state: _State, one: tuple[float, float]) -> None:
    if state.nn and _follow(state.nn[-1], one):
        state.steps += (one[1] - state.nn[-1][1]) ** 2
        state.n_steps += 1
    state.nn.append(one)
    state.total += one[1]
    state.squares += one[1] ** 2


def _drop_oldest(state: _State) -> None:
    oldest = state.nn.pop(0)
    state.total -= oldest[1]
    state.squares -= oldest[1] ** 2
    if state.nn and _follow(oldest, state.nn[0]):
        state.steps -= (state.nn[0][1] - oldest[1]) ** 2
        state.n_steps -= 1


def _follow(before: tuple[float, float], after: tuple[float, float]) -> bool:
    """Whether the two intervals share a beat."""
    return abs(after[0] - before[0] - after[1] * FS_HZ / 1000) < 0.5


def _figures(state: _State) -> tuple[float | None, float | None]:
    """Return SDNN and RMSSD in ms; None if there are fewer than LEAST intervals, or fewer than half
    as many pairs."""
    n = len(state.nn)
    if n < LEAST or state.n_steps < LEAST // 2:
        return None, None
    variance = (state.squares - state.total**2 / n) / (n - 1)
    return math.sqrt(max(0.0, variance)), math.sqrt(max(0.0, state.steps / state.n_steps))
