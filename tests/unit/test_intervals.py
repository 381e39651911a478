"""RR intervals as channels: what a step with an R peak gets, and that serving gives what training saw."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import intervals
from models.runtime import TaskSpec
from models.windows import BEAT_SPEC
from stream_processor.stages.seconds import Complex, Second
from stream_processor.stages.sequences import SequenceTask

SECONDS = 12
TASK = TaskSpec("t", ["a", "b"], (0, 2), level=False, seconds=SECONDS, least=1, hop=1, intervals=True)


class Listener:
    """In a model's place: keeps what the decoder is given."""

    def __init__(self) -> None:
        self.tasks, self.input, self.given = {"t": TASK}, BEAT_SPEC, np.empty(0)

    def decode(self, task: str, steps: np.ndarray, known: np.ndarray) -> np.ndarray:
        self.given = steps
        return np.full((len(steps), 2), 0.5)


def second(row: int, k: int, at: list[float]) -> Second:
    steps = np.zeros((4, 3), np.float16).tobytes()
    return Second(row, k, 0, 0, tuple(Complex(a, 0.9) for a in at), 0.0, False, False, 0.0, False, steps)


def second_of(at: float) -> int:
    return int((at - BEAT_SPEC.offset) // BEAT_SPEC.hop)


def served(beats: list[float], restart_at: int | None = None) -> np.ndarray:
    """What the decoder is given after SECONDS seconds: (4 * SECONDS, CHANNELS)."""
    model: Any = Listener()
    stage = SequenceTask(model, "t")
    row = stage.open("p", 250.0)
    for k in range(SECONDS):
        if k == restart_at:
            stage.restart(row)
        stage.push([second(row, k, [b for b in beats if second_of(b) == k])])
    return model.given[0, :, -intervals.CHANNELS :]


@given(st.lists(st.floats(0.2, 4.0).filter(lambda gap: abs(gap - intervals.MOST_RR_S) > 1e-6), min_size=3, max_size=40))
def test_unknown_intervals_say_nothing_and_all_is_finite(gaps: list[float]) -> None:
    at = np.cumsum(gaps) * 125
    rr = intervals.interval_s(at, np.concatenate([[np.nan], at[:-1]]))
    assert np.isnan(rr[0])
    assert (np.isnan(rr[1:]) == (np.array(gaps[1:]) > intervals.MOST_RR_S)).all()
    told = intervals.channels(rr, np.concatenate([[np.nan], rr[:-1]]))
    assert np.isfinite(told).all()
    assert (told[:, 0] == 1).all()
    assert (told[np.isnan(rr), 1:] == 0).all()


@given(st.floats(0.3, 1.2), st.floats(-0.02, 0.02))
def test_a_few_hundredths_of_a_second_can_be_told(rr: float, change: float) -> None:
    (told,) = intervals.channels(np.array([rr + change]), np.array([rr]))
    assert told[4] == pytest.approx(20 * abs(np.log1p(change / rr)), abs=1e-4)


def test_every_beat_lies_in_the_step_of_its_time() -> None:
    beats = [20.0 + 100.0 * i for i in range(14)]
    told = served(beats)
    first = BEAT_SPEC.end(0) - BEAT_SPEC.length + intervals.FIRST
    expected = {4 * second_of(b) + min(3, max(0, int((b - first - 125 * second_of(b)) // 32))) for b in beats}
    assert set(np.flatnonzero(told[:, 0])) == expected
    assert told[told[:, 0] == 1][2:, 1] == pytest.approx(0.0, abs=2e-3)  # 0.8 s each


def test_a_gap_makes_the_next_interval_unknown() -> None:
    told = served([60.0 + 125.0 * i for i in range(SECONDS)], restart_at=6)
    after = told[24:][told[24:, 0] == 1]
    assert after[0, 1] == 0
    assert after[1, 1] == pytest.approx(0.4, abs=2e-3)


@settings(deadline=None)
@given(st.lists(st.floats(0.21, 2.0), min_size=2, max_size=30))
def test_serving_gives_what_training_saw(gaps: list[float]) -> None:
    pytest.importorskip("torch", reason="torch is not installed (extra `train`)")
    from models.training.sequence import interval_steps

    at = np.cumsum(gaps) * 125 + 10
    at = at[at < 125 * SECONDS - 40]
    mask, windows = _marked(at)
    trained = interval_steps(windows[None], mask[None])[0]
    peaks = SimpleNamespace(at=[float(a) for a in np.round(at)])
    assert served(peaks.at) == pytest.approx(trained, abs=4e-3)


def _marked(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits of QRS and a signal with a needle at each of these beats, as windows: (SECONDS, 320) each."""
    mask, signal = np.full(125 * SECONDS + 700, -9.0, np.float32), np.zeros(125 * SECONDS + 700, np.float32)
    for a in np.round(at).astype(int) + 320:
        mask[a - 6 : a + 7], signal[a] = 9, 1
    ends = BEAT_SPEC.end(np.arange(SECONDS)) + 320
    cut = ends[:, None] + np.arange(-BEAT_SPEC.length, 0)
    return mask[cut], signal[cut]
