"""Parsing and display of times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ingest.bounds import MAX_TIME_NS
from ingest.errors import BadInputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def parse_time(option: str, text: str) -> int:
    """Convert an ISO 8601 time (UTC unless it has an offset) to Unix time in ns. Raises
    BadInputError that names the option."""
    remedy = "Write it as 2026-01-31T08:30:00, with +01:00 or Z behind it where it is not UTC, between 1970 and 2200."
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError(f"{option} {text}", remedy) from None
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - EPOCH
    time_ns = since // MICROSECOND * 1000
    if not 0 <= time_ns < MAX_TIME_NS:
        raise BadInputError(f"{option} {text}", remedy)
    return time_ns


def ago(length_ns: int) -> str:
    """Format a duration in one unit: 12 s, 5 min, 3 h, 2 days."""
    seconds = max(0.0, length_ns / 1e9)
    for limit, size, unit in ((90, 1, "s"), (90 * 60, 60, "min"), (36 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def show_time(time_ns: int) -> str:
    """Format a Unix time in ns as ISO 8601 in UTC, to the millisecond."""
    return (
        (EPOCH + timedelta(microseconds=time_ns // 1000))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
