"""The three continual-learning scenarios of ECG-CL (Gao et al. 2023, arXiv 2304.04646), each
learned by several methods.

    python -m models.training.experiments.continual domain     # QRS segmentation, then rhythm
    python -m models.training.experiments.continual class      # the rare rhythm classes, then all four
    python -m models.training.experiments.continual task       # a small data set, VFDB, then a large one, CinC 2017
    python -m models.training.experiments.continual all
    python -m models.training.experiments.continual all --quick    # one seed, short, on validation records; writes to runs

When started again, trainings continue from their checkpoints. Writes
models/artifacts/experiments/continual.json and continual.md. A seed is also a fold: another
initialisation, and other test records. Lengths of trainings and the share that is pruned were set
by the time at hand, and no epoch is picked: nothing was tuned, neither on the test records nor on
others.

Differences from the paper: the available data, and the second task of the class-incremental
scenario: it is all four classes, from records of all four. Decoders that have seen disjoint classes
could not be chosen between without knowing the task.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from models.architectures.ecgcl_paper import PaperNet
from models.training.data.records import data_folder
from models.training.experiments import continual_report, continual_tasks
from models.training.experiments.continual_data import ExperimentRecords, load
from models.training.experiments.continual_methods import (
    MethodPlan,
    compacted,
    fit,
    fresh,
    recovered,
    same_bits,
    successor,
    with_backbone,
)
from models.training.experiments.continual_tasks import ContinualTask, Parts, outputs
from models.training.experiments.masks import Reuse, WeightStore

ARTIFACT = Path(__file__).parents[2] / "artifacts" / "experiments"
Make = Callable[[ExperimentRecords, Parts], ContinualTask]
SCENARIOS: dict[str, tuple[Make, Make]] = {
    "domain": (continual_tasks.qrs, continual_tasks.rhythm),
    "class": (continual_tasks.minority, continual_tasks.rhythm),
    "task": (continual_tasks.lethal, continual_tasks.rhythm),
}
SEEDS = 3
QUICK_STEPS = 80


def run(
    scenario: str, records: ExperimentRecords, parts: Parts, plan: MethodPlan, runs: Path
) -> dict[str, Any]:
    """Run one seed of one scenario by every method; returns plain data for the report."""
    first, second = (make(records, parts) for make in SCENARIOS[scenario])
    at = f"{scenario}-{plan.seed}"
    start = fresh(first, plan.seed + 1000)
    fit(f"{at}-first", start, first, plan, runs)
    dense = recovered(f"{at}-first-dense", start, first, plan, runs)
    row: dict[str, Any] = {
        "scenario": scenario,
        "tasks": [first.name, second.name],
        "fold": parts.fold,
        **asdict(plan),
    }
    before = first.judge(dense)
    row["scratch"] = {"first": before, **_from_scratch(first, second, plan, runs)}
    row["untrained"] = {
        "first": first.judge(fresh(first, plan.seed).eval()),
        "second": second.judge(fresh(second, plan.seed).eval()),
    }
    row["finetuning"] = {"first": before, **_finetuning(first, second, dense, at, plan, runs)}
    store = WeightStore(start)
    store.open(start, 1, Reuse.NONE)
    compacted(f"{at}-first-compacted", store, 1, start, first, plan, runs)
    held = fresh(first, plan.seed)
    store.apply(held, 1)
    before = first.judge(held)
    for reuse in (Reuse.LEARNED, Reuse.NONE):
        row[f"isolated {reuse.value}"] = {
            "first": before,
            **_isolated(first, second, store, held, reuse, at, plan, runs),
        }
    return row


def _from_scratch(
    first: ContinualTask, second: ContinualTask, plan: MethodPlan, runs: Path
) -> dict[str, Any]:
    """A network of its own for the second task: the same in all scenarios."""
    start = fresh(second, plan.seed + 2000)
    fit(f"scratch-{second.name}-{plan.seed}", start, second, plan, runs)
    net = recovered(f"scratch-{second.name}-{plan.seed}-dense", start, second, plan, runs)
    return {
        "second": second.judge(net),
        "parameters": [
            sum(p.numel() for p in task.make().parameters()) for task in (first, second)
        ],
    }


def _finetuning(
    first: ContinualTask,
    second: ContinualTask,
    dense: PaperNet,
    at: str,
    plan: MethodPlan,
    runs: Path,
) -> dict[str, Any]:
    """One network trained further on the second task; the first keeps its decoder."""
    start = successor(second, dense, plan.seed + 2000)
    fit(f"{at}-finetuning", start, second, plan, runs)
    net = recovered(f"{at}-finetuning-dense", start, second, plan, runs)
    return {"after": first.judge(with_backbone(dense, net)), "second": second.judge(net)}


def _isolated(
    first: ContinualTask,
    second: ContinualTask,
    holding_first: WeightStore,
    held: PaperNet,
    reuse: Reuse,
    at: str,
    plan: MethodPlan,
    runs: Path,
) -> dict[str, Any]:
    """The paper's method, from a store that holds the first task; `held` is the first task's
    network as it was then."""
    store, later = copy.deepcopy(holding_first), fresh(second, plan.seed + 2000)
    store.open(later, 2, reuse)
    fit(f"{at}-second-{reuse.value}", later, second, plan, runs)
    compacted(f"{at}-second-{reuse.value}-compacted", store, 2, later, second, plan, runs)
    again, other = fresh(first, plan.seed), fresh(second, plan.seed)
    store.apply(again, 1)
    store.apply(other, 2)
    return {
        "after": first.judge(again),
        "second": second.judge(other),
        "identical": same_bits(outputs(held, first.probe), outputs(again, first.probe)),
        "counts": [
            {**asdict(store.count(number)), "total": store.count(number).total} for number in (1, 2)
        ],
    }


def plans(quick: bool) -> Iterator[tuple[Parts, MethodPlan]]:
    """The test records and training plan of each seed."""
    if quick:
        yield Parts(0, validate=True), replace(MethodPlan(), steps=QUICK_STEPS)
        return
    for seed in range(SEEDS):
        yield Parts(seed), replace(MethodPlan(), seed=seed)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenario", choices=[*SCENARIOS, "all"])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one seed, short trainings, judged on validation records",
    )
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of the unpacked sets"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of caches and checkpoints"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    records = load(options.data, options.runs)
    runs = options.runs / ("continual-quick" if options.quick else "continual")
    folder = runs if options.quick else ARTIFACT
    for parts, plan in plans(options.quick):
        for scenario in SCENARIOS if options.scenario == "all" else [options.scenario]:
            continual_report.add(folder, run(scenario, records, parts, plan, runs))
            continual_report.write(folder)


if __name__ == "__main__":
    main()
