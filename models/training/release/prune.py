"""Structured pruning: whole channels of a trained Segmenter are removed, which leaves a smaller
Segmenter.

Channels are ranked by the BatchNorm scales that write them (network slimming, Liu et al. 2017, DOI
10.1109/ICCV.2017.298). Layers that add into one branch share its channels, so these are kept or
lost together; the channels inside a block are ranked by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.architectures.ecgcl import (
    CoarseToFine,
    ColumnBlock,
    EcgclSeparable,
    EcgclStem,
    Segmenter,
    Widths,
)


class Layer(NamedTuple):
    """A layer, the stream of channels it reads ("" for the signal), and the one it writes."""

    name: str
    module: nn.Module
    reads: str
    writes: str


def layers(net: Segmenter) -> Iterator[Layer]:
    """Every layer but the head, with its streams: one per branch ("0" the finest), one inside each
    block."""
    trunk, decoder = net.trunk, net.decoder
    yield Layer("trunk.stem", trunk.stem, "", "0")
    for s, blocks in enumerate(trunk.blocks):
        for b, block in enumerate(blocks):
            yield from _of_block(f"trunk.blocks.{s}.{b}", block, str(b))
    for b, layer in enumerate(trunk.partition):
        yield Layer(f"trunk.partition.{b}", layer, str(b), str(b + 1))
    for s, (downs, ups) in enumerate(zip(trunk.down, trunk.up, strict=True)):
        for b, (down, up) in enumerate(zip(downs, ups, strict=True)):
            yield Layer(f"trunk.down.{s}.{b}", down, str(b), str(b + 1))
            yield Layer(f"trunk.up.{s}.{b}", up, str(b + 1), str(b))
    for b, rise in enumerate(decoder.rise):
        yield Layer(f"decoder.rise.{b}", rise, str(b + 1), str(b))
    yield from _of_block("decoder.refine", decoder.refine, "0")


def _of_block(name: str, block: ColumnBlock, stream: str) -> Iterator[Layer]:
    yield Layer(f"{name}.first", block.first, stream, name)
    yield Layer(f"{name}.second", block.second, name, stream)


def scales(net: Segmenter) -> Tensor:
    """All BatchNorm scales that pruning ranks, for a sparsity penalty: (n,)."""
    return torch.cat([layer.module.norm.weight for layer in layers(net)])


def prune(net: Segmenter, widths: Widths) -> Segmenter:
    """A Segmenter of these widths that holds the channels of `net` that matter most, with their
    weights."""
    importance: dict[str, Tensor] = {}
    for layer in layers(net):
        scale = layer.module.norm.weight.detach().abs()
        importance[layer.writes] = importance.get(layer.writes, torch.zeros_like(scale)) + scale
    small = Segmenter(widths)
    kept = {"": torch.tensor([0])}
    for layer in layers(small):
        count = layer.module.norm.weight.numel()
        kept[layer.writes] = importance[layer.writes].topk(count).indices.sort().values
    with torch.no_grad():
        for old, new in zip(layers(net), layers(small), strict=True):
            _copy(old.module, new.module, kept[old.reads], kept[old.writes])
        small.decoder.head.weight.copy_(net.decoder.head.weight[:, kept["0"]])
        small.decoder.head.bias.copy_(net.decoder.head.bias)
    return small


def _copy(old: nn.Module, new: nn.Module, reads: Tensor, writes: Tensor) -> None:
    """Weights of a layer, those of the kept channels only."""
    if isinstance(old, EcgclSeparable):
        new.depth.weight.copy_(old.depth.weight[reads])
    if isinstance(old, EcgclSeparable | CoarseToFine):
        new.mix.weight.copy_(old.mix.weight[writes][:, reads])
    if isinstance(old, EcgclStem):
        new.conv.weight.copy_(old.conv.weight[writes])
    for part in ("weight", "bias", "running_mean", "running_var"):
        getattr(new.norm, part).copy_(getattr(old.norm, part)[writes])
