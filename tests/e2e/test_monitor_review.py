"""Review of an event, edits, alarm limits, reports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from stream_processor.sinks.memory import MemorySink
from tests.e2e.monitor_answers import Answers
from tests.e2e.monitor_browser import Server, eventually, opened, painted, set_prefs, shot, ward
from tests.e2e.monitor_fakes import Story
from tests.e2e.monitor_past import Past

BED_3 = "patient?id=Bed%203"


@pytest.fixture(scope="module")
def server(past: Past) -> Iterator[Server]:
    """Bed 3 with its past, for tests that leave edits behind."""
    with ward([Story("Bed 3", bpm=84, pattern="NNNV")], past.sink, seconds=600.0) as (server, _):
        yield server


@contextmanager
def at_bed_3(browser: Browser, server: Server, **context: object) -> Iterator[Page]:
    with opened(browser, server.url + BED_3, **context) as page:
        set_prefs(page, name="Ada")
        expect(page.locator(".alarm-list li")).to_have_count(3)
        yield page


def test_an_alarm_is_reviewed_with_its_strip_and_confirmed(
    browser: Browser, server: Server
) -> None:
    with at_bed_3(browser, server) as page:
        page.locator(".alarm-list li").filter(has_text="VT 5 BEATS").locator(".open").click()
        review = page.locator(".review")
        expect(review.locator("h2")).to_have_text("*** VT 5 BEATS")
        expect(review.locator(".beat").first).to_be_visible()
        eventually(page, lambda: painted(page, ".review .ecg"), lambda pixels: pixels > 50_000)
        facts = review.locator(".said")
        expect(facts).to_contain_text("Ventricular tachycardia, high")
        expect(facts).to_contain_text("Sinus rhythm 94.0 %")
        expect(facts).to_contain_text("V (97.0 %)")
        expect(review.locator(".people")).to_contain_text("Nobody has said anything yet")
        shot(page, "review")
        review.locator(".beat").nth(5).click()
        review.locator(".beat-bar").get_by_role("button", name="Why").click()
        expect(review.locator(".reasons-note")).to_contain_text(
            "without the part at", timeout=60_000
        )
        assert review.locator(".reasons span").count() >= 1
        shot(page, "reasons")
        review.get_by_role("button", name="Why this rhythm?").click()
        expect(review.locator(".reasons-note")).to_contain_text(" %", timeout=60_000)
        review.get_by_role("button", name="Confirm").click()
        expect(review.locator(".feedback")).to_have_text("Recorded: confirmed.")
        expect(review.locator(".people li").first).to_contain_text(
            "confirmed · Ventricular tachycardia · Ada"
        )
        expect(facts).to_contain_text("Ventricular tachycardia, high")  # what the model said stays
        page.keyboard.press("n")
        expect(review.locator("h2")).to_have_text("** PAUSE 2.4 s > 2 s")
        page.keyboard.press("Escape")
        expect(review).to_be_hidden()


def test_an_alarm_is_relabelled_with_a_note_and_another_rejected(
    browser: Browser, server: Server
) -> None:
    with at_bed_3(browser, server) as page:
        page.locator(".alarm-list li").filter(has_text="PAUSE").locator(".open").click()
        review = page.locator(".review")
        kind = review.get_by_label("The alarm it should have been")
        expect(kind).to_have_value("pause")
        expect(review.get_by_role("button", name="Relabel")).to_be_disabled()
        kind.select_option("missed_beat")
        review.get_by_label("Note").fill("P wave, no QRS")
        review.get_by_role("button", name="Relabel").click()
        expect(review.locator(".people li").first).to_contain_text(
            "relabelled as Missed beat · Pause · Ada"
        )
        expect(review.locator(".people li").first).to_contain_text("“P wave, no QRS”")
        review.get_by_role("button", name="Previous").click()
        expect(review.locator("h2")).to_contain_text("VT 5 BEATS")
        review.get_by_role("button", name="Reject").click()
        expect(review.locator(".people li").first).to_contain_text("rejected")


def test_a_beat_is_relabelled_by_its_key(browser: Browser, server: Server) -> None:
    with at_bed_3(browser, server) as page:
        page.locator(".alarm-list li").filter(has_text="ATRIAL").locator(".open").click()
        expect(page.locator(".review .beat").first).to_be_visible()
        page.keyboard.press("ArrowRight")  # at once, without a click
        page.keyboard.press("ArrowLeft")
        beat = page.locator('.review .beat[aria-pressed="true"]')
        expect(beat).to_be_focused()
        was = beat.text_content()
        pressed = page.locator('.review .beat-bar [aria-pressed="true"]')
        expect(pressed).to_contain_text(f"{was} ")  # begins at what the model said
        page.keyboard.press("s")
        expect(page.locator('.review .beat[data-edited="relabelled"]')).to_have_text("S")
        expect(page.locator(".review .people li").first).to_contain_text(f"(was {was})")
        page.locator(".review .beat").nth(4).click()
        page.get_by_role("button", name="no beat").click()
        expect(page.locator('.review .beat[data-edited="rejected"]')).to_have_text("×")
        shot(page, "review-beats")


def test_the_report_opens_in_a_tab_of_its_own(browser: Browser, server: Server) -> None:
    with at_bed_3(browser, server) as page:
        page.locator(".menu summary").click()
        with page.expect_popup() as popup:
            page.get_by_role("link", name="Last 1 h", exact=True).click()
        report = popup.value
        report.wait_for_load_state()
        expect(report.locator("body")).to_contain_text("Bed 3")
        if report.viewport_size:
            shot(report, "report")


def test_limits_are_checked_where_they_stand_and_say_who_changed_them(
    browser: Browser, past: Past
) -> None:
    story = Story("Bed 3", bpm=84, pattern="NNNV")
    with (
        ward([story], past.sink, seconds=600.0) as (server, streams),
        Answers(streams, server.broker, []) as answers,
        at_bed_3(browser, server) as page,
    ):
        page.keyboard.press("l")
        high = page.locator('tr[data-name="hr_high_bpm"]')
        field = high.get_by_role("textbox")
        expect(field).to_have_value("120")
        field.fill("1200")
        expect(high.locator(".feedback")).to_have_text("Not saved. Must be 60 to 280 /min.")
        expect(field).to_have_attribute("aria-invalid", "true")
        field.fill("145")
        expect(high.locator(".feedback")).to_have_text(
            "Not saved. Must be below “Extreme tachycardia: above”, which is 140."
        )
        field.fill("130")
        expect(high.locator(".feedback")).to_have_text("Not saved yet")
        page.locator('tr[data-name="hr_low_bpm"]').get_by_role("textbox").focus()
        expect(high.locator(".feedback")).to_have_text("Saved")
        expect(high.locator(".changed")).to_contain_text("by Ada")
        battery = page.get_by_role("textbox", name="Battery below, %")
        expect(battery).to_have_value("10")
        battery.fill("20")
        battery.press("Enter")
        expect(page.locator('tr[data-name="battery"] .feedback')).to_have_text("Saved")
        assert answers.taken[-1].limits == {"battery": 0.2}
        expect(page.locator(".limits .limit-group").first).to_have_text("Heart rate")
        shot(page, "limits")
        high.get_by_role("button", name="Back to 120").click()
        expect(field).to_have_value("120")
        low = page.locator('tr[data-kind="hr_low"]')
        assert page.get_by_role("checkbox", name="Asystole: alarm on").is_disabled()
        page.get_by_role("checkbox", name="HR low: alarm on").press("Space")
        expect(low.locator(".feedback")).to_have_text("Saved")
        expect(low.locator(".changed")).to_contain_text("by Ada")
        assert answers.taken[-1].switches == {"hr_low": False}
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
        expect(page.locator(".fact .range")).to_have_text("50–120")
        expect(page.locator(".fact .off")).to_have_text("HR low off")
        page.keyboard.press("Escape")
        expect(page.locator(".tile .quality")).to_contain_text("HR low off")
        page.locator(".tile").click()
        expect(page.locator("h1")).to_have_text("Bed 3")
        page.keyboard.press("l")
        low.get_by_role("button", name="Back to on").click()
        expect(page.get_by_role("checkbox", name="HR low: alarm on")).to_be_checked()
        assert answers.taken[-1].switches == {"hr_low": None}


def test_review_and_actions_among_fifty_patients(browser: Browser) -> None:
    stories = [
        Story(f"Bed {k}", bpm=50 + k, pattern="NNNV" if k % 7 == 0 else "N") for k in range(1, 51)
    ]
    with ward(stories, MemorySink(), seconds=150.0) as (server, streams):
        alarms = [
            streams.alarm(f"Bed {k}", "hr_high", 3, text=f"HR {120 + k} > 120")
            for k in range(1, 51)
        ]
        with (
            Answers(streams, server.broker, alarms) as answers,
            opened(browser, server.url, 1920, 1080) as page,
        ):
            set_prefs(page, name="Ada")
            expect(page.locator(".tile")).to_have_count(50)
            expect(page.locator("#chips")).to_have_text("** 50")
            expect(page.locator(".tile .alarm").last).to_have_text("** HR 170 > 120")
            page.keyboard.press("End")
            page.keyboard.press("a")
            expect(page.locator("#chips")).to_have_text("** 49")
            expect(page.locator(".tile .head").last).to_have_attribute("data-state", "acknowledged")
            assert [a.patient_id for a in answers.taken] == ["Bed 50"]
            shot(page, "ward-50", 1500)
            page.keyboard.press("Enter")
            expect(page.locator("h1")).to_have_text("Bed 50")
            expect(page.locator(".alarm-list li").first).to_have_attribute(
                "data-state", "acknowledged"
            )
            page.locator(".alarm-list .open").first.click()
            expect(page.locator(".review h2")).to_have_text("** HR 170 > 120")
