"""The leaderboard of the zoo as a table, a Markdown table, and a page with a plot of figure against
cost. Reads what models/training/leaderboard.py wrote; needs no torch."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from ecgwatch.evaluating.page import document, table_html
from ecgwatch.evaluating.plots import Point, scatter
from ecgwatch.evaluating.tables import Cell, FigureTable
from ingest.errors import BadInputError
from models.serving.runtime import ARTIFACTS

SHIPPED = ARTIFACTS / "experiments" / "zoo.json"
PIECES = "N A O mean F1, 10 s"
TASKS = {"rhythm_10s": "Rhythm", "beat_sequences": "Beats"}
NOTE = (
    "Same split and budget for all; mean and standard deviation over seeds. MMAC: per answer."
    " ms: one window on one thread, ONNX Runtime, calls taking turns. *: nothing cheaper is better."
)


class SystemFigures(NamedTuple):
    """All seeds of one system."""

    name: str
    task: str
    values: tuple[float, ...]  # of the task's metric
    figures: tuple[dict[str, float], ...]
    parameters: int
    mmac: float
    ms: float | None
    minutes: float | None
    kilobytes: float | None
    problem: str  # why there is no figure

    @property
    def mean(self) -> float | None:
        """Mean of the metric over seeds; None without figures."""
        return statistics.mean(self.values) if self.values else None

    def format_figure(self, figure: str) -> str:
        """Format mean and standard deviation of a figure."""
        values = [f[figure] for f in self.figures if figure in f]
        if not values:
            return "-"
        spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
        return f"{statistics.mean(values):.4g}{spread}"


def read(path: Path) -> list[SystemFigures]:
    """Read the systems of a leaderboard, best first. Raises BadInputError if there is none."""
    try:
        board: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        remedy = "Make one: .venv/bin/python -m models.training.leaderboard (it resumes)."
        raise BadInputError(f"leaderboard {path}: {error}", remedy) from error
    each: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in [*board["rows"], *board["untrained"]]:
        each.setdefault((row["task"], row["name"]), []).append(row)
    found = [_system(name, task, rows) for (task, name), rows in each.items()]
    return sorted(found, key=lambda s: (s.task != "rhythm_10s", -(s.mean or -1), s.name))


def costs() -> dict[str, tuple[int, float]]:
    """Return parameters and MMAC per patient-second of each system from the shipped leaderboard;
    counting them again takes most of a minute."""
    board: dict[str, Any] = json.loads(SHIPPED.read_text())
    return {
        row["name"]: (row["parameters"], row["macs"] / row["every_s"] / 1e6)
        for row in [*board["rows"], *board["untrained"]]
        if "parameters" in row
    }


def _system(name: str, task: str, rows: Sequence[dict[str, Any]]) -> SystemFigures:
    good = [r for r in rows if "figures" in r]
    failed = next((r["error"] for r in rows if "error" in r), "")
    some = good[0] if good else rows[0]

    def mean(key: str) -> float | None:
        values = [r[key] for r in good if r.get(key) is not None]
        return statistics.mean(values) if values else None

    return SystemFigures(
        name,
        task,
        tuple(r["figures"][r["metric"]] for r in good),
        tuple(r["figures"] for r in good),
        some.get("parameters", 0),
        some.get("macs", 0) / 1e6,
        mean("ms"),
        mean("cpu_minutes"),
        some.get("kilobytes"),
        failed or ("" if good else "not trained yet"),
    )


def pareto(systems: Sequence[SystemFigures]) -> set[str]:
    """Return the names of the systems that no cheaper system equals."""
    best, found = float("-inf"), set[str]()
    for s in sorted(
        (s for s in systems if s.mean is not None), key=lambda s: (s.mmac, -s.values[0])
    ):
        if s.mean is not None and s.mean > best:
            best = s.mean
            found.add(s.name)
    return found


def tables(systems: Sequence[SystemFigures]) -> list[FigureTable]:
    """Return one table per task."""
    return [
        _table(title, some, pareto(some))
        for task, title in TASKS.items()
        if (some := [s for s in systems if s.task == task])
    ]


def _table(title: str, systems: Sequence[SystemFigures], front: set[str]) -> FigureTable:
    metric = "N A O mean F1, records" if title == "Rhythm" else "V and S, mean F1, %"
    own = (
        ["F1 N", "F1 A", "F1 O", "F1 ~"] if title == "Rhythm" else ["V Se", "V +P", "S Se", "S +P"]
    )
    keys = [f"{k}, records" for k in own] if title == "Rhythm" else [f"{k}, %" for k in own]
    more = [("10 s", "")] if title == "Rhythm" else []
    columns = [
        ("system", ""), (metric, ""), *more, *((k, "") for k in own), ("seeds", "d"),
        ("parameters", ",d"), ("MMAC", ".2f"), ("ms", ".2f"), ("CPU min", ".1f"), ("kB", ".0f"),
    ]  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for s in systems:
        figure = s.format_figure(metric) if s.values else s.problem
        pieces = [s.format_figure(PIECES)] if more else []
        star = " *" if s.name in front else ""
        figures = (figure, *pieces, *(s.format_figure(k) for k in keys))
        cost = (s.parameters, s.mmac, s.ms, s.minutes, s.kilobytes)
        rows.append((s.name + star, *figures, len(s.values), *cost))
    return FigureTable(title, columns, rows, NOTE)


def markdown(systems: Sequence[SystemFigures]) -> str:
    """Write the tables in Markdown, for docs/models.md."""
    parts = []
    for table in tables(systems):
        head = "| " + " | ".join(name for name, _ in table.columns) + " |"
        line = "|" + "---|" * len(table.columns)
        body = ["| " + " | ".join(cells) + " |" for cells in table.cells()]
        parts.append("\n".join([head, line, *body]))
    return "\n\n".join(parts) + "\n"


def page(systems: Sequence[SystemFigures]) -> str:
    """Write a page with a plot and a table per task."""
    body = ["<h1>The zoo</h1>"]
    for task, title in TASKS.items():
        some = [s for s in systems if s.task == task]
        front = pareto(some)
        points = [
            Point(s.name, s.mmac, s.mean, s.name in front) for s in some if s.mean is not None
        ]
        if points:
            body.append(scatter(f"{title}: figure against cost", points, "MMAC per answer", "F1"))
    body += [table_html(table) for table in tables(systems)]
    return document(escape("The zoo"), "".join(body))
