"""Tables of the continual-learning experiments, and the cost of the paper's one execution per
task."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.training.experiments.continual_cost import TaskCost, measured

Row = dict[str, Any]

TITLES = {
    "domain": "Domain-incremental: QRS segmentation (MITDB, LUDB), then rhythm (CinC 2017)",
    "class": "Class-incremental: the rare classes A and ~ (CinC 2017), then all four",
    "task": "Task-incremental: a small set, VF or flutter against all else (VFDB), then a large one, rhythm (CinC 2017)",
}
FIGURES = {
    "qrs": "F1 of QRS within 150 ms, first channels of other MITDB patients, first ten minutes, flutter left out",
    "rhythm": "mean F1 of N, A and O on the middle 10.24 s of other CinC 2017 records",
    "minority": "mean F1 of A and ~ on the middle 10.24 s of other CinC 2017 records",
    "lethal": "mean of Se and Sp, 10.24-s windows of other VFDB patients, first channel",
}
WAYS = {
    "isolated learned": "(a) isolated weights, learned mask",
    "isolated none": "(a) isolated weights, nothing reused",
    "finetuning": "plain fine-tuning",
    "scratch": "from scratch, a network per task",
    "untrained": "untrained network (the figures' floor)",
}
ABOUT = """# Continual learning with per-weight isolation (method a)

`python -m models.training.experiments.continual all` makes this page and continual.json.

The network of ECG-CL (Gao et al. 2023, arXiv 2304.04646; models/architectures/ecgcl_paper.py), one execution per task, windows of 10.24 s
at 62.5 Hz. Every way spends {steps} + {half} batches of {batch} on a task: short trainings, which compare ways and are no record.
Isolated: after the first training the smaller {pruned:.0f} % of a task's weights of each layer are given back. The learned mask says which
weights of the first task the second one reads. A seed is also a fold over patients (MITDB, VFDB) or records (CinC 2017).
Mean ± standard deviation. Forgetting is the first task's figure after the second task minus before: below zero is lost. Transfer is the
second task's figure minus that from scratch, seed by seed. One seed shows no spread, and differences of a point or two are then no finding.

Nothing was tuned. One thing was changed after figures had been seen: scores of the learned mask first started at 0.1, too far from the cut,
and of 50,936 weights only 29 were left out (domain, seed 0: second task 58.56, that is: all reused). They start at 0.03 since, about as far
as scores move in such a training.
"""


def add(folder: Path, row: Row) -> None:
    """Add a row, replacing an older one of the same scenario and seed."""
    rows = [r for r in read(folder) if (r["scenario"], r["seed"]) != (row["scenario"], row["seed"])]
    folder.mkdir(parents=True, exist_ok=True)
    rows = sorted([*rows, row], key=lambda r: (list(TITLES).index(r["scenario"]), r["seed"]))
    (folder / "continual.json").write_text(
        "[\n" + ",\n".join(json.dumps(r) for r in rows) + "\n]\n"
    )


def read(folder: Path) -> list[Row]:
    """Return the rows written so far."""
    path = folder / "continual.json"
    return list(json.loads(path.read_text())) if path.exists() else []


def write(folder: Path) -> None:
    """Write the page of all rows so far."""
    rows = read(folder)
    plan = rows[0]
    numbers = {
        "steps": plan["steps"],
        "half": plan["steps"] // 2,
        "batch": plan["batch"],
        "pruned": 100 * plan["pruned"],
    }
    parts = [ABOUT.format(**numbers)]
    parts += [
        scenario([r for r in rows if r["scenario"] == name])
        for name in TITLES
        if any(r["scenario"] == name for r in rows)
    ]
    parts.append(costs([measured("qrs"), measured("rhythm")]))
    (folder / "continual.md").write_text("\n".join(parts))


def scenario(rows: Sequence[Row]) -> str:
    """One scenario's tables."""
    first, second = rows[0]["tasks"]
    lines = [
        f"## {TITLES[rows[0]['scenario']]}",
        "",
        f"Seeds: {len(rows)}.",
        f"First task ({first}): {FIGURES[first]}.",
        f"Second ({second}): {FIGURES[second]}.",
        "",
    ]
    lines += [
        "| way | first task | after the second | forgetting | second task | transfer |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_line(way, rows) for way in WAYS]
    lines += ["", *_identical(rows), "", *_details(rows), "", *_parameters(rows), ""]
    return "\n".join(lines)


def _line(way: str, rows: Sequence[Row]) -> str:
    before = _scores(rows, way, "first")
    second = _scores(rows, way, "second")
    if "after" in rows[0][way]:
        after = _scores(rows, way, "after")
        lost = spread([b - a for a, b in zip(before, after, strict=True)])
        middle = f"{spread(after)} | {lost}"
    else:
        middle = "- | -"
    gained = (
        spread([b - a for a, b in zip(_scores(rows, "scratch", "second"), second, strict=True)])
        if way not in ("scratch", "untrained")
        else "-"
    )
    return f"| {WAYS[way]} | {spread(before)} | {middle} | {spread(second)} | {gained} |"


def _identical(rows: Sequence[Row]) -> list[str]:
    ways = [way for way in WAYS if way.startswith("isolated")]
    same = sum(row[way]["identical"] for row in rows for way in ways)
    what = "the first task's outputs on 32 windows after the second task are bit-identical to those before"
    return [f"Isolated: {what} in {same} of {len(rows) * len(ways)} runs."]


def _details(rows: Sequence[Row]) -> list[str]:
    names = [name for name in rows[0]["scratch"]["second"] if name != "score"]
    lines = [
        "| second task by class, F1 | " + " | ".join(names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for way, title in WAYS.items():
        lines.append(
            f"| {title} | "
            + " | ".join(spread([r[way]["second"][n] for r in rows]) for n in names)
            + " |"
        )
    return lines


def _parameters(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| parameters per task | own | read of the first | BatchNorm and decoder | in all | still free |",
        "|---|---|---|---|---|---|",
    ]
    for way in ("isolated learned", "isolated none"):
        for i, task in enumerate(rows[0]["tasks"]):
            values = [
                [r[way]["counts"][i][key] for r in rows]
                for key in ("own", "reused", "private", "total", "free")
            ]
            lines.append(
                f"| {WAYS[way]}: {task} | "
                + " | ".join(f"{statistics.mean(v):,.0f}" for v in values)
                + " |"
            )
    for size, task in zip(rows[0]["scratch"]["parameters"], rows[0]["tasks"], strict=True):
        lines.append(f"| {WAYS['scratch']}: {task} | {size:,} | - | - | {size:,} | - |")
    return lines


def costs(tasks: Sequence[TaskCost]) -> str:
    """The cost of executions: masks make no weight cheaper, so it does not depend on the number of
    zeros."""
    lines = [
        "## Cost of one execution per task",
        "",
        "ONNX Runtime, one thread, one window at a time; zeros are computed with like other weights.",
        "",
    ]
    lines += [
        "| task | parameters | MMAC per window | MMAC per second of signal | ms per window |",
        "|---|---|---|---|---|",
    ]
    for c in tasks:
        macs = f"{c.macs / 1e6:.2f} | {c.macs_per_second / 1e6:.2f}"
        lines.append(f"| {c.task} | {c.parameters:,} | {macs} | {c.milliseconds:.2f} |")
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation over seeds; one seed has no spread."""
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def _scores(rows: Sequence[Row], way: str, what: str) -> list[float]:
    return [row[way][what]["score"] for row in rows]
