"""TAC-ECG: reports and records meet, adapters leave the encoder bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ecgwatch[train]'")

from models import architectures
from models.architectures.residual.tac_ecg import TacEcg
from models.training.harness import TrainingPlan, train
from models.training.steps.adapter import Adapted, share
from models.training.steps.ecg_text import (
    PairBatches,
    Reports,
    SignalAndText,
    TextEncoder,
    grams,
    meeting,
    pretrain,
    retrieval,
)
from tests.made_tasks import HZ, Tones

TEXTS = ("sinusrhythmus normales ekg", "vorhofflimmern", "linksschenkelblock sonst normal")


def reports(count: int = 60) -> Reports:
    """Records whose tone is what their report says."""
    rng = np.random.default_rng(1)
    kind = np.arange(count) % 3
    time = np.arange(500) / 125
    phase = rng.random((count, 2, 1))
    x = np.sin(2 * np.pi * (HZ[kind][:, None, None] * time + phase))
    x = x + 0.3 * rng.standard_normal(x.shape)
    held = np.arange(count) >= count - 12
    return Reports(torch.from_numpy(x.astype(np.float32)), [TEXTS[k] for k in kind], held)


def tac(seed: int = 1) -> TacEcg:
    torch.manual_seed(seed)
    net: TacEcg = architectures.load("tac_ecg").build(Tones.problem)
    state = {
        k: v
        for k, v in SignalAndText(["x"]).signal.state_dict().items()
        if not k.startswith(("head", "thresholds"))
    }
    net.load_encoder(state)
    return net


def test_words_and_their_neighbours_are_hashed() -> None:
    assert len(grams("Sinusrhythmus, normales EKG")) == 6
    assert grams("Normales EKG") == grams("normales ekg.")
    assert grams("") == [0]


def test_texts_become_unit_vectors_one_by_one() -> None:
    torch.manual_seed(1)
    net = TextEncoder()
    together, alone = net(TEXTS), net(TEXTS[1:2])
    assert torch.allclose(together.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(together[1], alone[0], atol=1e-6)


def test_equal_texts_are_no_negatives() -> None:
    torch.manual_seed(1)
    x = torch.nn.functional.normalize(torch.randn(3, 8), dim=1)
    texts = x[[0, 0, 2]]
    scale, same = torch.tensor(10.0), torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    moved = x.clone()
    with_negatives = meeting(x, texts, scale, torch.eye(3).bool())
    without = meeting(x, texts, scale, same)
    assert float(without) < float(with_negatives)
    moved[1] = x[1]
    assert torch.equal(meeting(moved, texts, scale, same), without)


def test_reports_of_records_left_out_are_found_above_chance(tmp_path: Path) -> None:
    some = reports()
    plan = TrainingPlan(epochs=2, steps=20, batch=24, peak_rate=3e-3)
    net, _ = pretrain(some, plan, tmp_path)
    figures = retrieval(net, some, top=1)
    assert figures["chance"] == pytest.approx(1 / 3)
    assert figures["report among the first 1"] > 0.7
    assert (tmp_path / "encoder.pt").exists()


def test_left_out_records_are_never_drawn() -> None:
    some = reports()
    (_, places), _ = PairBatches(some).batch(np.random.default_rng(1), 48)
    assert not some.held_out[places.numpy()].any()


def test_adapters_that_are_new_change_nothing() -> None:
    net = tac().eval()
    x = torch.randn(4, 1, 500)
    with_adapters = net(x)
    assert len(net.ablate()) == 16
    assert torch.equal(net(x), with_adapters)


def test_weights_and_running_means_stay_bit_for_bit(tmp_path: Path) -> None:
    net, task = tac(), Tones(epochs=1, steps=6)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    adapted = Adapted(net)
    train(adapted, task.batches(0), task.plan, tmp_path / "adapter.pt")
    moved = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert moved
    assert all(".down." in k or ".up." in k or k.startswith("encoder.head") for k in moved)
    assert len(moved) == 4 * 16 + 2
    frozen = [k for k in before if "running" in k]
    assert frozen
    assert not set(frozen) & moved


def test_a_few_percent_are_trained() -> None:
    assert 0.02 < share(Adapted(tac())) < 0.05


def test_an_encoder_of_other_sizes_is_refused() -> None:
    with pytest.raises(ValueError, match="other layers"):
        tac().load_encoder({"stem.0.weight": torch.zeros(1)})
