"""Fields of a text file: numbers with a decimal point or comma, clock times, and what stands for "no value"."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

import numpy as np

Kind = Literal["number", "clock", "missing", "text"]

MISSING = frozenset(
    {
        "",
        "null",
        "nan",
        "na",
        "n/a",
        "#n/a",
        "none",
        "-",
        "--",
        "?",
        "inf",
        "-inf",
        "+inf",
        "-nan",
        "infinity",
    }
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_COMMA_NUMBER = re.compile(r"[-+]?(?:\d+,?\d*|,\d+)(?:[eE][-+]?\d+)?")
_DATE = r"(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})"
_CLOCK = re.compile(
    rf"(?P<date>{_DATE})?[T ]?(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+(?:[.,]\d+)?)\s*(?P<half>[AaPp]\.?[Mm]\.?)?(?P<zone>Z|[-+]\d\d:?\d\d)?"
)
_DATE_ALONE = re.compile(_DATE)


def clean(field: str) -> str:
    """A field without blanks and quotes around it."""
    return field.strip().strip("'\"").strip()


def kind_of(field: str, decimal: str) -> Kind:
    """Return the kind of a cleaned field."""
    if field.lower() in MISSING:
        return "missing"
    if (_COMMA_NUMBER if decimal == "," else _NUMBER).fullmatch(field):
        return "number"
    if decimal == "," and _NUMBER.fullmatch(field):  # counts and times beside values with commas
        return "number"
    if ":" in field and _CLOCK.fullmatch(field):
        return "clock"
    return "text"


def number(field: str, decimal: str) -> float:
    """The value of a cleaned field, NaN if it is missing. Raises ValueError for any other text."""
    if field.lower() in MISSING:
        return np.nan
    return float(field.replace(",", ".") if decimal == "," else field)


def clock_s(field: str) -> float:
    """Seconds of a clock time: since 1970 for ISO 8601, since midnight (or the beginning) for others; NaN if it is missing.

    Raises ValueError for what is no clock time.
    """
    if field.lower() in MISSING:
        return np.nan
    found = _CLOCK.fullmatch(field)
    if found is None:
        raise ValueError(f"{field!r} is no clock time")
    hours = int(found["h"] or 0)
    if found["half"]:
        hours = hours % 12 + (12 if found["half"][0] in "Pp" else 0)
    seconds = hours * 3600 + int(found["m"]) * 60 + float(found["s"].replace(",", "."))
    day = _day(found["date"])
    zone = found["zone"]
    if day is not None and zone and zone != "Z":
        seconds -= (1 if zone[0] == "+" else -1) * (int(zone[1:3]) * 3600 + int(zone[-2:]) * 60)
    return (day or 0) * 86_400 + seconds


def is_date(field: str) -> bool:
    """Whether a cleaned field is a date alone, beside a column of clock times."""
    return _DATE_ALONE.fullmatch(field) is not None and not _NUMBER.fullmatch(field)


def _day(date: str | None) -> int | None:
    """Return the days since 1970 of a date YYYY-MM-DD; None for any other form, whose order is
    ambiguous: then the clock's wrap shows midnights."""
    if date is None or not re.fullmatch(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}", date):
        return None
    year, month, day = (int(part) for part in re.split(r"[-/.]", date))
    try:
        return (datetime(year, month, day) - datetime(1970, 1, 1)).days
    except ValueError:
        return None
