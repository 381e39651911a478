"""The recipe that every training follows, the shipped network's like any architecture's: learn
without a fold, judge on that fold, export.

models/training/command.py chooses the Training; models/training/harness.py has the steps of
learning that all of them share.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Protocol, TypeVar

from models.training.tasks.base import Figures

N = TypeVar("N")


class Training(Protocol[N]):
    """One network (or several that belong together) that learns one task."""

    @property
    def name(self) -> str:
        """Name made of the network and the task."""
        ...

    def learn(self, fold: int | None) -> N:
        """Train without that fold's patients, or on everyone; goes on from the last checkpoint."""
        ...

    def judge(self, learned: N, fold: int | None) -> Figures:
        """Figures on the patients of that fold, which `learned` never saw; empty if it saw all."""
        ...

    def export(self, learned: N, fold: int | None, figures: Figures) -> str:
        """Write what serving or a later training reads; return what was written, and its cost."""
        ...


def label(fold: int | None) -> str:
    """A network's name, by the fold that it never saw."""
    return "final" if fold is None else f"fold{fold}"


def follow(training: Training[N], folds: Sequence[int | None]) -> list[Figures]:
    """Train, judge and export without each of these folds; print the figures, then their mean and
    spread. Returns the figures of each fold."""
    each = []
    for fold in folds:
        learned = training.learn(fold)
        figures = training.judge(learned, fold)
        written = training.export(learned, fold, figures)
        results = ", ".join([*(f"{name} {value:.4g}" for name, value in figures.items()), written])
        print(f"{training.name} {label(fold)}: {results}", flush=True)
        each.append(figures)
    if any(each):
        print(table(training.name, each), flush=True)
    return each


def table(name: str, each: Sequence[Figures]) -> str:
    """Mean and spread of every figure over the folds that have it, in Markdown."""
    lines = [f"| {name} | mean | standard deviation | folds |", "|---|---|---|---|"]
    for figure in dict.fromkeys(figure for figures in each for figure in figures):
        values = [figures[figure] for figures in each if figure in figures]
        lines.append(
            f"| {figure} | {statistics.mean(values):.4g} | {statistics.pstdev(values):.2g} | {len(values)} |"
        )
    return "\n".join(lines)
