"""Values of the options that replay and simulate share."""

import math

import pytest

from ecgwatch.streaming import parse_speed, parse_start, unique
from ingest.errors import BadInputError


@pytest.mark.parametrize(
    ("text", "factor"), [("0.1", 0.1), ("1", 1), ("250", 250), ("max", math.inf)]
)
def test_speed(text, factor):
    assert parse_speed(text) == factor


@pytest.mark.parametrize("text", ["0", "-1", "0.01", "nan", "fast", ""])
def test_bad_speed(text):
    with pytest.raises(BadInputError, match=f"--speed {text}"):
        parse_speed(text)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01", 0),
        ("2026-01-01T00:00:00", 1_767_225_600 * 10**9),
        ("2026-01-01T01:00:00+01:00", 1_767_225_600 * 10**9),
        ("2026-01-01T00:00:00.123456Z", 1_767_225_600_123_456_000),
        ("now", None),
    ],
)
def test_start_time(text, ns):
    assert parse_start(text) == ns


@pytest.mark.parametrize("text", ["yesterday", "1969-12-31", "2026-13-01"])
def test_bad_start_time(text):
    with pytest.raises(BadInputError, match=f"--start-time {text}"):
        parse_start(text)


def test_two_patients_of_one_id_are_refused():
    assert unique(["a", "b"]) == ["a", "b"]
    with pytest.raises(BadInputError, match="patient id 'a'"):
        unique(["a", "b", "a"])
