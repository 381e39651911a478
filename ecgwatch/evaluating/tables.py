"""Tables of results, built once for the terminal, the page and report.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Cell = str | float | int | None


class FigureTable(NamedTuple):
    """A table; a column is a title and the format specification of its numbers."""

    title: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[tuple[Cell, ...]]
    note: str = ""

    def cells(self) -> list[list[str]]:
        """Every row as text; "-" for None."""
        return [
            [written(value, form) for value, (_, form) in zip(row, self.columns, strict=True)]
            for row in self.rows
        ]

    def plain(self) -> dict[str, object]:
        """The table as plain data, rows as objects keyed by the columns' titles."""
        names = [name for name, _ in self.columns]
        return {
            "title": self.title,
            "note": self.note,
            "rows": [dict(zip(names, row, strict=True)) for row in self.rows],
        }

    def text(self) -> str:
        """The table for a terminal: aligned, numbers to the right."""
        head, body = [name for name, _ in self.columns], self.cells()
        widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
        lines = [
            " ".join(self._put(i, cell, widths[i]) for i, cell in enumerate(line)).rstrip()
            for line in [head, *body]
        ]
        return "\n".join(
            [
                self.title,
                *("  " + line for line in lines),
                *(["  " + self.note] if self.note else []),
            ]
        )

    def _put(self, i: int, cell: str, width: int) -> str:
        return cell.rjust(width) if self.columns[i][1] else cell.ljust(width)


def written(value: Cell, form: str) -> str:
    """A cell as text."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else format(value, form)
