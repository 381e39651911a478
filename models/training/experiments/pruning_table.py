"""Compare the pruned with the dense network in one run: multiply-accumulates, measured time, and
the loss in QRS detection, clean and in noise.

    python -m models.training.experiments.pruning_table 0

Both are trained on the same batches, unless they were before (RUNS/ecgcl/qrs-NAME.pt and
qrs-NAME-unpruned.pt). Time: one thread, one window and the processor's batch, ONNX
Runtime and torch, the median of rounds in which all take turns; each is called several times in a
row, so that its data is in the caches, as in a stream. Writes
models/artifacts/experiments/pruning.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from models.architectures.ecgcl import Segmenter
from models.serving.benchmark import Call, file_calls
from models.signal.windows import BEAT_SPEC
from models.training.cost import macs, parameters
from models.training.data.records import data_folder
from models.training.experiments import ablation_qrs
from models.training.experiments.bench import torch_timings
from models.training.place import Place
from models.training.problems import QRS
from models.training.release.windowed_export import write_onnx
from models.training.tasks.qrs.shipped import ShippedQrs

ARTIFACT = Path(__file__).parents[2] / "artifacts" / "experiments" / "pruning.md"
ROUNDS, IN_A_ROW = 40, 5
ABOUT = """# Pruned against dense

`python -m models.training.experiments.pruning_table {fold}` makes this page.

T1, QRS: trunk and segmentation decoder of the deployed network. Both begin as the same dense network and see the same batches; of one,
half of the channels are taken out on the way (models/training/release/prune.py). F1 at 150 ms, MITDB patients that neither saw; noise: electrode
motion of NSTDB that no training draws from, 12 minutes of each record. Time of one thread: a window is 2.56 s and comes every second; 16
is the processor's batch. One fold, one seed.

"""


def calls(net: Segmenter, folder: Path) -> list[Call]:
    """The network as serving would run it and in torch, each with one window and with the
    processor's batch."""
    path = folder / f"{parameters(net)}.onnx"
    write_onnx(net.to(memory_format=torch.contiguous_format), QRS, path)
    return [*file_calls(path, "net"), *torch_timings("net", net, BEAT_SPEC.length)]


def milliseconds(each: Sequence[Call]) -> list[float]:
    """Milliseconds of this thread per window, for each call."""
    spent: list[list[float]] = [[] for _ in each]
    for _ in range(ROUNDS):
        for call, times in zip(each, spent, strict=True):
            call.run()
            began = time.thread_time()
            for _ in range(IN_A_ROW):
                call.run()
            times.append((time.thread_time() - began) / IN_A_ROW / call.batch)
    return [1000 * statistics.median(times) for times in spent]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("fold", type=int, help="of MITDB's patients, which neither sees")
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of the unpacked sets"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of checkpoints")
    options = parser.parse_args()
    torch.set_num_threads(1)
    training = ShippedQrs(Place(options.data, options.runs), seed=1)
    pruned = training.learn(options.fold)  # leaves the dense network, from which both begin
    nets = [training.learn_unpruned(options.fold), pruned]
    with tempfile.TemporaryDirectory() as folder:
        each = [calls(net, Path(folder)) for net in nets]
        times = milliseconds([call for some in each for call in some])
    half = len(times) // 2
    held = ablation_qrs.load(options.data, options.fold)
    figures = [ablation_qrs.judge(net, held) for net in nets]
    columns = [f"{call.engine}, batch {call.batch}" for call in each[0]]
    text = table(["dense", "pruned"], nets, columns, [times[:half], times[half:]], figures)
    ARTIFACT.write_text(ABOUT.format(fold=options.fold) + text + "\n")
    print(text)


def table(
    names: Sequence[str],
    nets: Sequence[Segmenter],
    columns: Sequence[str],
    times: Sequence[Sequence[float]],
    figures: Sequence[ablation_qrs.Figures],
) -> str:
    """Table of both networks and their differences, as factors or points, in Markdown."""
    costs = [macs(net, torch.zeros(1, 1, BEAT_SPEC.length)) for net in nets]
    rows = [
        (
            "parameters",
            *(f"{parameters(net):,}" for net in nets),
            f"{parameters(nets[0]) / parameters(nets[1]):.1f} times fewer",
        ),
        (
            "MMAC per window",
            *(f"{cost / 1e6:.2f}" for cost in costs),
            f"{costs[0] / costs[1]:.1f} times fewer",
        ),
    ]
    for column, dense, pruned in zip(columns, *times, strict=True):
        rows.append(
            (
                f"ms per window, {column}",
                f"{dense:.3f}",
                f"{pruned:.3f}",
                f"{dense / pruned:.1f} times less",
            )
        )
    for name, dense in figures[0].items():
        rows.append(
            (
                f"QRS {name}, %",
                f"{dense:.2f}",
                f"{figures[1][name]:.2f}",
                f"{figures[1][name] - dense:+.2f} points",
            )
        )
    return "\n".join(
        [
            f"| | {' | '.join(names)} | |",
            "|---|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )


if __name__ == "__main__":
    main()
