"""Binarised CNN: one bit per weight, in training's forward pass and in the exported file."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from pathlib import Path

from models.architectures import load
from models.architectures.compact.binarised import Binarised, BinaryConv, straight_sign
from models.serving.runtime import Network
from models.training.problems import PIECE
from models.training.release.windowed_export import export
from tests.contract.mechanisms.responses import numbers


def test_the_gradient_passes_within_one_and_stops_beyond() -> None:
    x = torch.tensor([-1.5, -0.9, -0.2, 0.0, 0.7, 1.1], requires_grad=True)
    y = straight_sign(x)
    y.backward(torch.full((6,), 2.0))
    assert y.tolist() == [-1, -1, -1, 1, 1, 1]
    assert x.grad.tolist() == [0, 2, 2, 2, 2, 0]


def test_weights_and_activations_are_signs() -> None:
    torch.manual_seed(1)
    net, seen = Binarised(4).eval(), []
    for layer in net.body:
        if isinstance(layer, BinaryConv):
            layer.register_forward_hook(lambda layer, given, _: seen.append((layer, given[0])))
            assert set(layer.weights().unique().tolist()) == {-1.0, 1.0}
    net(torch.randn(2, 1, 1250))
    assert len(seen) == 9
    assert all(set(x.unique().tolist()) == {-1.0, 1.0} for _, x in seen[1:])


def test_the_file_holds_bits_and_computes_the_very_same(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = Binarised(4)
    net.train()(torch.randn(8, 1, 1250))
    export(net, PIECE, tmp_path, {})
    x = torch.randn(4, 1, 1250)
    with torch.inference_mode():
        expected = net.eval()(x)
    assert torch.allclose(torch.from_numpy(Network(tmp_path).run(x[:, 0].numpy())), expected)
    size = (tmp_path / "model.onnx").stat().st_size
    bits = sum(p.numel() for name, p in net.named_parameters() if name.endswith("real"))
    assert bits / 8 < size < bits / 8 + 50_000


def test_the_teacher_has_the_same_shape_in_real_numbers() -> None:
    student, teacher = load("binarised_cnn").build(PIECE), load("binarised_teacher").build(PIECE)
    assert numbers(student) - numbers(teacher) == 4  # a scale of each output
    assert not any(isinstance(part, BinaryConv) for part in teacher.modules())
