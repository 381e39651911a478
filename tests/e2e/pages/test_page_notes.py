"""Notes and events that people write at the page, strips that they print, and the measures panel."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from stream_processor.sinks.memory import MemorySink
from tests.e2e.monitor_browser import Server, eventually, opened, painted, set_prefs, shot, ward
from tests.e2e.monitor_fakes import Story
from tests.e2e.monitor_past import Past

PAST_S = 1500.0
DAY_S = 86_400.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Bed 9 in sinus rhythm for 25 minutes, and with atrial fibrillation yesterday."""
    story = Story("Bed 9", bpm=70, irregular=0.05)
    made = Past(MemorySink(), story, time.time() - 12 - PAST_S, PAST_S).fill()
    made.rhythm(-DAY_S, -DAY_S + 20_000, "N")
    made.rhythm(-DAY_S + 20_000, -DAY_S + 25_000, "AFIB")
    made.rhythm(0, PAST_S, "N")
    made.alarm("pause", 900.0, text="PAUSE 2.4 s > 2 s", value=2.4, limit=2.0)
    with ward([story], made.sink, seconds=600.0) as (server, _):
        yield server


@contextmanager
def bed_9(browser: Browser, server: Server, **prefs: object) -> Iterator[Page]:
    with opened(browser, server.url + "patient?id=Bed%209") as page:
        page.add_init_script("window.print = () => { window.printed = (window.printed ?? 0) + 1; }")
        set_prefs(page, name="Ada", **prefs)
        expect(page.locator(".big .rate")).not_to_have_text("")
        yield page


def sheet(page: Page) -> str:
    eventually(page, lambda: page.evaluate("window.printed ?? 0"), bool)
    page.emulate_media(media="print")
    expect(page.locator("body > header")).to_be_hidden()
    eventually(page, lambda: painted(page, ".print-sheet canvas"), lambda n: n > 50_000)
    shot(page, "print")
    text = page.locator(".print-sheet").inner_text()
    page.emulate_media(media="screen")
    page.evaluate("window.dispatchEvent(new Event('afterprint')); window.printed = 0")
    expect(page.locator(".print-sheet")).to_have_count(0)
    return text


def test_a_note_of_this_moment_comes_back_into_the_list(browser: Browser, server: Server) -> None:
    with bed_9(browser, server) as page:
        page.keyboard.press("N")
        form = page.get_by_role("dialog", name="Note or event")
        expect(form).to_contain_text("by Ada")
        form.get_by_label("Kind").select_option("event")
        form.get_by_label("Text").fill("Electrodes changed")
        page.keyboard.press("Enter")
        row = page.locator('.alarm-list li[data-kind="event"]')
        expect(row).to_contain_text("Event: Electrodes changed")
        expect(row).to_contain_text("by Ada")
        shot(page, "note")


def test_a_strip_is_printed_from_live_history_review_and_the_page_of_an_alarm(
    browser: Browser, server: Server
) -> None:
    with bed_9(browser, server, paperSpeed=50) as page:
        expect(page.locator(".tools .time")).not_to_have_text("--")
        page.keyboard.press("o")
        text = sheet(page)
        assert "Bed 9" in text
        assert "50 mm/s 10 mm/mV" in text
        assert "by Ada" in text
        page.locator(".tools").get_by_role("button", name="‹ Alarm").click()
        page.get_by_role("button", name="Print").click()
        assert "ECG strip" in sheet(page)
        page.keyboard.press("r")
        expect(page.locator(".review .beat").first).to_be_visible()
        page.keyboard.press("o")
        assert "PAUSE 2.4 s > 2 s" in sheet(page)
        alarm = page.request.get(f"{server.url}api/alarms").json()["alarms"][0]
        page.goto(f"{server.url}alarm?patient=Bed%209&id={alarm['id'].replace(' ', '%20')}")
        eventually(page, lambda: painted(page, ".alarm-page canvas"), lambda n: n > 10_000)
        page.get_by_role("button", name="Print").click()
        assert "Onset" in sheet(page)


def test_measures_say_intervals_spectrum_and_burden(browser: Browser, server: Server) -> None:
    with bed_9(browser, server, lower="measures") as page:
        panel = page.get_by_role("region", name="Measures")
        said = [figure.locator(".label") for figure in panel.locator("figure").all()]
        expect(said[0]).to_contain_text("QTcF")
        expect(said[0]).to_contain_text("beats at RR")
        expect(said[1]).to_contain_text("LF/HF")
        expect(said[1]).to_contain_text("× 5 min")
        expect(said[2]).to_contain_text("longest 1.4 h")
        for k in range(3):
            eventually(
                page,
                lambda k=k: painted(page, f".measures-panel figure:nth-child({k + 1}) canvas"),
                lambda n: n > 500,
            )
        shot(page, "measures")


def test_too_little_for_a_measure_is_said(browser: Browser) -> None:
    story = Story("Bed 9", bpm=None, reason="lead_off", lead_off=True)
    with (
        ward([story], seconds=120.0) as (server, _),
        bed_9(browser, server, lower="measures") as page,
    ):
        panel = page.get_by_role("region", name="Measures")
        expect(panel).to_contain_text("too few normal beats")
        expect(panel).to_contain_text("needs 5 min of sinus rhythm")
        expect(panel).to_contain_text("no rhythm is stored")
