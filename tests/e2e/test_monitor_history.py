"""The past on the page: pause, scroll, zoom, next alarm and beat, calipers, the trend and its
cursor, full disclosure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.monitor_browser import (
    COLUMNS,
    Server,
    eventually,
    opened,
    painted,
    shot,
    until,
    ward,
)
from tests.e2e.monitor_fakes import Story


@pytest.fixture
def bed_3(browser: Browser, eight_beds: Server) -> Iterator[Page]:
    with opened(browser, f"{eight_beds.url}patient?id=Bed%203") as page:
        expect(page.locator(".big .rate")).not_to_have_text("--")
        # a screen of the trace has come: what was before the ward began to stream is stored
        middle = [0.3, 0.36, 0.7, 0.64]
        eventually(
            page,
            lambda: page.locator(".trace").evaluate(COLUMNS, middle),
            lambda share: share > 0.9,
        )
        yield page


def badge(page: Page) -> Any:
    return page.locator(".badge")


TRACED = """
(() => {
  const canvas = document.querySelector('.past'), data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let n = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 100 && data[i + 1] - data[i] > 40) n++;
  return n > 1000;
})()
"""


def drawn(page: Page) -> None:
    """Wait for the stored trace to be painted."""
    until(page, TRACED, True)


def test_space_pauses_arrows_scroll_and_space_goes_on(bed_3: Page) -> None:
    page = bed_3
    page.keyboard.press("Space")
    expect(badge(page)).to_contain_text("History")
    # what the live rows showed: three rows of as many squares of 5 mm as fill the column
    assert span_s(page) == pytest.approx(3 * 0.2 * (column(page) // (5 * 96 / 25.4)), abs=0.1)
    drawn(page)
    first = badge(page).text_content()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(badge(page)).not_to_have_text(first or "")
    drawn(page)
    shot(page, "history")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(badge(page)).to_have_text(first or "")
    page.keyboard.press("Space")
    expect(badge(page)).to_be_hidden()
    expect(page.locator(".trace")).to_be_visible()


def test_zoom_goes_from_a_second_to_all_there_is(bed_3: Page) -> None:
    page = bed_3
    for _ in range(6):
        page.keyboard.press("+")
    expect(badge(page)).to_contain_text(" 1 s ")
    drawn(page)
    shot(page, "zoom-1s")
    for _ in range(20):
        page.keyboard.press("-")
    expect(badge(page)).to_contain_text(re.compile(r"1\.[567] h"))
    drawn(page)
    shot(page, "zoom-24h")
    expect(page.locator(".tools .scale")).to_contain_text("mm/s")


def test_the_paper_is_pulled_back_with_the_mouse(bed_3: Page) -> None:
    page = bed_3
    box = page.locator(".rows").bounding_box()
    assert box
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 700, box["y"] + 60, steps=5)
    page.mouse.up()
    expect(badge(page)).to_contain_text("History")
    drawn(page)


def test_next_and_previous_alarm_and_beat_of_a_class(bed_3: Page) -> None:
    page = bed_3
    expect(page.locator(".alarm-list li")).to_have_count(4)
    times = page.locator(".alarm-list .onset").all_text_contents()
    for expected in times[:3]:
        page.keyboard.press("p")
        expect(badge(page)).to_contain_text("History")
        assert seconds(expected) == pytest.approx(seconds(shown(page)) + span_s(page) / 3, abs=1.5)
    page.keyboard.press("n")
    assert seconds(times[1]) == pytest.approx(seconds(shown(page)) + span_s(page) / 3, abs=1.5)
    before = shown(page)
    page.get_by_label("Class of beat to go to").select_option("V")
    page.locator("main").focus()
    page.keyboard.press("b")
    # the next V after the middle, which then stands in the middle
    eventually(page, lambda: seconds(shown(page)) - seconds(before), lambda later: 0 <= later <= 4)
    page.keyboard.press("B")
    page.keyboard.press("B")
    page.get_by_label("Class of beat to go to").select_option("F")
    page.locator("main").focus()
    page.keyboard.press("b")
    expect(page.locator("#toast")).to_have_text("No later F beat within a day.")


def column(page: Page) -> float:
    return float(page.locator(".chart").evaluate("e => e.clientWidth"))


def span_s(page: Page) -> float:
    """The length of the shown period."""
    found = re.search(r"· (\d+(?:\.\d+)?) s ·", badge(page).text_content() or "")
    assert found
    return float(found.group(1))


def shown(page: Page) -> str:
    found = re.search(r"\d\d:\d\d:\d\d", badge(page).text_content() or "")
    assert found
    return found.group()


def seconds(clock: str) -> int:
    hours, minutes, rest = clock.split()[-1].split(":")
    return 3600 * int(hours) + 60 * int(minutes) + int(rest)


def test_calipers_read_a_known_rr_within_4_ms(browser: Browser) -> None:
    with (
        ward([Story("a", bpm=75, irregular=0.0)]) as (server, _),
        opened(browser, f"{server.url}patient?id=a") as page,
    ):
        expect(page.locator(".fact .rr")).to_have_text("800")
        eventually(page, lambda: painted(page, ".trace"), lambda pixels: pixels > 3000)
        page.locator("main").focus()
        page.keyboard.press("c")
        reading = page.locator(".reading")
        expect(reading).to_contain_text("ms")
        assert read(reading)[0] == pytest.approx(800, abs=4)
        assert read(reading)[1] == pytest.approx(75, abs=0.5)
        assert read(reading)[2] == pytest.approx(1, abs=0.01)
        page.keyboard.press("ArrowRight")
        assert read(reading)[0] == pytest.approx(804, abs=4)
        rows = page.locator(".rows").bounding_box()
        assert rows
        scale = 25 * 96 / 25.4  # CSS pixels per second of a screen that nobody has measured
        left = page.locator(".caliper.time").first.bounding_box()
        assert left
        at, y = left["x"] + 6, left["y"] + 40
        page.mouse.move(at - 2 * 0.8 * scale + 3, y)  # roughly on an earlier beat: it snaps
        page.mouse.down()
        page.mouse.move(at - 0.8 * scale - 2, y + 10, steps=4)
        page.mouse.up()
        eventually(page, lambda: read(reading)[0], lambda ms: ms == pytest.approx(800, abs=4))
        shot(page, "calipers")
        page.keyboard.press("Escape")
        expect(reading).to_be_hidden()


def read(reading: Any) -> list[float]:
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", reading.text_content())]


def test_the_trend_has_a_cursor_and_opens_a_time(bed_3: Page) -> None:
    page = bed_3
    trend = page.locator(".trend")
    eventually(page, lambda: painted(page, ".trend canvas"), lambda pixels: pixels > 5000)

    def told() -> str:
        box = trend.bounding_box()  # it moves until the rows of the trace have their height
        assert box
        for aside in (0, 1):
            page.mouse.move(box["x"] + 0.6 * box["width"] + aside, box["y"] + 60)
        return page.locator(".told").text_content() or ""

    eventually(page, told, lambda text: "HR 8" in text and "Atrial fib" in text)
    page.mouse.move(10, 10)
    expect(page.locator(".told")).to_have_text("")
    trend.focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator(".told")).to_contain_text("HR")
    page.keyboard.press("Enter")
    expect(badge(page)).to_contain_text("History")
    drawn(page)
    shot(page, "trend")


def test_full_disclosure_shows_an_hour_and_opens_a_time(bed_3: Page) -> None:
    page = bed_3
    page.keyboard.press("d")
    hour = page.locator(".disclosure")
    expect(hour.locator("h2")).to_contain_text(" to ")
    expect(hour.locator(".none")).to_have_text("")
    assert painted(page, ".disclosure canvas") > 30_000
    shot(page, "disclosure")
    first = hour.locator("h2").text_content()
    page.keyboard.press("ArrowLeft")
    expect(hour.locator("h2")).not_to_have_text(first or "")
    expect(hour.locator(".none")).to_have_text("")
    hour.locator("canvas").click(position={"x": 500, "y": 480})
    expect(hour).to_be_hidden()
    expect(badge(page)).to_contain_text("History")
