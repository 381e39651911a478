"""Ablation: each task's recipe without one part at a time, on equal schedules.

    python -m models.training.experiments.ablation           # all tables
    python -m models.training.experiments.ablation qrs       # one of them: qrs, beats

Continues from the figures and checkpoints in RUNS/ablation; writes
models/artifacts/experiments/ablation.md. Needs the dense network of `ecgwatch train
qrs --fold 0` (the teacher), and the beats that `ecgwatch train beat_class` finds.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from models.training.data.records import data_folder
from models.training.experiments import ablation_beats, ablation_qrs
from models.training.harness import TrainingPlan
from models.training.release.figures import FIFTHS
from models.training.tasks.beat_class.beats import load
from models.training.tasks.beat_class.examples import known
from models.training.tasks.qrs.train import DENSE_PLAN, PRUNED_PLAN

ARTIFACT = Path(__file__).parents[2] / "artifacts" / "experiments" / "ablation.md"
SEEDS = (1, 2)
Figures = dict[str, float]
ABOUT = """# What mattered

`python -m models.training.experiments.ablation` makes this page. Mean over seeds 1 and 2, ± half of what lies between them; in brackets the difference
from the first row. Differences within the ± are no finding. Nothing was chosen by these figures.
"""
TITLES = {
    "qrs": "T1, QRS: F1 at 150 ms, %, of the MITDB patients of fold 0; {steps} batches of {batch} from scratch",
    "beats": "T2, beat classes: %, 22 MITDB patients in three folds, own detector, misses counted; one head, not averaged",
    "rhythm": "T3, rhythm: mean F1 of N, A and O, %, on held-out CinC 2017 records, by how much of them is seen",
}
CONTEXTS = (  # name, the figure's in rhythm-NAME.json, and in a plain network's artifact
    ("10 s", "10 s", "N A O mean F1, 10 s"),
    ("20 s", "20 s", ""),
    ("whole records, 30 s at a time", "records", "N A O mean F1, records"),
)
NOTES = {
    "qrs": "Noise: electrode motion of NSTDB that no training draws from, 12 minutes of each record. The deployed network\n"
    "learns {times:.0f} times as long, in two steps (dense, pruned).",
    "beats": "Blanked in training and in use. Intervals: RR and all that is made of them. Usual beats: the patient's dominant shape,\n"
    "the usual one that the beat is most like, and likeness to them; the vote of a form's beats\n"
    "(models/beats/votes.py) comes after the network, in all rows but one. Where S has 0.00 nothing is called S.",
    "rhythm": "Mean over held-out fifths, in brackets each: the first on the shipped trunk\n"
    "(`ecgwatch train rhythm`), the others by `... --fold 1 --fold 2`. Steps: the column and its decoder; beats: the\n"
    "decoder of beats. The plain CNN, one network and one seed (`ecgwatch train rhythm --architecture plain_cnn --fold 0`), is judged\n"
    "on the first fifth. All learn from 9 to 30 s.",
}


def qrs(data: Path, runs: Path) -> None:
    """Train and judge T1's recipes that have no figures yet, one seed after the other."""
    held = ablation_qrs.load(data)
    teacher = runs / "ecgcl" / f"qrs-fold{ablation_qrs.FOLD}-dense.pt"
    for seed in SEEDS:
        for recipe in ablation_qrs.RECIPES:

            def measure(recipe: ablation_qrs.Recipe = recipe, seed: int = seed) -> Figures:
                net = ablation_qrs.learn(recipe, held, seed, runs / "ablation", teacher)
                return ablation_qrs.judge(net, held)

            measure_once(runs, f"qrs-{recipe.label}-{seed}", measure)


def beats(_: Path, runs: Path) -> None:
    """The same for T2, the beat class: all rows of a seed at once."""
    held = known(load(runs / "beat_class" / "beats.npz"))
    for seed in SEEDS:
        measured = functools.cache(
            functools.partial(ablation_beats.judge, held, seed, runs / "ablation")
        )
        for sight in ablation_beats.SIGHTS:
            name, judge = (
                f"beats-{sight.label}-{seed}",
                functools.partial(_one, measured, sight.label),
            )
            measure_once(runs, name, judge)


def _one(measured: Callable[[], dict[str, Figures]], label: str) -> Figures:
    return measured()[label]


