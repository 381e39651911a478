"""One patient on the page: live trace, history, zoom, calipers, trend, full disclosure, true millimetres."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.monitor_browser import COLUMNS, Server, opened, painted, shot, ward
from tests.e2e.monitor_fakes import Story

BED_3 = "patient?id=Bed%203"


def test_a_patient_with_trace_beats_numbers_and_alarms(browser: Browser, eight_beds: Server) -> None:
    with opened(browser, eight_beds.url + BED_3) as page:
        expect(page.locator(".big .rate")).not_to_have_text("--")
        expect(page.locator(".rhythmline")).to_have_text("Sinus rhythm")
        expect(page.locator(".fact .rr")).not_to_have_text("--")
        expect(page.locator(".fact .range")).to_have_text("50–120")
        expect(page.locator(".alarms .line")).to_have_text("* PVC 21 > 10")
        expect(page.locator(".alarm-list li")).to_have_count(4)
        expect(page.locator(".alarm-list li .state").first).to_have_text("holds")
        expect(page.locator("#elsewhere")).to_have_text("*** Bed 4: VENTRICULAR FIBRILLATION")
        page.wait_for_timeout(2000)
        assert painted(page, ".trace") > 3000
        shot(page, "patient")
        page.keyboard.press("5")
        expect(page.locator(".tools .scale")).to_contain_text("40 mm/mV")
        page.locator("#elsewhere").click()
        expect(page.locator("h1")).to_have_text("Bed 4")


def test_a_trace_that_wanders_far_stays_in_sight(browser: Browser) -> None:
    with ward([Story("a", wander_mv=3.0)], seconds=60.0) as (server, _), opened(browser, f"{server.url}patient?id=a") as page:
        expect(page.locator(".big .rate")).not_to_have_text("--")
        page.wait_for_timeout(14_000)
        shot(page, "wander-patient")
        rows = [page.locator(".trace").evaluate(COLUMNS, [0, k / 3 + 0.04, 1, (k + 1) / 3]) for k in range(3)]
        assert sorted(rows)[1] > 0.97, rows  # the third is the one being swept


PLAYHEAD = """
async ([length, jitter, pace, seconds]) => {
  const { Playhead } = await import('/static/playhead.js');
  const head = new Playhead(), steps = [];
  let seed = 7, behind = 0, stood = 0, last = null;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const due = [];
  for (let k = 1; k * length <= seconds * pace; k++) due.push([k * length / pace + random() * jitter, k * length]);
  due.sort((a, b) => a[0] - b[0]);
  for (let t = 0; t < seconds; t += 1 / 60) {
    while (due.length && due[0][0] <= t) { const [at, end] = due.shift(); head.arrived(end, length, at); }
    const at = head.at(t);
    if (t > seconds / 2) {
      if (last !== null) { steps.push((at - last) * 60 / pace); if (at === last) stood++; }
      behind = Math.max(behind, t * pace - at);
    }
    last = at;
  }
  return { least: Math.min(...steps), most: Math.max(...steps), stood, behind };
}
"""


@pytest.mark.parametrize(
    ("length", "jitter", "pace"), [(0.5, 0.0, 1), (0.5, 0.15, 1), (0.2, 0.1, 1), (1.0, 0.2, 1), (0.5, 0.05, 10), (0.5, 0.05, 0.5)]
)
def test_the_trace_moves_evenly_a_short_time_behind_the_signal(
    browser: Browser, eight_beds: Server, length: float, jitter: float, pace: float
) -> None:
    with opened(browser, eight_beds.url) as page:
        moved = page.evaluate(PLAYHEAD, [length, jitter, pace, 30])
    assert moved["stood"] == 0, moved
    assert moved["least"] > 0.8, moved
    assert moved["most"] < 1.2, moved
    assert moved["behind"] < length + pace * (0.25 + jitter + 0.2), moved
