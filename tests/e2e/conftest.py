"""A Chromium for the tests of the page, and a ward of eight that they may look at (what changes it
is a test's own)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from stream_processor.sinks.memory import MemorySink
from tests.e2e.monitor_browser import CHROMIUM, FLAGS, Server, ward
from tests.e2e.monitor_fakes import Story, eight
from tests.e2e.monitor_past import Past

PAST_S = 5400.0  # of Bed 3


# Playwright keeps a loop running in this thread: tests that are async must not meet it
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        reason = f"no {CHROMIUM}; get it with: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("ECGWATCH_REQUIRE_SERVICES") == "1" else pytest.skip(
            reason
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")  # it ends where the ward begins
def past() -> Past:
    """An hour and a half of Bed 3: sinus, atrial fibrillation, sinus, with an ectopic beat in four."""
    start_s = time.time() - 12 - PAST_S
    story = Story("Bed 3", bpm=84, pattern="NNNV")
    made = Past(MemorySink(), story, start_s, PAST_S).fill()
    for begin, end, label in [
        (0, 1500, "N"),
        (1500, 3300, "AFIB"),
        (3300, 3330, "~"),
        (3330, PAST_S, "N"),
    ]:
        made.rhythm(begin, end, label)
    made.alarm("atrial_fibrillation", 1500.0, text="ATRIAL FIBRILLATION")
    made.alarm(
        "ventricular_tachycardia",
        4000.0,
        priority="high",
        latching=True,
        value=5.0,
        limit=5.0,
        text="VT 5 BEATS",
        acknowledged_ns=made.ns(4020),
        acknowledged_by="Grace",
    )
    made.alarm("pause", 4601.0, text="PAUSE 2.4 s > 2 s", value=2.4, limit=2.0)
    return made


@pytest.fixture(scope="module")
def eight_beds(past: Past) -> Iterator[Server]:
    with ward(eight(), past.sink, seconds=600.0) as (server, _):
        yield server
