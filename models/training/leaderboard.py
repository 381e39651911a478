"""Train every system of the zoo on the same split with the same budget, and write one leaderboard.

    nice python -m models.training.leaderboard --runs runs/zoo --minutes 30 &

Continues where it was stopped, to the epoch: a system with a row is done, a failed one has a row
with the reason (--again repeats those). Systems of beats are judged by beats, the others by rhythm.
RUNS/leaderboard.json is what `ecgwatch models compare --zoo` shows.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ingest.errors import EcgwatchError
from models import architectures
from models.architectures import Architecture
from models.serving import benchmark, catalogue
from models.training import zoo
from models.training.cost import macs, parameters
from models.training.data.records import data_folder
from models.training.harness import TrainingPlan
from models.training.problems import BEATS as BEATS_IN_A_ROW
from models.training.problems import PIECE, every_s
from models.training.release.windowed_export import export
from models.training.tasks import base
from models.training.tasks.base import Task
from models.training.windowed import learn, predictor

FOLD = 0  # held out
RHYTHM, BEATS = "rhythm_10s", "beat_sequences"
PROBLEMS = {RHYTHM: PIECE, BEATS: BEATS_IN_A_ROW}
CONTROLS = ("plain_cnn",)
TIMED = 3  # steps to measure the time of one
LEAST_STEPS, EPOCH = 60, 45  # of a training; of an epoch, after which it can be stopped
ROUNDS = 200
Row = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One training of the board."""

    name: str
    task: str
    seed: int

    @property
    def label(self) -> str:
        """Name of its files."""
        return f"{self.name}-{self.task}-seed{self.seed}"


def entries(names: Sequence[str], seeds: Sequence[int]) -> list[Entry]:
    """All trainings, the first seed of every system first."""
    return [Entry(name, task_of(name), seed) for seed in seeds for name in names]


def task_of(name: str) -> str:
    """The task by which an architecture is judged."""
    return BEATS if architectures.known()[name].arguments["kinds"] == ("beats",) else RHYTHM


def one_lead() -> list[str]:
    """The systems of the board: all of the zoo that take one lead or beats, and the controls."""
    return [*CONTROLS, *architectures.zoo()]


