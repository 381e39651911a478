"""Heart rate and signal quality, once a second.

Heart rate as bedside monitors compute it (alarms.md): where the last 3 RR are all longer than 1200
ms the mean of the last 4, else the mean of the last 12 without the shortest and the longest.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal, NamedTuple

import msgspec

from ingest.messages import Noise
from models.signal.conditioning import FS_HZ
from models.signal.stage import Rows, StructStage
from stream_processor.pipeline.stages.seconds import (
    AnalysedSecond,
    Beats,
    LabelledBeat,
    is_lead_off,
)

RECENT = 12  # RR intervals for the heart rate
SLOW_S = 1.2
STALE = 4 * FS_HZ  # after this long without a beat there is no heart rate
QUALITY_S, READABLE_S = 30, 10
ARTEFACT_S = 20  # noisy seconds of the last 30 that make the heart rate untrustworthy

Reason = Literal["", "starting", "no beats", "no RR", "artefact", "lead off"]


class VitalSigns(NamedTuple):
    """One row's vitals at the end of a second; see ingest.messages.Vitals."""

    row: int
    until: int
    hr_bpm: float | None
    quality: float
    noisy_s: int  # of the last 30
    reason: Reason
    noise: Noise = ""
    # of the last 5 min (variability.py)
    sdnn_ms: float | None = None
    rmssd_ms: float | None = None
    nn: int = 0


class _State(msgspec.Struct):
    last: float | None = None  # position of the beat before
    rr: list[float] = []  # the last RECENT intervals, s
    noises: list[Noise] = []  # of the last 30 s; "" if it is readable
    readable: list[float] = []  # probability of the last 10 s


class VitalsMeter(StructStage[_State]):
    """Stage: Beats in, VitalSigns out, one per second of signal."""

    def __init__(self) -> None:
        super().__init__(_State)

    def push(self, batch: list[Beats]) -> list[VitalSigns]:
        """Return one VitalSigns for each Beats."""
        return [self._second(item) for item in batch]

    def flush(self, rows: Rows) -> list[VitalSigns]:
        """Return nothing: `push` leaves no output pending."""
        return []

    def restart(self, row: int, sample: int) -> int:
        """Restart after a gap or lead-off: forget the intervals of the heart rate."""
        self._state[row].last = None
        self._state[row].rr = []
        return sample

    def _second(self, item: Beats) -> VitalSigns:
        state, second = self._state[item.second.row], item.second
        if is_lead_off(second) or _hides_beats(item):
            self.restart(second.row, second.until)
        for beat in item.beats:
            _take(state, beat)
        state.noises = [*state.noises[-QUALITY_S + 1 :], _noise(second)]
        reason = _reason(state, item)
        readable = 0.0 if is_lead_off(second) else second.readable
        state.readable = [*state.readable[-READABLE_S + 1 :], readable]
        recent = state.noises[-READABLE_S:]
        most = Counter(noise for noise in recent if noise).most_common(1)
        return VitalSigns(
            second.row,
            second.until,
            None if reason else heart_rate(state.rr),
            sum(state.readable) / len(state.readable),
            _noisy_s(state),
            reason,
            most[0][0] if most else "",
        )


def _noise(second: AnalysedSecond) -> Noise:
    if is_lead_off(second):
        return "contact" if second.lead_off else "flat"
    return (second.noise or "motion") if second.noisy else ""


def _noisy_s(state: _State) -> int:
    return len(state.noises) - state.noises.count("")


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
    if _noisy_s(state) >= ARTEFACT_S:
        return "artefact"
    if state.last is not None and second.until - state.last > STALE:
        return "no beats"
    return "starting" if len(state.rr) < 2 else ""


def _hides_beats(item: Beats) -> bool:
    """True during fibrillation, or a tachycardia whose QRS complexes are not found: then there is
    no heart rate."""
    wave = item.facts.after.wave
    return wave is not None and (wave.kind == "VF" or not item.beats)


def _take(state: _State, beat: LabelledBeat) -> None:
    if beat.rr_s is None:
        state.rr = []  # what came between says nothing, and what was before it is over
    else:
        state.rr = [*state.rr[-RECENT + 1 :], beat.rr_s]
    state.last = beat.at
