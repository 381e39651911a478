"""The worklist of the ward's alarms, the page of one alarm for the nurse on call, and pinned
patients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from playwright.sync_api import Browser, Page, expect

from tests.e2e.monitor_answers import Answers
from tests.e2e.monitor_browser import opened, set_prefs, tile, ward
from tests.e2e.monitor_fakes import Story


@contextmanager
def two_alarms(browser: Browser, path: str) -> Iterator[tuple[Page, Answers]]:
    """A high alarm of Bed 1 and a medium one of Bed 2, a processor that answers, and Ada at the page."""
    with ward([Story("Bed 1"), Story("Bed 2")]) as (server, streams):
        high = streams.alarm(
            "Bed 1", "asystole", 3, priority="high", latching=True, text="ASYSTOLE 6 s"
        )
        medium = streams.alarm("Bed 2", "hr_high", 4, text="HR 134 > 120")
        with (
            Answers(streams, server.broker, [high, medium]) as answers,
            opened(browser, server.url + path.replace("HIGH", quote(high.id, safe=""))) as page,
        ):
            set_prefs(page, name="Ada")
            yield page, answers


def test_many_are_acknowledged_at_once_and_the_list_shows_them_again(browser: Browser) -> None:
    with two_alarms(browser, "worklist") as (page, answers):
        rows = page.locator(".worklist-table tbody tr")
        expect(rows).to_have_count(2)
        page.get_by_label("State").select_option("open")
        page.get_by_label("Priority").select_option("high")
        expect(rows).to_have_count(1)
        expect(rows.first).to_contain_text("ASYSTOLE 6 s")
        page.get_by_label("Priority").select_option("")
        page.get_by_label("Mark all that are shown").check()
        page.get_by_role("button", name="Acknowledge 2 marked").click()
        expect(rows).to_have_count(0)
        expect(page.locator(".worklist")).to_contain_text("No alarm fits these filters.")
        assert sorted(a.alarm_id.split(":")[0] for a in answers.taken) == ["Bed 1", "Bed 2"]
        page.get_by_role("button", name="Show the 2 again").click()
        expect(rows).to_have_count(2)
        expect(rows.first.locator(".state")).to_contain_text("Ada")
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV").click()
        text = download.value.path().read_text()
        assert "ASYSTOLE 6 s" in text
        assert text.count("Ada") == 2


def test_the_worklist_by_keyboard(browser: Browser) -> None:
    with two_alarms(browser, "") as (page, answers):
        expect(tile(page, "Bed 1").locator(".alarm")).to_have_text("*** ASYSTOLE 6 s")
        page.keyboard.press("w")
        rows = page.locator(".worklist-table tbody tr")
        expect(rows).to_have_count(2)
        for key in (
            "ArrowDown",
            "ArrowDown",
            "x",
            "ArrowUp",
            "a",
        ):  # the marked one, not the chosen
            page.keyboard.press(key)
        expect(rows.filter(has_text="Ada")).to_have_count(1)
        assert len(answers.taken) == 1
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(page.locator(".alarm-page h1")).to_be_visible()
        page.keyboard.press("Escape")
        expect(rows).to_have_count(2)
        page.keyboard.press("Escape")
        expect(tile(page, "Bed 1")).to_be_visible()


def test_one_key_goes_on_along_the_list_from_a_page_or_a_review(browser: Browser) -> None:
    with two_alarms(browser, "worklist") as (page, _):
        expect(page.locator(".worklist-table tbody tr")).to_have_count(2)
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        title = page.locator(".alarm-page h1")
        expect(title).to_have_text("** HR 134 > 120")
        page.keyboard.press("j")
        expect(title).to_have_text("*** ASYSTOLE 6 s")
        page.keyboard.press("j")
        expect(page.locator("#toast")).to_have_text("No further alarm in the list.")
        page.keyboard.press("r")
        review = page.locator(".review h2")
        expect(review).to_have_text("*** ASYSTOLE 6 s")
        page.keyboard.press("k")
        expect(review).to_have_text("** HR 134 > 120")
        expect(page.locator(".patient h1")).to_have_text("Bed 2")
        page.reload()  # by a link, without having seen the list
        expect(review).to_have_text("** HR 134 > 120")
        page.keyboard.press("j")
        expect(review).to_have_text("*** ASYSTOLE 6 s")


def test_the_nurse_on_call_calls_the_next_one_and_acknowledges(browser: Browser) -> None:
    with two_alarms(browser, "alarm?patient=Bed%201&id=HIGH") as (page, answers):
        expect(page.locator(".alarm-page h1")).to_have_text("*** ASYSTOLE 6 s")
        page.get_by_role("button", name="Call the next person").click()
        expect(page.locator(".alarm-page .feedback")).to_have_text("Called the next person")
        expect(page.locator(".alarm-page")).to_contain_text("re-alarmed ×1")
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.locator(".alarm-page")).to_contain_text("acknowledged by Ada")
        expect(page.get_by_role("button", name="Call the next person")).to_be_hidden()
        assert [a.action for a in answers.taken] == ["escalate", "acknowledge"]
        page.get_by_role("link", name="Live trace").click()
        expect(page.locator(".patient h1")).to_have_text("Bed 1")


def test_an_alarm_that_nobody_knows_says_so(browser: Browser) -> None:
    with two_alarms(browser, "alarm?patient=Bed%201&id=Bed%201:pause:5000000000") as (page, _):
        expect(page.locator(".alarm-page h1")).to_have_text("No such alarm is known.")
        expect(page.get_by_role("button", name="Acknowledge")).to_be_hidden()


def test_pinned_patients_stand_first_and_share_the_screen(browser: Browser) -> None:
    with (
        ward([Story(f"Bed {k}") for k in (1, 2, 3)]) as (server, _),
        opened(browser, server.url) as page,
    ):
        names = page.locator(".tile .name")
        expect(names).to_have_text(["Bed 1", "Bed 2", "Bed 3"])
        page.keyboard.press("End")
        page.keyboard.press("p")
        expect(names).to_have_text(["Bed 3", "Bed 1", "Bed 2"])
        expect(page.locator("#toast")).to_have_text("Pinned: Bed 3")
        page.get_by_role("button", name="Pinned 1").click()
        expect(names).to_have_text(["Bed 3"])
        page.reload()
        expect(names).to_have_text(["Bed 3", "Bed 1", "Bed 2"])
        tile(page, "Bed 3").click()
        page.get_by_role("button", name="Pinned to the head of the ward").click()
        page.go_back()
        expect(names).to_have_text(["Bed 1", "Bed 2", "Bed 3"])