def measure_once(runs: Path, name: str, measure: Callable[[], Figures]) -> None:
    """Measure, unless already done; then write the page."""
    path = runs / "ablation" / f"{name}.json"
    if not path.exists():
        figures = measure()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures))
        print(name, {key: round(value, 2) for key, value in figures.items()}, flush=True)
        ARTIFACT.write_text(page(runs))


def page(runs: Path) -> str:
    """Return the page of all variants that have figures, in Markdown."""
    rows = {
        "qrs": {r.name: _seeds(runs, f"qrs-{r.label}") for r in ablation_qrs.RECIPES},
        "beats": {s.name: _seeds(runs, f"beats-{s.label}") for s in ablation_beats.SIGHTS},
    }
    steps, whole = _steps(ablation_qrs.PLAN), _steps(DENSE_PLAN) + _steps(PRUNED_PLAN)
    facts = {"steps": steps, "batch": ablation_qrs.PLAN.batch, "times": whole / steps}
    parts = [ABOUT]
    for name, found in rows.items():
        there = {row: figures for row, figures in found.items() if figures}
        if there:
            parts.append(
                f"## {TITLES[name].format(**facts)}\n\n{table(there)}\n\n{NOTES[name].format(**facts)}\n"
            )
    if lines := _rhythm(runs):
        parts.append(f"## {TITLES['rhythm']}\n\n{chr(10).join(lines)}\n\n{NOTES['rhythm']}\n")
    return "\n".join(parts)


def _rhythm(runs: Path) -> list[str]:
    """The rhythm task's table; empty if the task has not been trained."""
    found = [_read(runs / "ecgcl" / f"rhythm-{name}.json") for name in FIFTHS]
    folds = [figures for figures in found if figures]
    plain = _read(runs / "plain_cnn-rhythm" / "fold0" / "spec.json").get("figures", {})
    lines = [
        "| context | deployed | its steps alone | its beats alone | plain CNN of equal cost |",
        "|---|---|---|---|---|",
    ]
    for text, ours, theirs in CONTEXTS:
        cells = [
            _over_folds([figures[f"{ours}{view}"] for figures in folds])
            for view in ("", ", steps", ", beats")
        ]
        lines.append(f"| {text} | {' | '.join(cells)} | {_over_folds(plain.get(theirs, []))} |")
    return lines if folds else []


def _over_folds(values: Sequence[float]) -> str:
    """Mean, and each value if there are several; %."""
    each = ", ".join(f"{100 * v:.1f}" for v in values)
    return f"{100 * statistics.mean(values):.1f} ({each})" if len(values) > 1 else each or "-"


def _read(path: Path) -> dict[str, Any]:
    """The figures of a training; empty if it was not run."""
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _steps(plan: TrainingPlan) -> int:
    return plan.epochs * plan.steps


def _seeds(runs: Path, name: str) -> list[Figures]:
    """Figures of a row, for the seeds that were run."""
    paths = [runs / "ablation" / f"{name}-{seed}.json" for seed in SEEDS]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def table(rows: Mapping[str, Sequence[Figures]]) -> str:
    """A row per recipe; the others are compared with the first, over the seeds that both have."""
    first = next(iter(rows.values()))
    names = list(first[0])
    lines = [f"| | {' | '.join(names)} | seeds |", "|---" * (len(names) + 2) + "|"]
    for row, seeds in rows.items():
        cells = []
        for name in names:
            values = [figures[name] for figures in seeds]
            spread = f" ± {(max(values) - min(values)) / 2:.2f}" if len(values) > 1 else ""
            gaps = [mine[name] - base[name] for mine, base in zip(seeds, first, strict=False)]
            cells.append(
                f"{statistics.mean(values):.2f}{spread}"
                + ("" if seeds is first else f" ({statistics.mean(gaps):+.2f})")
            )
        lines.append(f"| {row} | {' | '.join(cells)} | {len(seeds)} |")
    return "\n".join(lines)


TABLES = {"qrs": qrs, "beats": beats}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], help="default: all")
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of the unpacked sets"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of checkpoints and figures"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.compiler.set_stance("force_eager")  # compiling would take longer than these trainings
    for name in options.tables or TABLES:
        TABLES[name](options.data, options.runs)
    ARTIFACT.write_text(page(options.runs))


if __name__ == "__main__":
    main()
