"""What added tasks say, on the patient's page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, expect

from ingest import topics
from ingest.messages import Finding, encode
from tests.e2e.monitor_browser import opened, shot, ward
from tests.e2e.monitor_fakes import Story, Ward


def send(streams: Ward, **said: Any) -> None:
    base = {
        "patient_id": "a",
        "device_id": "patch-7",
        "lead": "ECG",
        "fs_hz": 250.0,
        "start_sample": 0,
        "sample": 0,
        "model": "2",
    }
    finding = Finding(**base, time_ns=streams.now_ns(10), start_ns=streams.now_ns(2), **said)
    streams.producer.produce(topics.FINDINGS.name, encode(finding), key="a")


def test_the_newest_finding_of_each_task_has_a_line(browser: Browser) -> None:
    with (
        ward([Story("a")]) as (server, streams),
        opened(browser, f"{server.url}patient?id=a") as page,
    ):
        expect(page.locator(".big .rate")).not_to_have_text("--")
        expect(page.locator(".findings")).to_be_hidden()
        send(streams, task="flutter", label="N", probability=0.71)
        send(streams, task="apnoea", label="no", probability=0.6)
        expect(page.locator(".finding")).to_have_count(2)
        send(streams, task="flutter", label="AFL", probability=0.934)
        expect(page.locator(".finding").nth(1)).to_contain_text("AFL 93 % since")
        expect(page.locator(".finding").nth(0)).to_contain_text("apnoea")
        shot(page, "findings")
