"""Times as people write them."""

from __future__ import annotations

import pytest

from ecgwatch.times import parse_time, parse_when, show_time
from ingest.errors import BadInputError

NOW_NS = parse_time("now", "2026-03-05T13:14:15")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("now", "2026-03-05T13:14:15.000Z"),
        ("today", "2026-03-05T00:00:00.000Z"),
        ("yesterday", "2026-03-04T00:00:00.000Z"),
        ("-2h", "2026-03-05T11:14:15.000Z"),
        ("-1.5m", "2026-03-05T13:12:45.000Z"),
        ("-10d", "2026-02-23T13:14:15.000Z"),
        ("2026-03-05T10:00:00+01:00", "2026-03-05T09:00:00.000Z"),
    ],
)
def test_times(text: str, means: str) -> None:
    assert show_time(parse_when("--from", text, NOW_NS)) == means


@pytest.mark.parametrize("text", ["-2", "2h", "-h", "tomorrow", "-1w", ""])
def test_what_is_no_time_is_told_with_what_is(text: str) -> None:
    with pytest.raises(BadInputError, match=r"--to[\s\S]*yesterday[\s\S]*-2h"):
        parse_when("--to", text, NOW_NS)