def planned(
    architecture: Architecture, task: Task, minutes: float, seed: int, path: Path
) -> TrainingPlan:
    """As many steps as the budget of CPU minutes allows, at most the task's; kept in `path`, so
    that a continued training has the same plan."""
    own = replace(zoo.adapted(task.plan, architecture), seed=seed)
    if not path.exists():
        torch.manual_seed(seed)
        net, batches = architecture.build(task.problem).train(), task.batches(FOLD)
        rng = np.random.default_rng(0)
        began = time.process_time()
        for _ in range(TIMED):
            inputs, target = batches.batch(rng, own.batch)
            batches.loss(net, net(*inputs), target).backward()
        each = (time.process_time() - began) / TIMED
        steps = max(LEAST_STEPS, min(own.epochs * own.steps, int(60 * minutes / each)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"steps": steps, "seconds_per_step": each}))
    steps = int(json.loads(path.read_text())["steps"])
    per_epoch = min(EPOCH, steps)
    return replace(own, epochs=steps // per_epoch, steps=per_epoch)


def train_one(entry: Entry, task: Task, minutes: float, runs: Path) -> Row:
    """Train, judge, export: one row."""
    architecture = architectures.load(entry.name)
    plan = planned(architecture, task, minutes, entry.seed, runs / "plans" / f"{entry.label}.json")
    folder = runs / "networks" / entry.label
    net = learn(architecture, task, FOLD, plan, folder)
    about = {"architecture": entry.name, "task": entry.task, "fold": FOLD}
    figures = task.evaluate(predictor(net), FOLD)
    spec = export(net, task.problem, folder, about | {"figures": figures})
    return {
        "figures": figures,
        "metric": task.metric,
        "steps": plan.epochs * plan.steps,
        "batch": plan.batch,
        "cpu_minutes": round(spent(folder / f"fold{FOLD}.log"), 2),
        "parameters": spec["parameters"],
        "macs": spec["macs_per_window"],
        "every_s": every_s(task.problem),
        "kilobytes": (folder / "model.onnx").stat().st_size / 1e3,
    }


def spent(log: Path) -> float:
    """CPU minutes of a training, from the log line of each of its epochs."""
    took = [float(line.split()[-3]) for line in log.read_text().splitlines()]
    return sum(took) / 60


def run(wanted: Sequence[Entry], minutes: float, data: Path, runs: Path, again: bool) -> None:
    """Train every entry that has no row yet."""
    tasks: dict[str, Task] = {}
    for entry in wanted:
        path = runs / "rows" / f"{entry.label}.json"
        if path.exists() and not (again and "error" in json.loads(path.read_text())):
            continue
        if entry.task not in tasks:
            tasks[entry.task] = base.load(entry.task)(data, runs / "cache")
        try:
            row = train_one(entry, tasks[entry.task], minutes, runs)
        except Exception as error:  # one system must not stop the board: its row says what happened
            traceback.print_exc()
            row = {"error": f"{type(error).__name__}: {error}"}
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(
            json.dumps({"name": entry.name, "task": entry.task, "seed": entry.seed} | row)
        )
        new.replace(path)
        print(entry.label, row.get("error") or row["figures"][row["metric"]], flush=True)


def timed(runs: Path, labels: Sequence[str], rounds: int) -> dict[str, float]:
    """Milliseconds of this thread per window of each exported network, calls taking turns."""
    calls = []
    for label in labels:
        path = runs / "networks" / label / "model.onnx"
        calls += [c for c in benchmark.file_calls(path, label) if c.batch == 1]
    return (
        {t.network: round(t.cpu_ms, 4) for t in benchmark.measure(calls, rounds)} if calls else {}
    )


def collect(runs: Path, rounds: int = ROUNDS) -> dict[str, Any]:
    """All rows as one board, timed side by side; missing trainings have no row."""
    rows: list[Row] = [json.loads(p.read_text()) for p in sorted((runs / "rows").glob("*.json"))]
    labels = [Entry(r["name"], r["task"], r["seed"]).label for r in rows if "error" not in r]
    took = timed(runs, labels, rounds)
    for row in rows:
        row["ms"] = took.get(Entry(row["name"], row["task"], row["seed"]).label)
    return {"fold": FOLD, "rows": [deployed(), *rows], "untrained": untrained(rows)}


def untrained(rows: Sequence[Row]) -> list[Row]:
    """Expected cost of the systems without a row."""
    done = {row["name"] for row in rows}
    found = []
    for name in one_lead():
        if name in done:
            continue
        problem = PROBLEMS[task_of(name)]
        net = architectures.load(name).build(problem)
        cost = {"parameters": parameters(net), "macs": macs(net, torch.zeros(1, *problem.shape))}
        found.append({"name": name, "task": task_of(name), "every_s": every_s(problem)} | cost)
    return found


def deployed() -> Row:
    """The shipped network on the same fifth, by the figures of its own training."""
    artifact = catalogue.find("ecgcl")
    of_records, of_pieces = (
        artifact.figures[f"N A O mean F1, {what}"][0] for what in ("records", "10 s")
    )
    parts = [p for p in artifact.parts if p.name in ("backbone", "rhythm")]
    metric = "N A O mean F1, records"
    return {
        "name": "ecgcl (deployed)",
        "task": RHYTHM,
        "seed": 1,
        "metric": metric,
        "figures": {metric: of_records, "N A O mean F1, 10 s": of_pieces},
        "parameters": sum(p.parameters or 0 for p in parts),
        "macs": sum((p.macs or 0) * 5 / (p.every_s or 5) for p in parts),  # of five seconds
        "every_s": 5.0,
        "kilobytes": sum(p.path.stat().st_size for p in parts) / 1e3,
        "ms": None,
        "cpu_minutes": None,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", help="these systems; default: all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--minutes", type=float, default=30, help="CPU minutes per training")
    parser.add_argument("--again", action="store_true", help="also those that failed")
    parser.add_argument("--data", type=Path, default=data_folder(), help="unpacked sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/zoo"), help="folder of results")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="calls that are timed")
    parser.add_argument("--publish", type=Path, help="copy leaderboard.json there")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch._dynamo.config.suppress_errors = True  # without a compiler: as it is
    wanted = entries(options.only or one_lead(), options.seeds)
    run(wanted, options.minutes, options.data, options.runs, options.again)
    board = options.runs / "leaderboard.json"
    board.write_text(json.dumps(collect(options.runs, options.rounds), indent=1) + "\n")
    if options.publish:
        shutil.copy(board, options.publish)


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
