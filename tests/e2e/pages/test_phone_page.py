"""The phone as gateway, in Chromium. Its Bluetooth is a fake that speaks an H10's bytes (fake_h10.js)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from ingest.embedded import EmbeddedBroker
from ingest.messages import SampleChunk
from tests.e2e.monitor_browser import HARMLESS
from tests.integration.devices.ingest_bench import People, Server, journal, kept

FAKE = Path(__file__).with_name("fake_h10.js").read_text()


@pytest.fixture(scope="module")
def ward() -> Iterator[tuple[Server, People]]:
    with EmbeddedBroker() as embedded:
        server = Server(embedded.address)
        server.start()
        yield server, People(embedded.address)
        server.stop()


@contextmanager
def phone(browser: Browser, server: Server, token: str, **strap: object) -> Iterator[Page]:
    owner = browser.new_context(viewport={"width": 420, "height": 800})
    owner.add_init_script(f"sessionStorage.setItem('fake-h10', '{json.dumps(strap)}')")
    owner.add_init_script(FAKE)
    page = owner.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"{server.url}/join#{token}")
    yield page
    owner.close()
    assert not [text for text in said if not any(word in text for word in HARMLESS)]


def sent(server: Server, people: People, patient: str, least: int) -> list[SampleChunk]:
    """What Kafka has of the patient, once it is at least so many chunks with samples."""
    deadline = time.monotonic() + 60
    while len(found := [c for c in kept(people.broker, patient) if c.n]) < least:
        assert time.monotonic() < deadline, f"only {len(found)} chunks"
        time.sleep(0.3)
    return found


def test_a_strap_joins_is_seen_and_heard_and_nothing_is_lost_in_an_outage(browser, ward):
    server, people = ward
    token = people.device("h10-a", "ada")
    time.sleep(1)
    with phone(browser, server, token) as page:
        expect(page.locator("#wearer")).to_contain_text("Device h10-a, worn by")
        assert "#" not in page.url
        page.click("#connect")
        expect(page.locator("#rate")).to_have_text("75/min")
        expect(page.locator("#battery")).to_have_text("93 %")
        expect(page.locator("#signal")).to_have_text("good")
        assert not [
            c for c in kept(people.broker, "ada") if c.n
        ]  # nothing before the person says so
        page.click("#join")
        sent(server, people, "ada", 4)
        page.fill("#note", "dizzy on the stairs")
        page.click("#symptom")
        expect(page.locator("#state")).to_have_text("The ward knows.")
        server.stop()
        expect(page.locator("#state")).to_contain_text("kept here and sent later")
        time.sleep(3)
        assert not page.locator("#spool").inner_text().startswith("0 s")
        server.start()
        expect(page.locator("#spool")).to_have_text("0 s", timeout=30_000)
        page.evaluate("window.h10.lose()")
        expect(page.locator("#state")).to_contain_text("out of reach")
        time.sleep(2)
        page.evaluate("window.h10.away = false")
        expect(page.locator("#state")).to_have_text("Sending to the ward.")
        chunks = sent(server, people, "ada", 16)
        page.click("#stop")
        orders = page.evaluate("window.h10.orders")
        assert orders[0] == "02 00 00 01 82 00 01 01 0e 00"
        assert orders[-1] == "03 00"
    assert len({c.start_ns // 10**8 for c in chunks}) <= 2  # one stream, one time line
    places = [i for c in chunks for i in range(c.first_sample, c.first_sample + c.n)]
    assert places == sorted(set(places))  # in order and once
    gaps = np.diff(places)
    assert sorted(gaps)[-1] > 130  # the two seconds without a strap are missing, and told as such
    assert (gaps > 1).sum() == 1
    signal = np.concatenate([c.counts() for c in chunks])
    at = np.array(places) / 130
    peaks = at[
        np.flatnonzero(
            (signal > 800) & (signal >= np.roll(signal, 1)) & (signal > np.roll(signal, -1))
        )
    ]
    assert len(peaks) >= 2
    beats = np.diff(peaks)
    assert np.allclose(beats / 0.8, np.round(beats / 0.8), atol=0.03)  # 128.4 Hz became 130 Hz
    assert [
        (e.kind, e.text, e.by)
        for e in journal(people.broker)
        if e.patient_id == "ada" and e.by == "h10-a"
    ] == [("symptom", "dizzy on the stairs", "h10-a")]


def test_discharge_and_a_new_wearer_begin_a_new_stream(browser, ward):
    from ingest.registry import steps

    server, people = ward
    token = people.device("h10-b", "bob")
    time.sleep(1)
    with phone(browser, server, token) as page:
        page.click("#connect")
        page.click("#join")
        sent(server, people, "bob", 3)
        people.take(steps.discharge, "bob")
        expect(page.locator("#state")).to_contain_text("nobody wears device 'h10-b'")
        people.take(steps.admit, "eve", device_id="h10-b")
        found = sent(server, people, "eve", 3)
        assert found[0].first_sample == 0
        assert kept(people.broker, "bob")[-1].end


def test_frames_that_were_cut_are_said(browser, ward):
    server, people = ward
    token = people.device("h10-c")
    with phone(browser, server, token, cut=182) as page:
        page.click("#connect")
        expect(page.locator("#state")).to_contain_text("182 bytes was cut short")


def test_a_browser_without_bluetooth_and_a_wrong_token_are_told(browser, ward):
    server, _ = ward
    with phone(browser, server, "x", none=True) as page:
        expect(page.locator("#needs")).to_contain_text("Chrome or Edge")
    with phone(browser, server, "wrong") as page:
        expect(page.locator("#state")).to_contain_text("does not know this token")
        expect(page.locator("#token")).to_be_visible()
