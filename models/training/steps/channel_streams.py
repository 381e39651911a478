"""Find the layers of a network that write and read the same channels, which pruning must remove
together.

The graph of a network (torch.fx) is walked once. Every convolution and linear layer begins a stream
of channels that it writes; norms, activations, pooling, depthwise convolutions and means over time
pass a stream on; adding two streams makes them one. A stream that meets anything else (splits,
reshapes, recurrence, attention) is fixed: no channel is removed from it. This is cautious rather
than complete: residual branches, inverted residuals, gates and MLPs are found, concatenations and
attention keep their channels.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn

from ingest.errors import BadInputError

Written = nn.Conv2d | nn.Conv1d | nn.Linear
Norm = nn.BatchNorm1d | nn.BatchNorm2d
PASSES = (
    nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid, nn.Sigmoid, nn.Tanh, nn.Identity,
    nn.Dropout, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.MaxPool1d, nn.AvgPool1d,
)  # fmt: skip
FUNCTIONS: tuple[Callable[..., Any], ...] = (
    torch.relu, torch.sigmoid, torch.tanh, nn.functional.relu, nn.functional.gelu, nn.functional.silu,
)  # fmt: skip
METHODS = ("mean", "amax", "sigmoid", "relu", "tanh")  # over time, if over anything
JOINS = (operator.add, operator.mul, torch.add, torch.mul)


@dataclass
class ChannelStream:
    """Channels that several layers share."""

    channels: int
    fixed: bool = False
    writers: list[str] = field(default_factory=list)  # convolutions and linear layers
    norms: list[str] = field(
        default_factory=list
    )  # norms and depthwise convolutions, which have one entry per channel
    readers: list[str] = field(default_factory=list)


UNTRACED = (fx.proxy.TraceError, TypeError, RuntimeError, ValueError)


class _Leaves(fx.Tracer):
    """Layers of torch are leaves; so is every part whose own graph depends on its input."""

    def is_leaf_module(self, m: nn.Module, name: str) -> bool:
        if m.__module__.startswith("torch."):
            return not isinstance(m, nn.Sequential | nn.ModuleList)
        try:
            _Leaves().trace(m)
        except UNTRACED:
            return True
        return False


def streams(net: nn.Module) -> list[ChannelStream]:
    """All streams of a network that are not fixed.

    Raises BadInputError if the network cannot be traced.
    """
    net = net.eval()
    try:
        graph = _Leaves().trace(net)
    except UNTRACED as error:
        problem = f"the graph of {type(net).__name__} depends on its input: {error}"
        raise BadInputError(
            problem, "Choose a network without such steps, such as se_resnet."
        ) from error
    walk = _Walk(net)
    for node in graph.nodes:
        walk.visit(node)
    unique = {id(one): one for one in map(walk.root, walk.all)}
    return [one for one in unique.values() if not one.fixed and one.writers and one.readers]


class _Walk:
    """Streams of each node of the graph, joined as they meet."""

    def __init__(self, net: nn.Module) -> None:
        self._modules = dict(net.named_modules())
        self._of: dict[fx.Node, ChannelStream | None] = {}
        self._parent: dict[int, ChannelStream] = {}
        self.all: list[ChannelStream] = []

    def root(self, one: ChannelStream) -> ChannelStream:
        """The stream into which this one has been merged."""
        while (parent := self._parent.get(id(one))) is not None:
            one = parent
        return one

    def visit(self, node: fx.Node) -> None:
        given = [self._stream(arg) for arg in node.all_input_nodes]
        if node.op == "call_module":
            self._of[node] = self._module(str(node.target), self._modules[str(node.target)], given)
        elif (node.op == "call_function" and node.target in JOINS) or (
            node.op == "call_method" and node.target in ("add", "mul")
        ):
            self._of[node] = self._join(node, given)
        elif self._passes(node):
            self._of[node] = given[0]
        else:
            self._fix(given)
            self._of[node] = None

    def _passes(self, node: fx.Node) -> bool:
        if node.op == "call_function":
            return node.target in FUNCTIONS
        if node.op != "call_method" or node.target not in METHODS:
            return False
        dim = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
        return node.target not in ("mean", "amax") or dim in (2, 3, (2, 3), [2, 3])

    def _stream(self, node: fx.Node) -> ChannelStream | None:
        found = self._of.get(node)
        return None if found is None else self.root(found)

    def _new(self, channels: int) -> ChannelStream:
        self.all.append(ChannelStream(channels))
        return self.all[-1]

    def _module(
        self, name: str, module: nn.Module, given: list[ChannelStream | None]
    ) -> ChannelStream | None:
        read = given[0] if given else None
        if isinstance(module, nn.Conv1d | nn.Conv2d) and module.groups > 1:
            if read is not None and module.groups == module.in_channels == module.out_channels:
                read.norms.append(name)
                return read
        elif isinstance(module, Written):
            if read is not None:
                read.readers.append(name)
            written = self._new(module.weight.shape[0])
            written.writers.append(name)
            return written
        elif isinstance(module, Norm) and read is not None:
            read.norms.append(name)
            return read
        elif isinstance(module, PASSES):
            return read
        self._fix(given)
        return None

    def _join(self, node: fx.Node, given: list[ChannelStream | None]) -> ChannelStream | None:
        if len(node.all_input_nodes) < 2:  # with a number
            return given[0] if given else None
        first, second = given[0], given[1]
        if first is None or second is None or first.channels != second.channels:
            self._fix(given)
            return None
        if first is not second:
            first.fixed |= second.fixed
            for part in ("writers", "norms", "readers"):
                getattr(first, part).extend(getattr(second, part))
            self._parent[id(second)] = first
        return first

    def _fix(self, given: list[ChannelStream | None]) -> None:
        for one in given:
            if one is not None:
                one.fixed = True
