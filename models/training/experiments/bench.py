"""Benchmarks that need torch: the cost of an architecture, and the deployed form timed against
torch and against the network before pruning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models import architectures
from models.architectures import Problem
from models.architectures.ecgcl import DENSE, WIDTHS, Backbone, Column, Segmenter
from models.serving.benchmark import BATCHES, Call, file_calls
from models.serving.catalogue import Artifact
from models.signal.windows import BEAT_SPEC, InputSpec
from models.training.cost import macs, parameters
from models.training.problems import QRS, every_s, first
from models.training.release.windowed_export import write_onnx


class ArchitectureCost(NamedTuple):
    """The cost of one architecture on its first problem (models/training/problems.py)."""

    parameters: int
    mmac_per_second: float


def cost(name: str) -> ArchitectureCost:
    """Measure the cost of a registered architecture."""
    architecture = architectures.load(name)
    problem = first(architecture)
    net = architecture.build(problem)
    return ArchitectureCost(
        parameters(net), macs(net, torch.zeros(1, *problem.shape)) / every_s(problem) / 1e6
    )


def torch_calls(artifact: Artifact) -> list[Call]:
    """An artifact's network in torch, with fresh weights; empty if the registry does not know
    it."""
    torch.set_num_threads(1)
    found = _network(artifact)
    if found is None:
        return []
    return torch_timings(*found)


def torch_timings(name: str, net: nn.Module, length: int, rows: int = 1) -> list[Call]:
    """Measure a network in torch on windows of this many samples and rows."""
    net = net.eval().to(memory_format=torch.channels_last)
    return [
        Call(name, "torch", batch, _call(net, torch.randn(batch, rows, length)))
        for batch in BATCHES
    ]


def first_task_calls() -> list[Call]:
    """The first task's network as it is deployed, before pruning, and in torch."""
    calls = torch_timings("ecgcl QRS alone", Segmenter(WIDTHS), BEAT_SPEC.length)
    with TemporaryDirectory() as folder:
        for name, widths in (
            ("ecgcl QRS alone", WIDTHS),
            ("ecgcl QRS alone, before pruning", DENSE),
        ):
            path = Path(folder) / "model.onnx"
            write_onnx(Segmenter(widths).eval(), QRS, path)
            calls += file_calls(path, name)
    return calls


def _network(artifact: Artifact) -> tuple[str, nn.Module, int, int] | None:
    """The benchmark's name of a network, the network, and the length and rows of its windows."""
    for part in artifact.parts:
        if part.name == "backbone":
            columns = [Column() for _ in artifact.spec["tasks"]]
            return f"{artifact.name} backbone", Backbone(Segmenter(), columns), BEAT_SPEC.length, 1
    spec = artifact.spec
    if spec.get("architecture") not in architectures.known():
        return None
    size = spec.get("rows", 1), spec.get("extra", 0)
    problem = Problem(spec["kind"], tuple(spec["outputs"]), InputSpec(**spec["input"]), *size)
    rows, length = problem.shape
    return artifact.name, architectures.load(spec["architecture"]).build(problem), length, rows


def _call(net: nn.Module, x: Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.inference_mode():
            return net(x)

    return run
