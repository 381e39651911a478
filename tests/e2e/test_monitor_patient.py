"""One patient on the page: live trace, history, zoom, calipers, trend, full disclosure, true
millimetres."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.e2e.monitor_browser import (
    COLUMNS,
    Server,
    T,
    eventually,
    opened,
    painted,
    set_prefs,
    shot,
    ward,
)
from tests.e2e.monitor_fakes import Story

BED_3 = "patient?id=Bed%203"


def test_a_patient_with_trace_beats_numbers_and_alarms(
    browser: Browser, eight_beds: Server
) -> None:
    with opened(browser, eight_beds.url + BED_3) as page:
        expect(page.locator(".big .rate")).not_to_have_text("--")
        expect(page.locator(".rhythmline")).to_have_text("Sinus rhythm")
        expect(page.locator(".fact .rr")).not_to_have_text("--")
        expect(page.locator(".fact .range")).to_have_text("50–120")
        expect(page.locator(".alarms .line")).to_have_text("* PVC 21 > 10")
        expect(page.locator(".alarm-list li")).to_have_count(4)
        expect(page.locator(".alarm-list li .state").first).to_have_text("holds")
        expect(page.locator("#elsewhere")).to_have_text("*** Bed 4: VENTRICULAR FIBRILLATION")
        eventually(page, lambda: painted(page, ".trace"), lambda pixels: pixels > 3000)
        shot(page, "patient", 2000)
        page.keyboard.press("5")
        expect(page.locator(".tools .scale")).to_contain_text("40 mm/mV")
        page.locator("#elsewhere").click()
        expect(page.locator("h1")).to_have_text("Bed 4")


def test_a_trace_that_wanders_far_stays_in_sight(browser: Browser) -> None:
    with (
        ward([Story("a", wander_mv=3.0)], behind_s=32.0) as (server, _),
        opened(browser, f"{server.url}patient?id=a") as page,
    ):

        def columns() -> list[float]:
            return sorted(
                page.locator(".trace").evaluate(COLUMNS, [0, k / 3 + 0.04, 1, (k + 1) / 3])
                for k in range(3)
            )

        expect(page.locator(".big .rate")).not_to_have_text("--")
        page.wait_for_timeout(2000)  # the pen goes on
        shot(page, "wander-patient")
        eventually(page, columns, lambda rows: rows[1] > 0.97)  # the lowest is the one being swept


def test_live_scores_and_many_alarms_have_their_place(browser: Browser) -> None:
    with (
        ward([Story("a")]) as (server, streams),
        opened(browser, f"{server.url}patient?id=a") as page,
    ):
        expect(page.locator(".big .rate")).not_to_have_text("--")
        expect(page.locator(".score")).to_be_hidden()
        counts = {
            "qrs_tp": 995,
            "qrs_fn": 5,
            "qrs_fp": 2,
            "v_tp": 9,
            "v_fn": 1,
            "rhythm_s": 600.0,
            "rhythm_agreed_s": 582.0,
        }
        streams.send(
            streams.score("a", 10, **counts, episodes=3, episodes_alarmed=2, worst_delay_s=6.25)
        )
        expect(page.locator(".score summary")).to_have_text("Reference: QRS 99.5 / 99.8")
        page.locator(".score summary").click()
        expect(page.locator(".score-full")).to_have_text(
            "Against reference:   QRS Se 99.5 +P 99.8 (1000)   V Se 90.0 +P 100.0 (10)   S Se -- +P -- (0)   "
            "rhythm 97.0 %   alarms 2 of 3   slowest 6.3 s"
        )
        for k, kind in enumerate(
            ["hr_high", "pause", "svt", "bigeminy", "r_on_t", "nonsustained_vt"]
        ):
            streams.send(
                streams.alarm("a", kind, 3 + k, text=f"{kind} with a long text of its own")
            )
        expect(page.locator(".alarms .line")).to_have_count(3)
        expect(page.locator(".alarms .more")).to_have_text("+3")
        expect(page.locator(".alarm-list li")).to_have_count(6)
        shot(page, "many-alarms")


@pytest.mark.parametrize(("density", "speed", "gain"), [(1, 25, 10), (2, 50, 20)])
def test_a_pulse_of_1_mv_and_1_s_measures_what_the_paper_says(
    browser: Browser, density: int, speed: int, gain: int
) -> None:
    """Pixels of a screenshot, at the pixels per millimetre that a person has set: 10 mm by 25 mm at
    25 mm/s and 10 mm/mV."""
    px_per_mm = 4.3 * density  # of the screen
    story = Story("pulse", pulses=True, fs_hz=500.0)
    with (
        ward([story], behind_s=32.0) as (server, _),
        opened(
            browser,
            f"{server.url}patient?id=pulse",
            device_scale_factor=density,
            color_scheme="light",
        ) as page,
    ):
        set_prefs(page, screenMm=px_per_mm, speed=speed, gain=gain, theme="light")
        expect(page.locator(".tools .scale")).to_have_text(f"{speed} mm/s   {gain} mm/mV")
        expect(page.locator(".fact .quality")).not_to_have_text("--")
        eventually(page, lambda: painted(page, ".trace"), lambda pixels: pixels > 1000)
        page.locator("main").focus()
        pulse = eventually(page, lambda: paused(page, lambda: pulse_px(middle_row(page))), bool)
        shot(page, f"pulse-{density}")
    assert pulse
    width, height = pulse
    assert abs(width / px_per_mm - speed) < 2 / px_per_mm + 0.1 * density / px_per_mm
    assert abs(height / px_per_mm - gain) < 2 / px_per_mm


def paused(page: Page, look: Callable[[], T]) -> T:
    """What is seen while the page is paused."""
    page.keyboard.press("Space")
    expect(page.locator(".badge")).to_be_visible()
    seen = look()
    page.keyboard.press("Space")
    expect(page.locator(".badge")).to_be_hidden()
    return seen


def middle_row(page: Page) -> np.ndarray:
    """Mask (y, x) of the pixels of the trace, dark green, in the middle one of three rows."""
    image = np.asarray(
        Image.open(io.BytesIO(page.locator(".rows").screenshot())).convert("RGB")
    ).astype(int)
    row = image[image.shape[0] // 3 : image.shape[0] * 2 // 3]
    return (row[..., 1] - row[..., 0] > 40) & (row[..., 1] < 200)


def pulse_px(trace: np.ndarray) -> tuple[float, float] | None:
    """(width, height) in pixels of a pulse in a mask of painted pixels: between the middles of
    flanks and of levels; None without."""
    rows = trace.sum(axis=1)
    # the upper one may be a sixth as long as the lower one, flanks are far shorter
    level = np.flatnonzero(rows > rows.max() * 0.1)
    if level.size == 0 or level[-1] - level[0] < 12:
        return None
    top, base = level[[0, -1]]
    levels = [
        np.average(np.arange(a, b), weights=rows[a:b])
        for a, b in ((top, top + 6), (base - 5, base + 1))
    ]
    flanks = np.flatnonzero(trace[(top + base) // 2 - 3 : (top + base) // 2 + 3].all(axis=0))
    middles = [
        group.mean()
        for group in np.split(flanks, np.flatnonzero(np.diff(flanks) > 1) + 1)
        if group.size
    ]
    pairs = [
        (up, down)
        for up, down in pairwise(middles)
        if trace[top : top + 6, round((up + down) / 2)].any()
    ]
    return (pairs[0][1] - pairs[0][0], levels[1] - levels[0]) if pairs else None


def test_the_screen_is_measured_with_a_ruler_and_remembered(
    browser: Browser, eight_beds: Server
) -> None:
    with opened(browser, eight_beds.url + BED_3) as page:
        expect(page.locator(".tools .scale")).to_contain_text("≈ 25 mm/s")
        page.keyboard.press(",")
        bar = page.locator(".ruler")
        box = bar.bounding_box()
        assert box
        page.mouse.move(box["x"] + box["width"] - 3, box["y"] + 10)
        page.mouse.down()
        page.mouse.move(box["x"] + 447, box["y"] + 10, steps=4)
        page.mouse.up()
        expect(page.locator(".calibration output")).to_have_text("450.0 px for 100 mm")
        page.keyboard.press("Escape")
        expect(page.locator(".tools .scale")).to_have_text("25 mm/s   10 mm/mV")
        page.reload()
        expect(page.locator(".rows")).to_be_visible()
        # whole squares of 5 mm fill the column
        wide = page.locator(".rows").evaluate("e => e.getBoundingClientRect().width")
        column = page.locator(".chart").evaluate("e => e.clientWidth")
        assert wide == pytest.approx(5 * 4.5 * (column // (5 * 4.5)), abs=0.1)


PLAYHEAD = """
async ([length, jitter, pace, seconds]) => {
  const { Playhead } = await import('/static/trace/playhead.js');
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


def test_the_trace_moves_evenly_a_short_time_behind_the_signal(
    browser: Browser, eight_beds: Server
) -> None:
    with opened(browser, eight_beds.url) as page:
        for length, jitter, pace in [
            (0.5, 0.0, 1),
            (0.5, 0.15, 1),
            (0.2, 0.1, 1),
            (1.0, 0.2, 1),
            (0.5, 0.05, 10),
            (0.5, 0.05, 0.5),
        ]:
            moved = page.evaluate(PLAYHEAD, [length, jitter, pace, 30])
            case = (length, jitter, pace, moved)
            assert moved["stood"] == 0, case
            assert moved["least"] > 0.8, case
            assert moved["most"] < 1.2, case
            assert moved["behind"] < length + pace * (0.25 + jitter + 0.2), case
