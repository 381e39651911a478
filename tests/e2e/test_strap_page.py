"""A heart rate strap on the ward page, in a real Chromium: a rate, no trace, and the page says so."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from ecgwatch.annotate import new_ward
from ingest.clock import SystemClock
from tests.e2e.monitor_browser import STRIP, eventually, opened, shot, tile, ward
from tests.gateway.pulses import bound, irregular, notifications, sent

SECONDS = 75


def test_a_strap_has_a_rate_and_no_trace_and_the_page_says_so(browser: Browser) -> None:
    start_ns = SystemClock().now_ns() - SECONDS * 10**9
    blocks = notifications(irregular(SECONDS, 80), start_ns=start_ns, jitter_s=0.0)
    with ward([]) as (server, streams), opened(browser, server.url) as page:
        processor = new_ward()
        for chunk in bound(sent(blocks), "ada"):
            streams.send(chunk)
            for event in processor.push([chunk]):
                streams.send(event)
        streams.producer.flush(5)
        ada = tile(page, "ada")
        expect(ada.locator(".rate")).to_have_text(re.compile(r"^\d\d$"))
        expect(ada.locator(".rhythm")).to_have_text("intervals irregular")
        expect(ada.locator(".pvcs")).to_have_text("RR only, no trace")
        eventually(page, lambda: ada.evaluate(STRIP)["columns"], lambda share: 0 < share < 0.5)
        shot(page, "strap")
        ada.click()
        expect(page.locator("body")).to_contain_text("RR only: intervals irregular")
        shot(page, "strap-patient")
