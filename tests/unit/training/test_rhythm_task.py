"""T3: how records become windows, splits, temperature. Needs torch (extra `train`)."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra `train`)")

from models.architectures.ecgcl import Trunk
from models.signal.windows import BEAT_SPEC, cut
from models.training.data.cinc2017 import Recordings
from models.training.data.rhythm_windows import Varied
from models.training.sequence import SequenceBatches, record_logits, second_windows, temperature
from models.training.tasks.rhythm.train import CLASS_WEIGHTS, CONTEXT, learner, split


def wave(seconds: float) -> np.ndarray:
    return np.sin(np.arange(round(seconds * 125)) / 9).astype(np.float32)


def test_the_windows_of_a_record_are_those_of_the_stream() -> None:
    windows = second_windows(wave(30))
    # the last one holds 11 samples of signal in its second
    assert windows.shape == (31, BEAT_SPEC.length)
    assert np.array_equal(windows[7:8], cut(wave(30), np.array([BEAT_SPEC.end(7)]), BEAT_SPEC))


def test_train_validation_and_test_share_no_record() -> None:
    labels = np.repeat([0, 1, 2, 3], [200, 30, 100, 20])
    parts = split(labels, 2)
    assert sorted(np.concatenate(parts)) == list(range(350))
    assert len(parts.test) == 70
    assert 26 <= len(parts.validation) <= 30


def test_the_temperature_that_blurred_the_logits_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((20_000, 4)).astype(np.float32) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    assert temperature(logits * 2, truth) == pytest.approx(2, rel=0.06)


def test_a_batch_says_which_seconds_exist_and_teaches_the_column_alone() -> None:
    signal = np.concatenate([wave(12), wave(40)])
    recordings = Recordings(
        np.array(["a", "b"]), np.array([0, 1]), np.array([0, 1500, 6500]), signal.astype(np.float16)
    )
    noise = [np.random.default_rng(5).standard_normal(20_000).astype(np.float32)]
    batches = SequenceBatches(recordings, np.arange(2), Varied(noise, 0), CONTEXT, CLASS_WEIGHTS)
    (windows,), target = batches.batch(np.random.default_rng(1), 2)
    assert windows.shape == (2, CONTEXT.seconds, BEAT_SPEC.length)
    for row, (_, count, begin, end) in enumerate(target.tolist()):
        assert (windows[row, : CONTEXT.seconds - count] == 0).all()
        assert CONTEXT.seconds - count <= begin < end <= CONTEXT.seconds
    net = learner(Trunk()).train()
    assert not net.trunk.training
    batches.loss(net, net(windows), target).backward()
    assert all(p.grad is None for p in net.trunk.parameters())
    assert all(p.grad is not None for p in net.column.parameters())


def test_a_short_record_has_an_answer() -> None:
    assert np.isfinite(record_logits(learner(Trunk()).eval(), wave(9.5), CONTEXT)).all()
