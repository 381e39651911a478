"""The lightweight transformer: softmax kernels over beats, nothing beyond their reach, no table of
all pairs of beats.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from pathlib import Path

from models.architectures.layers.light_conv import LightConv
from models.architectures.light_transformer import REACH, LightTransformer
from models.training.problems import BEATS
from models.training.release.windowed_export import write_onnx


@pytest.fixture
def net() -> LightTransformer:
    torch.manual_seed(1)
    return LightTransformer(2, 5).eval()


def test_a_kernel_is_shared_inside_a_head_and_sums_to_one() -> None:
    layer = LightConv(16, 4, 5).eval()
    each = layer.weights(layer.scores)
    assert each.shape == (4, 5)
    assert torch.allclose(each.sum(dim=1), torch.ones(4))
    impulse = torch.zeros(1, 9, 16)
    impulse[0, 4] = 1
    answer = layer(impulse)[0]  # (9, 16): each channel shows its kernel, mirrored
    assert torch.allclose(answer[2:7].flip(0).T, each.repeat_interleave(4, dim=0), atol=1e-6)
    assert answer[:2].abs().max() == answer[7:].abs().max() == 0


def test_a_beat_beyond_the_reach_changes_nothing(net: LightTransformer) -> None:
    x = torch.randn(1, 11, 98)
    other = x.clone()
    other[:, 0] += 1
    reach = sum(k // 2 for k in REACH)
    moved = (net(x) - net(other)).abs().amax(dim=(0, 1))
    assert moved[: reach + 1].min() > 0
    assert moved[reach + 1 :].max() == 0


def test_the_rr_ratios_alone_change_the_answer(net: LightTransformer) -> None:
    x = torch.randn(1, 11, 98)
    other = x.clone()
    other[:, 5, -2] -= 0.4
    assert (net(x) - net(other)).abs()[0, :, 5].max() > 1e-4


def test_the_exported_network_holds_no_table_of_beats_by_beats(
    net: LightTransformer, tmp_path: Path
) -> None:
    import onnx

    write_onnx(net, BEATS, tmp_path / "model.onnx")
    graph = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "model.onnx")).graph
    shapes = [[d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.value_info]
    assert len(shapes) > 20
    assert not [shape for shape in shapes if shape[-2:] == [11, 11]]
    convolutions = [
        n
        for n in graph.node
        if n.op_type == "Conv" and any(a.name == "group" and a.i == 64 for a in n.attribute)
    ]
    assert len(convolutions) == len(REACH)
