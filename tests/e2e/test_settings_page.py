"""Settings of the page: kept per browser, and followed by every part that they concern."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from tests.e2e.monitor_browser import opened, tile, ward
from tests.e2e.monitor_fakes import Story

# Times as the page writes them; noon and midnight are what a clock of 12 hours gets wrong.
TIMES = """async () => {
  const { dayTime, shortDayTime, shortTime, time } = await import("/static/alarms/words.js");
  const at = (day, hour, minute, second) => new Date(2026, 11, day, hour, minute, second).getTime();
  return [
    time(at(1, 14, 3, 5)),
    shortTime(at(1, 0, 5, 0)),
    shortTime(at(1, 12, 0, 0)),
    dayTime(at(1, 9, 0, 0), at(1, 23, 0, 0)),
    dayTime(at(1, 9, 0, 0), at(2, 0, 0, 0)),
    shortDayTime(at(1, 9, 0, 0), at(2, 0, 0, 0)),
  ];
}"""

# The gain of the first node that a burst of tones goes through.
VOLUME = """async () => {
  const { Tones } = await import("/static/alarms/tones.js");
  const made = [], make = BaseAudioContext.prototype.createGain;
  BaseAudioContext.prototype.createGain = function () {
    const node = make.call(this);
    made.push(node);
    return node;
  };
  const tones = new Tones();
  tones.turnOn();
  tones.sample();
  tones.turnOff();
  BaseAudioContext.prototype.createGain = make;
  return made[0].gain.value;
}"""


def settings(page: Page) -> None:
    page.keyboard.press(",")
    expect(page.get_by_role("dialog", name="Settings")).to_be_visible()


def test_times_follow_the_clock_of_the_settings_and_dates_need_no_language(
    browser: Browser,
) -> None:
    with ward([Story("Bed 1")]) as (server, _), opened(browser, server.url) as page:
        expect(tile(page, "Bed 1")).to_be_visible()
        date = "2026-12-01"
        assert page.evaluate(TIMES) == [
            *("14:03:05", "00:05", "12:00", "09:00:00"),
            *(f"{date} 09:00:00", f"{date} 09:00"),
        ]
        settings(page)
        page.get_by_label("12 h").check()
        assert page.evaluate(TIMES) == [
            *("2:03:05 pm", "12:05 am", "12:00 pm", "9:00:00 am"),
            *(f"{date} 9:00:00 am", f"{date} 9:00 am"),
        ]
        expect(page.locator("#clock")).to_have_text(re.compile(r"^\d{1,2}:\d\d:\d\d [ap]m$"))
        page.reload()
        expect(page.locator("#clock")).to_have_text(re.compile(r" [ap]m$"))


def test_tiles_gain_and_volume_are_chosen_and_kept(browser: Browser) -> None:
    beds = [Story(f"Bed {k}") for k in range(1, 7)]
    with ward(beds) as (server, _), opened(browser, server.url) as page:
        expect(page.locator(".tile")).to_have_count(6)
        settings(page)
        page.get_by_role("group", name="Tiles on a page").get_by_label("4", exact=True).check()
        expect(page.locator(".tile")).to_have_count(4)
        page.get_by_role("group", name="Gain on the ward").get_by_label("10 mm/mV").check()
        page.get_by_label("Volume of the tones").fill("40")
        assert abs(page.evaluate(VOLUME) - 0.4) < 1e-6
        page.keyboard.press("Escape")
        expect(page.locator(".pager")).to_contain_text("of 6")
        page.reload()
        expect(page.locator(".tile")).to_have_count(4)
        settings(page)
        expect(page.get_by_label("10 mm/mV")).to_be_checked()
        assert page.evaluate("JSON.parse(localStorage.ecgwatch).tileGain") == 10
