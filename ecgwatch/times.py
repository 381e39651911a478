"""Parsing and display of times."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from ingest.bounds import MAX_TIME_NS
from ingest.errors import BadInputError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


DAY_NS = 24 * 3600 * 10**9
WORDS = {"now": 0, "today": 0, "yesterday": 1}  # days back; all but now begin at midnight
_UNITS_NS = {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": DAY_NS}


def parse_when(option: str, text: str, now_ns: int) -> int:
    """Convert a time that may also be counted from now to Unix time in ns: now, today or yesterday
    (0:00 UTC), -90s, -30m, -2h, -1d, or ISO 8601. Raises BadInputError that names the option."""
    if text in WORDS:
        midnight_ns = now_ns - now_ns % DAY_NS
        return now_ns if text == "now" else midnight_ns - WORDS[text] * DAY_NS
    if found := re.fullmatch(r"-(\d{1,9}(?:\.\d{1,9})?)([smhd])", text):
        return max(0, now_ns - round(float(found[1]) * _UNITS_NS[found[2]]))
    return parse_time(option, text, "Or now, today, yesterday, or back from now: -30m, -2h, -1d.")


def parse_time(option: str, text: str, also: str = "") -> int:
    """Convert an ISO 8601 time (UTC unless it has an offset) to Unix time in ns. Raises
    BadInputError that names the option; `also` says what else may be written."""
    remedy = "Write it as 2026-01-31T08:30:00, with +01:00 or Z behind it where it is not UTC, between 1970 and 2200."
    remedy = f"{remedy} {also}".strip()
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
