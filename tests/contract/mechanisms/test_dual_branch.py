"""The dual branch: exactly k tokens stay, those that the class token looked at; both class tokens
are drawn together.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from pathlib import Path

from models.architectures.dual_branch import DualBranch, correlation_loss
from models.training.problems import PIECE
from models.training.release.windowed_export import write_onnx


@pytest.fixture
def net() -> DualBranch:
    torch.manual_seed(1)
    return DualBranch(1250, 4).eval()


def test_of_any_window_exactly_half_of_the_tokens_stay(net: DualBranch) -> None:
    lengths: list[int] = []
    for branch in (net.coarse, net.fine):
        branch.layers[-1].register_forward_hook(
            lambda _, inputs, __: lengths.append(inputs[0].shape[1])
        )
    for x in (torch.zeros(2, 1, 1250), torch.randn(2, 1, 1250), 9 * torch.randn(2, 1, 1250)):
        net(x)
    assert set(lengths) == {1 + 13, 1 + 26}
    assert (net.coarse.count, net.fine.count) == (26, 52)


def test_those_stay_that_the_class_token_looked_at(net: DualBranch) -> None:
    for chosen in net.look(torch.randn(3, 1, 1250)):
        assert torch.equal(
            chosen.kept, torch.topk(chosen.scores, chosen.kept.shape[1], dim=1).indices
        )
        assert bool((chosen.scores >= 0).all())
        assert float(chosen.scores.sum(dim=1).max()) <= 1.0  # the class token also looks at itself


def test_a_token_that_was_left_out_is_gone(net: DualBranch) -> None:
    y = net.trunk(torch.randn(1, 1, 1, 1250))
    seen: list[torch.Tensor] = []
    net.coarse.layers[0].norm1.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    chosen = net.coarse(y)
    whole, again = seen[0], seen[-1]
    assert torch.equal(again[0, 1:], whole[0, 1 + chosen.kept[0]])


def test_equal_class_tokens_cost_nothing_opposite_ones_two() -> None:
    a = torch.randn(8, 32)
    assert correlation_loss(a, a) == pytest.approx(0, abs=1e-5)
    assert correlation_loss(a, 3 * a + 1) == pytest.approx(0, abs=1e-5)
    assert correlation_loss(a, -a) == pytest.approx(2, abs=1e-5)


def test_the_correlation_is_part_of_the_loss_while_training_only(net: DualBranch) -> None:
    net(torch.randn(2, 1, 1250))
    assert net.penalty is None
    net.train()(torch.randn(2, 1, 1250))
    assert net.penalty is not None
    assert 0 < net.penalty < 2


def test_the_exported_network_chooses_by_top_k_of_constant_k(
    net: DualBranch, tmp_path: Path
) -> None:
    import onnx
    from onnx import numpy_helper

    write_onnx(net, PIECE, tmp_path / "model.onnx")
    graph = onnx.load(tmp_path / "model.onnx").graph
    values = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    values |= {
        n.output[0]: numpy_helper.to_array(n.attribute[0].t)
        for n in graph.node
        if n.op_type == "Constant"
    }
    kept = sorted(int(values[n.input[1]].reshape(-1)[0]) for n in graph.node if n.op_type == "TopK")
    assert kept == [13, 26]
    assert any(n.op_type == "GatherElements" for n in graph.node)
