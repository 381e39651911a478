"""The rhythm network and its training, on made-up records."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.runtime import Network  # noqa: E402
from models.training.cinc2017 import Recordings  # noqa: E402
from models.training.export_rhythm import chosen_epoch, export, spec  # noqa: E402
from models.training.rhythm_net import RhythmNet  # noqa: E402
from models.training.rhythm_report import megamacs  # noqa: E402
from models.training.rhythm_windows import Varied  # noqa: E402
from models.training.train_rhythm import BATCH, Training, learning_rate, split, temperature  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def made_up(count: int) -> Recordings:
    rng = np.random.default_rng(1)
    lengths = rng.integers(1200, 5000, count)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    names = np.array([f"R{i}" for i in range(count)])
    return Recordings(names, np.arange(count) % 4, bounds, rng.standard_normal(bounds[-1]).astype(np.float16))


def train(folder: Path, *epochs: int) -> dict[str, torch.Tensor]:
    """Train in as many sittings as there are epochs given, each up to that epoch of two."""
    recordings = made_up(2 * BATCH)
    parts = split(recordings.labels, 0)
    parts = type(parts)(np.arange(BATCH), parts.validation, parts.test)
    noise = [np.ones(10_000, np.float32)]
    for until in epochs:
        training = Training(recordings, parts, Varied(noise, 3), folder, epochs=2, seed=3)
        while training.epoch < until:
            training.advance()
    return training.average.state_dict()


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole, resumed = train(tmp_path / "whole", 2), train(tmp_path / "resumed", 1, 2)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def test_train_validation_and_test_share_no_record() -> None:
    labels = np.repeat([0, 1, 2, 3], [200, 30, 100, 20])
    parts = split(labels, 2)
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(together) == list(range(350))
    assert len(parts.test) == 70
    assert 26 <= len(parts.validation) <= 30


def test_the_learning_rate_rises_shortly_and_ends_at_nothing() -> None:
    rates = [learning_rate(progress) for progress in np.linspace(0, 1, 200)]
    assert np.argmax(rates) < 20
    assert rates[-1] < 1e-6


def test_the_temperature_that_blurred_the_logits_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((20_000, 4)).astype(np.float32) * 2
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (p.cumsum(axis=1) > rng.random((len(p), 1))).argmax(axis=1)
    assert temperature(logits * 2, truth) == pytest.approx(2, rel=0.06)


def test_the_network_is_small_and_its_export_gives_the_same_numbers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = RhythmNet().eval()
    model.temperature.fill_(0.7)
    assert sum(p.numel() for p in model.parameters()) <= 100_000
    assert megamacs(model) <= 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, about itself and batches of a GRU
        export(model, tmp_path / "model.onnx")
    (tmp_path / "spec.json").write_text(json.dumps(spec(tmp_path / "model.onnx", 0.7)))
    x = np.random.default_rng(0).standard_normal((5, 3750)).astype(np.float32)
    x[2, :2400] = 0
    with torch.inference_mode():
        expected = model(torch.from_numpy(x[:, None])).numpy()
    np.testing.assert_allclose(Network(tmp_path).run(x), expected, atol=1e-5)


def test_a_window_without_any_signal_gives_finite_logits() -> None:
    assert torch.isfinite(RhythmNet().eval()(torch.zeros(2, 1, 3750))).all()


def test_the_card_names_the_epoch_that_was_exported() -> None:
    log = "epoch 1/3 records 0.5 best 0.5000 9 s\nepoch 2/3 records 0.7 best 0.7000 9 s\nepoch 3/3 records 0.6 best 0.7000 9 s\n"
    assert chosen_epoch(log).startswith("epoch 2/3")
