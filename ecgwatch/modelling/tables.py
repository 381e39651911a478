"""Tables of networks: names, costs and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest

from ecgwatch.evaluating.tables import Cell, FigureTable
from models.registry import Declared
from models.serving.benchmark import Timing
from models.serving.catalogue import Artifact, format_folds


def artifacts(found: Sequence[Artifact]) -> FigureTable:
    """Make a table with a row per artifact, then one per file if it has several; figures stand
    below each other in the last column."""
    columns = [
        ("name", ""),
        ("tasks", ""),
        ("architecture", ""),
        ("parameters", ",d"),
        ("MMAC per patient-second", ".2f"),
        ("kB", ".0f"),
        ("figures", ""),
    ]
    rows: list[tuple[Cell, ...]] = []
    for a in found:
        figures: list[str | None] = [
            f"{name} {format_folds(values)}" for name, values in a.figures.items()
        ]
        first, *others = figures or [None]
        rows.append(
            (
                a.name,
                " ".join(a.tasks),
                a.spec.get("architecture"),
                a.parameters,
                a.mmac_per_second,
                a.kilobytes,
                first,
            )
        )
        for p, figure in zip_longest(a.parts if len(a.parts) > 1 else (), others):
            costs = (
                ("", "", "", "")
                if p is None
                else (f"  {p.name}", p.parameters, p.mmac_per_second, p.path.stat().st_size / 1e3)
            )
            rows.append((costs[0], "", "", *costs[1:], figure or ""))
    note = "Figures: cross-validation by the trainings, mean and standard deviation over folds; through the stream: docs/models.md."
    return FigureTable("Artifacts", columns, rows, note)


def architectures(
    found: Mapping[str, Declared], costs: Mapping[str, tuple[int, float]]
) -> FigureTable:
    """Make a table with a row per registered architecture; `costs` (parameters, MMAC per
    patient-second) are known only if torch is installed."""
    columns = [
        ("name", ""),
        ("answers per", ""),
        ("parameters", ",d"),
        ("MMAC per patient-second", ".2f"),
        ("what it is", ""),
        ("source", ""),
    ]
    rows: list[tuple[Cell, ...]] = []
    for name, one in found.items():
        kinds = " ".join(sorted(one.arguments["kinds"]))
        rows.append(
            (name, kinds, *costs.get(name, (None, None)), one.summary, one.arguments["source"])
        )
    note = "Costs on QRS (samples) or rhythm (classes). Train one with: ecgwatch train TASK --architecture NAME (needs the extra `train`)."
    return FigureTable("Architectures", columns, rows, note)


def timings(measured: Sequence[Timing]) -> FigureTable:
    """Make a table with a row per network, engine and batch; the last column is the cost relative
    to the first row of the same network and batch."""
    columns = [
        ("network", ""),
        ("engine", ""),
        ("batch", "d"),
        ("p50, ms", ".3f"),
        ("p99, ms", ".3f"),
        ("CPU per window, ms", ".4f"),
        ("times", ".2f"),
    ]
    first: dict[tuple[str, int], float] = {}
    rows: list[tuple[Cell, ...]] = []
    for t in measured:
        base = first.setdefault((t.network.partition(",")[0], t.batch), t.row_cpu_ms)
        rows.append(
            (t.network, t.engine, t.batch, t.p50_ms, t.p99_ms, t.row_cpu_ms, t.row_cpu_ms / base)
        )
    note = "One thread, calls in turn. times: CPU time, that of the network's first row with the same batch being 1."
    return FigureTable("Latency", columns, rows, note)


def figures(found: Sequence[Artifact]) -> FigureTable:
    """Make a table with a column per artifact and a row per figure."""
    names = dict.fromkeys(name for a in found for name in a.figures)
    rows: list[tuple[Cell, ...]] = [
        (n, *(format_folds(a.figures[n]) if n in a.figures else None for a in found)) for n in names
    ]
    costs: list[tuple[str, list[Cell]]] = [
        ("parameters", [None if a.parameters is None else f"{a.parameters:,}" for a in found]),
        (
            "MMAC per patient-second",
            [None if a.mmac_per_second is None else f"{a.mmac_per_second:.2f}" for a in found],
        ),
        ("kB", [f"{a.kilobytes:.0f}" for a in found]),
    ]
    rows += [(name, *cells) for name, cells in costs]
    return FigureTable(
        "Side by side",
        [("figure", ""), *((a.name, "") for a in found)],
        rows,
        "Mean and standard deviation over folds.",
    )
