"""Finds the layout of a text file from its first lines: delimiter, decimal sign, header, names and
units of its columns."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ingest.errors import BadInputError
from ingest.sources.csv.exports import Export, recognise
from ingest.sources.csv.fields import Kind, clean, is_date, kind_of

_UNIT_IN_NAME = re.compile(
    r"[\[(_\s](ns|us|µs|μs|ms|s|sec|seconds|nv|uv|µv|μv|mv|v|millivolts?|microvolts?)[\])]?$",
    re.IGNORECASE,
)
_UNIT_ALONE = re.compile(
    r"[\[(]?(?:[nuµμm]?s(?:ecs?|econds?)?|[nuµμm]?v(?:olts?)?|milli\w+|micro\w+|n/?u|adu|adc|bpm|%|hh?:mm:ss\S*|m:ss\S*|no[_ ]?units|"
    r"g|deg\S*|ohms?|k?hz|cal|raw|-)?[\])]?",
    re.IGNORECASE,
)
_SEPARATOR_LINE = re.compile(r"^\W*sep=", re.IGNORECASE)


class CsvLayout(NamedTuple):
    """How to read the lines after the first `skip`."""

    delimiter: str | None  # None: white space
    decimal: str  # "." or ","
    skip: int  # lines before the first line of values
    header: frozenset[str]  # those lines: one that comes again is no line of values
    kinds: list[Kind]  # one per column
    names: list[str]  # one per column
    units: list[str]  # one per column, "" if the file does not say
    named: bool  # whether the names are the file's own
    export: Export


def sniff(lines: Sequence[str], name: str) -> CsvLayout:
    """The layout of a file that begins with these lines. Raises BadInputError if there are no values in them."""
    full = [line for line in lines if line.strip()]
    sample = full[-max(len(full) // 4, 1) :][-200:]  # values, if there are any
    delimiter, decimal = _signs(sample, lines)
    rows = [split(line, delimiter) for line in sample]
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    kinds = [
        _column_kind([row[i] for row in rows if len(row) == width], decimal) for i in range(width)
    ]
    while kinds and kinds[-1] == "missing":  # a delimiter at the end of every line
        kinds.pop()
    skip = next(
        (i for i, line in enumerate(lines) if _fits(split(line, delimiter), kinds, width, decimal)),
        None,
    )
    if skip is None or "number" not in kinds:
        problem = f"{name}: no line of numbers in its first {len(lines)} lines"
        raise BadInputError(problem, "Give a text file of values, or of times and values.")
    header = [line for line in lines[:skip] if line.strip() and not _SEPARATOR_LINE.match(line)]
    export = recognise(header, len(kinds))
    names, units, named = _names(header, delimiter, len(kinds), width, export)
    return CsvLayout(
        delimiter,
        decimal,
        skip,
        frozenset(h.strip() for h in lines[:skip]),
        kinds,
        names,
        units,
        named,
        export,
    )


def split(line: str, delimiter: str | None) -> list[str]:
    """The cleaned fields of a line."""
    fields = (
        next(csv.reader([line], delimiter=delimiter), [])
        if '"' in line and delimiter
        else line.split(delimiter)
    )
    return [clean(field) for field in fields]


def _signs(sample: Sequence[str], lines: Sequence[str]) -> tuple[str | None, str]:
    """(delimiter, decimal sign) of lines of values."""
    many = 0.9 * len(sample)
    delimiter: str | None = next(
        (d for d in "\t;" if sum(d in line for line in sample) >= many), None
    )
    if (
        delimiter is None
        and sum("," in line for line in sample) >= many
        and not _commas_are_decimal(sample, lines)
    ):
        return ",", "."
    fields = [field for line in sample for field in split(line, delimiter)]
    commas = sum("," in f and kind_of(f, ",") == "number" for f in fields)
    return delimiter, "," if commas > sum(
        "." in f and kind_of(f, ".") == "number" for f in fields
    ) else "."


def _commas_are_decimal(sample: Sequence[str], lines: Sequence[str]) -> bool:
    """Whether every comma stands within a number: 0,004 1,25 or one column of 1,25."""
    words = [[clean(word) for word in line.split()] for line in sample]
    if not all(
        kind_of(word, ",") == "number" and "." not in word for line in words for word in line
    ):
        return False
    if all(len(line) > 1 for line in words):
        return True
    first = next((i for i, line in enumerate(lines) if line.strip() and _all_numbers(line)), 0)
    above = lines[first - 1].strip() if first else ""
    if above:
        return len(split(above, ",")) == 1  # else it names two columns
    pairs = [line[0].partition(",") for line in words if len(line) == 1]
    digits = Counter(len(fraction) for _, comma, fraction in pairs if comma)
    whole = [float(a) for a, _, _ in pairs if a not in ("", "-", "+")]
    rises = whole == sorted(whole) and len(set(whole)) > 1
    return bool(digits) and not rises and digits.most_common(1)[0][1] >= 0.9 * len(pairs)


def _all_numbers(line: str) -> bool:
    return all(kind_of(field, ".") == "number" for field in split(line, ","))


def _column_kind(fields: Sequence[str], decimal: str) -> Kind:
    kinds = Counter(
        kind
        for field in fields
        if (kind := "text" if is_date(field) else kind_of(field, decimal)) != "missing"
    )
    return kinds.most_common(1)[0][0] if kinds else "missing"


def _fits(fields: Sequence[str], kinds: Sequence[Kind], width: int, decimal: str) -> bool:
    """Whether these are values of such columns."""
    if len(fields) not in (width, len(kinds)):
        return False
    pairs = [(kind_of(f, decimal), k) for f, k in zip(fields, kinds, strict=False)]
    fit = all(found in (kind, "missing") or kind in ("text", "missing") for found, kind in pairs)
    return fit and any(found in ("number", "clock") and found == kind for found, kind in pairs)


def _names(
    header: Sequence[str], delimiter: str | None, columns: int, width: int, export: Export
) -> tuple[list[str], list[str], bool]:
    """(names, units, whether the file names its columns)."""
    if columns == 1:
        return _one_name(header, export)
    rows = [
        row
        for line in header
        if (row := _as_wide(split(line.lstrip("#%"), delimiter), columns, width)) is not None
    ]
    units = next(
        (
            row
            for row in reversed(rows[1:])
            if all(_UNIT_ALONE.fullmatch(f) for f in row) and any(row)
        ),
        None,
    )
    # The line with the most different names; of equals the last, which is nearest to the values.
    candidates = [
        (len({f for f in row if f}), i, row) for i, row in enumerate(rows) if row is not units
    ]
    if not candidates or (export.names and not export.maker):
        return (
            export.names or [f"column {i}" for i in range(columns)],
            export.units or [""] * columns,
            bool(export.names),
        )
    names = max(candidates)[2]
    said = units or [_unit_of(n) for n in names]
    if export.units and not any(said):
        said = export.units
    return (
        [n or f"column {i}" for i, n in enumerate(names)],
        [u or _unit_of(n) for u, n in zip(said, names, strict=True)],
        True,
    )


def _as_wide(row: list[str], columns: int, width: int) -> list[str] | None:
    """The names in a row of a header, if it has as many as the values, a delimiter at its end or not; else None."""
    while len(row) > columns and (not row[-1] or len(row) == width):
        row = row[:-1]
    return row if len(row) == columns else None


def _one_name(header: Sequence[str], export: Export) -> tuple[list[str], list[str], bool]:
    """The name of the only column is the last line above it, unless that is one of many notes or a pair of name and value."""
    last = clean(header[-1].lstrip("#%")) if header else ""
    name = (export.names or [_lead_of(header)])[0]
    if name or export.fs_hz or not last or re.search(r"[,:=]", last) or len(last) > 40:
        return [name or "column 0"], [export.unit], bool(name)
    return [last], [_unit_of(last)], True


def _lead_of(header: Sequence[str]) -> str:
    """The value of a line "Lead,Lead I"."""
    pairs = (re.split(r"[,;\t]", line, maxsplit=1) for line in header)
    return next(
        (
            clean(p[1])
            for p in pairs
            if len(p) == 2
            and clean(p[0]).lower() in ("lead", "ableitung", "dérivation", "derivación")
        ),
        "",
    )


def _unit_of(name: str) -> str:
    found = _UNIT_IN_NAME.search(name)
    return found[1] if found else ""
