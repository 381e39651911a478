"""Count the parameters and multiply-accumulates of a network, the latter in torch's own operations,
for any kind of layer."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(net: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in net.parameters())


def macs(net: nn.Module, *inputs: Tensor) -> int:
    """Multiply-accumulates of one pass over these inputs: convolutions, matrix products, attention,
    recurrent layers."""
    net = net.eval()
    mapping = {torch.ops.aten.mkldnn_rnn_layer: _lstm}
    # without gradients attention is opaque
    with torch.enable_grad(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        net(*inputs)
    return int(counter.get_total_flops()) // 2


def _lstm(x: Any, from_input: Any, from_hidden: Any, *_: Any, **__: Any) -> int:
    """Operations of one direction of a recurrent layer, which oneDNN does in one call; shapes in."""
    steps = prod(x[:-1])
    return int(2 * steps * (prod(from_input) + prod(from_hidden)))
