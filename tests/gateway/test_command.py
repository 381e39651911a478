"""The command's own errors, its log, and the lines that a person reads."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from ecgwatch.commands.services.gateway import gateway
from ingest.errors import BadInputError
from ingest.gateway.logs import JsonLines
from ingest.gateway.status import line

GOOD: dict[str, Any] = {
    "device": "Polar H10", "problem": "", "silent_s": 0.4, "swing_mv": 1.42, "contact": True, "battery": 0.93, "heart_rate": 61,
    "irregularity": None, "links": 1, "bad_packets": 0, "backlog_bytes": 0, "dropped_s": 0.0, "fs_hz": 128.4, "clock_ppm": 12.3,
    "restarts": 0, "gaps": 0, "missing": 0, "not_sent": "", "sent": 10, "refused": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {},
            "Polar H10: 128.40 Hz, clock +12 ppm, signal 1.4 mV, contact, spool 0.00 MB, battery 93%",
        ),
        (
            {"contact": False, "battery": None},
            "Polar H10: 128.40 Hz, clock +12 ppm, signal 1.4 mV, NO CONTACT, spool 0.00 MB",
        ),
        ({"problem": "out of reach", "silent_s": 75.0}, "NO LINK for 75 s (out of reach)"),
        ({"silent_s": 5.0}, "NO SAMPLES for 5 s"),
        ({"silent_s": None, "swing_mv": None}, "waiting for the first samples (up to 45 s)"),
        ({"missing": 730, "gaps": 2}, "730 samples lost in 2 gaps"),
        (
            {"not_sent": "refused (401): no", "backlog_bytes": 12_000_000},
            "NOT SENT: refused (401): no, spool 12.00 MB",
        ),
        ({"dropped_s": 4000.0}, "4000 s DROPPED for want of disk budget"),
    ],
)
def test_the_line_says_what_a_person_must_know(changes: dict[str, Any], says: str) -> None:
    assert says in line(GOOD | changes, trace=True)


def test_a_heart_rate_strap_has_no_trace_and_the_line_says_so() -> None:
    said = line(GOOD | {"device": "strap", "irregularity": 0.5}, trace=False)
    assert (
        said
        == "strap: 61/min, no trace, RR irregular (50% of intervals), spool 0.00 MB, battery 93%"
    )


def test_log_lines_are_json_with_what_belongs_to_them() -> None:
    record = logging.makeLogRecord(
        {"levelname": "WARNING", "msg": "no link", "device": "h10", "why": "out of reach"}
    )
    said = json.loads(JsonLines().format(record))
    assert {key: said[key] for key in ("level", "event", "device", "why")} == {
        "level": "warning", "event": "no link", "device": "h10", "why": "out of reach",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"devices": ["h10"]}, "no token for h10"),
        ({"devices": ["h10", "lsl"], "token": "x"}, "a token each"),
        ({"devices": ["h11"], "token": "x"}, "no source is called 'h11'"),
        ({"devices": ["h10"], "file": "two.toml"}, "named twice"),
        ({"file": "none.toml"}, "none.toml"),
        ({"file": "bad.toml"}, "token"),
    ],
)
def test_errors_name_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.toml").write_text(
        '[[device]]\nsource = "h10:1"\ntoken = "a"\n[[device]]\nsource = "h10:2"\ntoken = "b"\n'
    )
    Path("bad.toml").write_text('[[device]]\nsource = "h10:1"\n')
    asked = {
        "devices": None,
        "server": None,
        "token": None,
        "file": None,
        "spool": tmp_path,
        "spool_mb": 10,
        "record": None,
    } | options
    if asked["file"]:
        asked["file"] = Path(asked["file"])
    with pytest.raises(BadInputError, match=says):
        gateway(**asked)
