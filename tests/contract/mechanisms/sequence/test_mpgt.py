"""MPGT: a gate that never shuts, causal convolutions, two scales."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.sequence.mpgt import WIDTH, Causal, Mpgt, MpgtBlock, ScaleGate


def test_the_gate_lies_between_sigmoid_of_minus_one_and_of_one() -> None:
    weights = ScaleGate().weights(1000 * torch.randn(2, 40, WIDTH)).detach()
    assert float(weights.min()) == pytest.approx(0.2689, abs=1e-4)
    assert float(weights.max()) == pytest.approx(0.7311, abs=1e-4)


def test_the_gate_reads_the_first_scale_only() -> None:
    torch.manual_seed(1)
    gate, first, second = ScaleGate(), torch.randn(2, 40, WIDTH), torch.randn(2, 40, WIDTH)
    assert torch.allclose(gate(first, second) - gate(first, 0 * second), second, atol=1e-5)


def test_temporal_convolutions_never_look_ahead() -> None:
    torch.manual_seed(1)
    layer, x = Causal().eval(), torch.randn(1, 40, WIDTH)
    other = x.clone()
    other[:, 20] += 1
    moved = (layer(x) - layer(other)).abs().amax(dim=2)[0].nonzero().flatten().tolist()
    assert min(moved) == 20
    assert max(moved) == 20 + 4 * (1 + 2)


def test_a_block_is_attention_mlp_convolution_mlp() -> None:
    names = [type(part).__name__ for part in MpgtBlock().parts]
    assert names == ["SelfAttention", "Sequential", "Causal", "Sequential"]


def test_the_coarse_scale_reaches_the_fine_one_after_every_block() -> None:
    torch.manual_seed(1)
    net, x = Mpgt(1250, 4).eval(), torch.randn(2, 1, 1250)
    before, seen = net(x), []
    for gate in net.gates:
        gate.register_forward_hook(lambda _, __, out: seen.append(out))
    net(x)
    assert len(seen) == 2
    net.coarse[0][0][0].weight.data.zero_()
    assert (net(x) - before).abs().max() > 1e-4
