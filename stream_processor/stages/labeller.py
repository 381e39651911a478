"""RR intervals and beat classes (AAMI N, S, V; first version: F is counted with V, and Q is never given)."""

from __future__ import annotations

import msgspec

from ingest.messages import BeatLabel
from models.conditioning import FS_HZ
from models.stage import Logic, Rows
from stream_processor.stages.seconds import Beats, Complex, LabelledBeat, Second, is_lead_off

HISTORY = 8  # RR intervals
PREMATURE = 0.82  # of the median RR
IRREGULAR = 0.12  # median absolute deviation over median beyond which prematurity means nothing (atrial fibrillation: 0.1-0.3)


class _State(msgspec.Struct):
    last: float | None = None  # position of the beat before
    last_label: BeatLabel = "N"
    rr: list[float] = []  # the last HISTORY intervals between beats that are not V


class BeatLabeller(Logic[_State]):
    """Stage: Seconds in, Beats out. Causal: a beat's class uses the network's answer and the intervals before it."""

    def __init__(self) -> None:
        super().__init__(_State)

    def push(self, batch: list[Second]) -> list[Beats]:
        """One Beats per Second."""
        return [self._second(second) for second in batch]

    def flush(self, rows: Rows) -> list[Beats]:
        """Nothing is held back."""
        return []

    def restart(self, row: int) -> None:
        """After a gap the next interval is unknown."""
        self._state[row].last = None

    def _second(self, second: Second) -> Beats:
        if is_lead_off(second):
            self.restart(second.row)  # an interval across it says nothing
        return Beats(second, tuple(self._label(second.row, c) for c in second.complexes))

    def _label(self, row: int, c: Complex) -> LabelledBeat:
        state = self._state[row]
        rr = None if state.last is None else (c.at - state.last) / FS_HZ
        label, probability = _classify(c, rr, state)
        if rr is not None and label != "V" and state.last_label != "V":
            state.rr = [*state.rr[-HISTORY + 1 :], rr]
        state.last, state.last_label = c.at, label
        return LabelledBeat(c.at, rr, label, c.confidence, probability, c.ventricular)


def _classify(c: Complex, rr: float | None, state: _State) -> tuple[BeatLabel, float]:
    if c.ventricular >= 0.5:
        return "V", c.ventricular
    if rr is not None and len(state.rr) >= 4 and state.last_label != "V":
        median = _median(state.rr)
        spread = _median([abs(x - median) for x in state.rr]) / median
        if rr < PREMATURE * median and spread < IRREGULAR:
            return "S", min(0.95, 0.5 + (PREMATURE - rr / median))
    return "N", 1 - c.ventricular


def _median(values: list[float]) -> float:
    """statistics.median checks its input at length, for every beat."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
