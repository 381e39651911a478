"""Corrects beat classes by the rhythm: an S must be premature, and there is none within atrial
fibrillation.

The beat network compares a beat with the medians of 16 and 64 intervals. A sinus node that
accelerates gives intervals far below these without any premature beat, and in atrial fibrillation
every third interval is short. An S stays one if its interval is short against those just before it,
or if it goes on with a run that began so.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from models.signal.stage import Rows, StructStage
from stream_processor.pipeline.stages.rhythm_names import AF, CLASSES, UNREADABLE
from stream_processor.pipeline.stages.seconds import Beats, LabelledBeat
from stream_processor.pipeline.stages.tasks.sequences import TaskAnswer

# Chosen on MITDB and three records of nsrdb, all of whose patients the beat networks that judged had
# not seen; values from 0.88 to 0.92 do alike.
AF_SURE = 0.5  # probability of AF from which no beat is S
PREMATURE = 0.9  # of the median of the intervals just before
BEFORE = 3  # of these
FAST_S = 0.4  # intervals up to which conducted beats are no V: extreme tachycardia is slower still


class _State(msgspec.Struct):
    answers: list[tuple[int, float]] = []  # (needed, probability of AF), oldest first
    af: float = 0.0
    rr: list[float] = []  # newest intervals, s
    # the interval before an S that was premature, as long as no interval comes near it again; else 0
    usual: float = 0.0


class RhythmInBeats(StructStage[_State]):
    """Stage: Beats and the answers of the rhythm task in, Beats out."""

    def __init__(self) -> None:
        super().__init__(_State)

    def push(self, batch: tuple[list[Beats], Sequence[TaskAnswer]]) -> list[Beats]:
        """Return one Beats for each Beats. An answer counts from the first second whose signal
        reaches as far as the answer's."""
        items, answers = batch
        for answer in answers:
            p = answer.probability
            of_af = 0.0 if max(range(len(CLASSES)), key=p.__getitem__) == UNREADABLE else p[AF]
            self._state[answer.row].answers.append((answer.needed, of_af))
        return [self._second(item) for item in items]

    def flush(self, rows: Rows) -> list[Beats]:
        """Return nothing: `push` leaves no output pending."""
        return []

    def restart(self, row: int, sample: int) -> int:
        """Restart after a gap: forget what came before it."""
        self._state[row] = _State()
        return sample

    def _second(self, item: Beats) -> Beats:
        state = self._state[item.second.row]
        while state.answers and state.answers[0][0] <= item.second.needed:
            state.af = state.answers.pop(0)[1]
        return item._replace(beats=tuple(_judged(state, beat) for beat in item.beats))


def _judged(state: _State, beat: LabelledBeat) -> LabelledBeat:
    rr, label = beat.rr_s, beat.label
    if rr is None:
        state.rr, state.usual = [], 0.0
        return beat
    if rr > PREMATURE * state.usual:
        state.usual = 0.0
    if label == "S" and not _is_premature(state, rr):
        label = "N"
    if label == "V" and beat.conducted and max([rr, *state.rr[-1:]]) <= FAST_S:
        label, beat = "S", beat._replace(ventricular=0.0)
    state.rr = [*state.rr[-BEFORE + 1 :], rr]
    return beat if label == beat.label else beat._replace(label=label)


def _is_premature(state: _State, rr: float) -> bool:
    """True of an S that comes early, and of any S while intervals stay as short after it."""
    if state.af >= AF_SURE:
        return False
    if state.usual or not state.rr:
        return True
    usual = sorted(state.rr)[len(state.rr) // 2]
    early = rr <= PREMATURE * usual
    state.usual = usual if early else 0.0
    return early
