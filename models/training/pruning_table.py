"""Pruned against dense, in one run: multiply-accumulates, measured time, and what it costs in QRS found.

    python -m models.training.pruning_table fold0

Needs runs/ecgcl/qrs-NAME.pt and qrs-NAME-unpruned.pt (models/training/tasks/qrs.py). Both were trained on the same batches. Time: one
thread of ONNX Runtime on the processor's batch, the median of rounds in which the two take turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from models.architectures.ecgcl import DENSE, Segmenter
from models.runtime import BATCH, Graph
from models.training.cost import macs, parameters
from models.training.data import Floats, data_folder
from models.training.tasks.qrs import trained
from models.training.tasks.windowed_qrs import Qrs
from models.windows import BEAT_SPEC

ROUNDS, CALLS = 40, 10


def exported(net: Segmenter, folder: Path) -> Graph:
    """As serving would run it."""
    path = folder / f"{parameters(net)}.onnx"
    net = net.to(memory_format=torch.contiguous_format)
    torch.onnx.export(net, (torch.zeros(BATCH, 1, BEAT_SPEC.length),), str(path), input_names=["x"], opset_version=17, dynamo=False)
    return Graph(path)


def milliseconds(graphs: list[Graph]) -> list[float]:
    """Per window, of each graph."""
    x = np.random.default_rng(0).standard_normal((BATCH, 1, BEAT_SPEC.length)).astype(np.float32)
    spent: list[list[float]] = [[] for _ in graphs]
    for _ in range(ROUNDS):
        for graph, times in zip(graphs, spent, strict=True):
            began = time.process_time()
            for _ in range(CALLS):
                graph.run(x)
            times.append(time.process_time() - began)
    return [statistics.median(times) / CALLS / BATCH * 1000 for times in spent]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="fold0, fold1 or fold2")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the unpacked sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/ecgcl"), help="folder of checkpoints")
    options = parser.parse_args()
    torch.set_num_threads(1)
    nets = [trained(options.runs / f"qrs-{options.name}-unpruned.pt", DENSE), trained(options.runs / f"qrs-{options.name}.pt")]
    with tempfile.TemporaryDirectory() as folder:
        times = milliseconds([exported(net, Path(folder)) for net in nets])
    task, window = Qrs(options.data, options.runs), torch.zeros(1, 1, BEAT_SPEC.length)
    costs = [macs(net, window) for net in nets]
    print("| | parameters | MMAC per window | ms per window | QRS F1, % |\n|---|---|---|---|---|")
    for name, net, cost, spent in zip(("dense", "pruned"), nets, costs, times, strict=True):
        found = task.evaluate(predictor(net), int(options.name[-1]))
        print(f"| {name} | {parameters(net):,} | {cost / 1e6:.2f} | {spent:.3f} | {found[task.metric]:.2f} |")
    print(f"\n{costs[0] / costs[1]:.1f} times fewer multiply-accumulates, {times[0] / times[1]:.1f} times less time.")


def predictor(net: Segmenter) -> Callable[[Floats], Floats]:
    """The network as a function of arrays: (B, T) windows to (B, 1, T) logits."""

    def predict(x: Floats) -> Floats:
        with torch.inference_mode():
            return np.asarray(net(torch.from_numpy(np.ascontiguousarray(x))[:, None]).numpy())

    return predict


if __name__ == "__main__":
    main()
