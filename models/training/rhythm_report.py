"""The figures of a shipped rhythm network as Markdown, all measured through the serving runtime."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.runtime import Network
from models.training.cinc2017 import Recordings
from models.training.rhythm_scores import (
    AF,
    LongRecord,
    af_time,
    challenge_score,
    f1,
    piece_probabilities,
    record_probabilities,
    segment_probabilities,
)
from models.windows import RHYTHM_SPEC

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

PIECES_S = (10, 15, 20)
BATCHES = (1, 8, 16)


def report(model: nn.Module, artifact: Path, recordings: Recordings, test: Ints, mitdb: Sequence[LongRecord]) -> str:
    """Everything measured on the file in `artifact`; `model` only for counting."""
    network = Network(artifact)
    lines = [*challenge_lines(network, recordings, test), "", *af_lines(network, mitdb), "", cost_line(model, artifact)]
    return "\n".join(lines) + "\n"


def challenge_lines(network: Network, recordings: Recordings, test: Ints) -> list[str]:
    """F1 on records of CinC 2017, whole and in pieces."""
    lines = ["| CinC 2017, held-out fold | (N + A + O) / 3 | N | A | O | ~ |", "|---|---|---|---|---|---|"]
    chosen = record_probabilities(network.run, recordings, test).argmax(axis=1)
    lines.append(_f1_row("whole records", recordings.labels[test], chosen))
    for seconds in PIECES_S:
        truth, probabilities = piece_probabilities(network.run, recordings, test, seconds)
        lines.append(_f1_row(f"{seconds}-s pieces, each by itself", truth, probabilities.argmax(axis=1)))
    return lines


def _f1_row(name: str, truth: Ints, chosen: Ints) -> str:
    cells = [challenge_score(truth, chosen), *f1(truth, chosen)]
    return f"| {name} | " + " | ".join(f"{value:.3f}" for value in cells) + " |"


def af_lines(network: Network, mitdb: Sequence[LongRecord]) -> list[str]:
    """AF time in long records: a 5-s segment is called AF where A is the likeliest class. Records without any A are left out."""
    header = "| MITDB record | AFIB min | called A % | AFL min | called A % | other min | called A % |"
    rows = [(r.name, af_time(r.rhythm, segment_probabilities(network.run, r.signal).argmax(axis=1) == AF)) for r in mitdb]
    total = tuple(int(n) for n in np.sum([counts for _, counts in rows], axis=0))
    shown = [_af_row(name, counts) for name, counts in rows if counts[0] or counts[2] or counts[5]]
    return [header, "|---|---|---|---|---|---|---|", *shown, _af_row(f"all {len(rows)}", total)]


def _af_row(name: str, counts: tuple[int, ...]) -> str:
    cells = []
    for total, called in zip(counts[::2], counts[1::2], strict=True):
        cells += [f"{total * RHYTHM_SPEC.hop / RHYTHM_SPEC.fs_hz / 60:.1f}", f"{100 * called / total:.1f}" if total else "-"]
    return f"| {name} | " + " | ".join(cells) + " |"


def cost_line(model: nn.Module, artifact: Path) -> str:
    """Parameters, multiply-accumulates, size, time."""
    parameters = sum(p.numel() for p in model.parameters())
    kilobytes = (artifact / "model.onnx").stat().st_size / 1e3
    times = ", ".join(f"{milliseconds_per_window(artifact, batch):.2f} ms in batches of {batch}" for batch in BATCHES)
    size = f"{parameters:,} parameters, {megamacs(model):.1f} MMAC per window, {kilobytes:.0f} kB."
    return f"{size} Time per window on one core: {times}."


def milliseconds_per_window(artifact: Path, batch: int) -> float:
    """Median over repeated calls."""
    network = Network(artifact, batch)
    x = np.random.default_rng(0).standard_normal((batch, RHYTHM_SPEC.length)).astype(np.float32)
    took = []
    for _ in range(40):
        began = time.perf_counter()
        network.run(x)
        took.append((time.perf_counter() - began) * 1e3 / batch)
    return float(np.median(took))


def megamacs(model: nn.Module) -> float:
    """Multiply-accumulates of one window's convolutions, GRU and linear layers, in millions."""
    total = 0

    def count(module: Any, inputs: Any, output: Any) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output[0].numel() * module.in_channels // module.groups * module.kernel_size[1]
        elif isinstance(module, nn.GRU):
            total += inputs[0].shape[1] * 2 * 3 * module.hidden_size * (module.input_size + module.hidden_size)
        elif isinstance(module, nn.Linear):
            total += module.in_features * module.out_features

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    with torch.inference_mode():
        model.eval()(torch.zeros(1, 1, RHYTHM_SPEC.length))
    for hook in hooks:
        hook.remove()
    return total / 1e6
