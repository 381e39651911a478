"""Heart rate and heart-rate variability, once a second.

Heart rate as bedside monitors compute it (alarms.md): where the last 3 RR are all longer than 1200
ms the mean of the last 4, else the mean of the last 12 without the shortest and the longest. SDNN
and RMSSD over the N-N intervals of the last 5 minutes (Task Force 1996, DOI
10.1161/01.CIR.93.5.1043; we differ: a running window, and intervals next to an S or V beat are left
out, not interpolated).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import msgspec

from models.signal.conditioning import FS_HZ
from models.signal.stage import Rows, StructStage
from stream_processor.pipeline.stages.seconds import Beats, LabelledBeat, is_lead_off

RECENT = 12  # RR intervals for the heart rate
SLOW_S = 1.2
HRV = 300 * FS_HZ  # samples
HRV_LEAST = 20  # intervals below which HRV is not given
STALE = 4 * FS_HZ  # without a beat for so long there is no heart rate
QUALITY_S = 30
ARTEFACT_S = 20  # noisy seconds of the last 30 that make the heart rate untrustworthy

Reason = Literal["", "starting", "no beats", "artefact", "lead off"]


class VitalSigns(NamedTuple):
    """One row's vitals at the end of a second; see ingest.messages.Vitals."""

    row: int
    until: int
    hr_bpm: float | None
    sdnn_ms: float | None
    rmssd_ms: float | None
    quality: float
    noisy_s: int  # of the last 30
    reason: Reason


class _State(msgspec.Struct):
    last: float | None = None  # position of the beat before
    last_label: str = "N"
    rr: list[float] = []  # the last RECENT intervals, s
    # (position, interval in ms) of N-N intervals in the last 5 min
    nn: list[tuple[float, float]] = []
    # running sums over nn: of intervals, their squares, squared successive differences, and how
    # many of these
    total: float = 0.0
    squares: float = 0.0
    steps: float = 0.0
    n_steps: int = 0
    noisy: list[bool] = []  # the last 30 s


class VitalsMeter(StructStage[_State]):
    """Stage: Beats in, VitalSigns out, one per second of signal."""

    def __init__(self) -> None:
        super().__init__(_State)

    def push(self, batch: list[Beats]) -> list[VitalSigns]:
        """One VitalSigns per Beats."""
        return [self._second(item) for item in batch]

    def flush(self, rows: Rows) -> list[VitalSigns]:
        """Nothing is held back."""
        return []

    def restart(self, row: int, sample: int) -> int:
        """Go on after a gap, or after lead-off: the heart rate starts anew."""
        self._state[row].last = None
        self._state[row].rr = []
        return sample

    def _second(self, item: Beats) -> VitalSigns:
        state, second = self._state[item.second.row], item.second
        if is_lead_off(second) or _hides_beats(item):
            self.restart(second.row, second.until)
        for beat in item.beats:
            _take(state, beat)
        while state.nn and state.nn[0][0] < second.until - HRV:
            _drop_oldest(state)
        state.noisy = [*state.noisy[-QUALITY_S + 1 :], second.noisy or is_lead_off(second)]
        reason = _reason(state, item)
        sdnn, rmssd = _variability(state)
        recent = state.noisy[-10:]
        return VitalSigns(
            second.row,
            second.until,
            None if reason else heart_rate(state.rr),
            sdnn,
            rmssd,
            1 - sum(recent) / len(recent),
            sum(state.noisy),
            reason,
        )


def heart_rate(rr: list[float]) -> float | None:
    """Beats per minute from RR intervals in seconds, newest last; None below two intervals."""
    if len(rr) < 2:
        return None
    if len(rr) >= 4 and min(rr[-3:]) > SLOW_S:
        return 60 * 4 / sum(rr[-4:])
    recent = sorted(rr[-RECENT:])
    kept = recent[1:-1] if len(recent) > 3 else recent
    return 60 * len(kept) / sum(kept)


def _reason(state: _State, item: Beats) -> Reason:
    second = item.second
    if is_lead_off(second):
        return "lead off"
    if _hides_beats(item):
        return "no beats"
    if sum(state.noisy) >= ARTEFACT_S:
        return "artefact"
    if state.last is not None and second.until - state.last > STALE:
        return "no beats"
    return "starting" if len(state.rr) < 2 else ""


def _hides_beats(item: Beats) -> bool:
    """Fibrillation, or a tachycardia whose QRS complexes are not found: there is no rate."""
    wave = item.facts.after.wave
    return wave is not None and (wave.kind == "VF" or not item.beats)


def _take(state: _State, beat: LabelledBeat) -> None:
    if beat.rr_s is None:
        state.rr = []  # what came between says nothing, and what was before it is over
    else:
        state.rr = [*state.rr[-RECENT + 1 :], beat.rr_s]
        if beat.label == "N" and state.last_label == "N":
            _add_nn(state, beat.at, beat.rr_s * 1000)
    state.last, state.last_label = beat.at, beat.label


def _add_nn(state: _State, at: float, ms: float) -> None:
    if state.nn and _follow(state.nn[-1], (at, ms)):
        state.steps += (ms - state.nn[-1][1]) ** 2
        state.n_steps += 1
    state.nn.append((at, ms))
    state.total += ms
    state.squares += ms * ms


def _drop_oldest(state: _State) -> None:
    oldest = state.nn.pop(0)
    state.total -= oldest[1]
    state.squares -= oldest[1] ** 2
    if state.nn and _follow(oldest, state.nn[0]):
        state.steps -= (state.nn[0][1] - oldest[1]) ** 2
        state.n_steps -= 1


def _follow(before: tuple[float, float], after: tuple[float, float]) -> bool:
    """The two intervals share a beat."""
    return abs(after[0] - before[0] - after[1] * FS_HZ / 1000) < 0.5


def _variability(state: _State) -> tuple[float | None, float | None]:
    n = len(state.nn)
    if n < HRV_LEAST or state.n_steps < HRV_LEAST // 2:
        return None, None
    variance = (state.squares - state.total**2 / n) / (n - 1)
    return math.sqrt(max(0.0, variance)), math.sqrt(max(0.0, state.steps / state.n_steps))
