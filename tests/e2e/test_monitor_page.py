"""The page in a real Chromium: each state a person can meet, with a broker, a server and a made-up ward behind it."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dashboards.monitor.feed import KafkaFeed
from dashboards.monitor.serve import serve
from dashboards.monitor.server import create_app
from ingest.clock import SystemClock
from ingest.embedded import EmbeddedBroker
from stream_processor.sinks.memory import MemorySink
from tests.e2e.monitor_fakes import LONG, Story, Ward, eight

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
SHOTS = os.environ.get("MONITOR_SHOTS")  # a folder: keep pictures of what was tested, for a person to look at
WAIT_MS = 15_000

expect.set_options(timeout=WAIT_MS)


class Server:
    """The monitor on a thread of its own; can be stopped and started again on the same port."""

    def __init__(self, broker: str) -> None:
        self.broker = broker
        self.port = 0
        self.start()

    def start(self) -> None:
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(20)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self, ready: threading.Event) -> None:
        def announced(url: str) -> None:
            self.url = url
            self.port = int(url.rstrip("/").rsplit(":", 1)[1])
            ready.set()

        async def main() -> None:
            clock = SystemClock()
            app = create_app(KafkaFeed(self.broker, clock), MemorySink, clock, commands=["ecgwatch simulate normal"])
            self._task = asyncio.create_task(serve(app, "127.0.0.1", self.port, announced))
            await asyncio.gather(self._task, return_exceptions=True)

        self._loop.run_until_complete(main())
        self._loop.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        reason = f"no {CHROMIUM}; get it with: apt-get install chromium"
        pytest.fail(reason) if os.environ.get("ECGWATCH_REQUIRE_SERVICES") == "1" else pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, url: str, width: int = 1440, height: int = 810) -> Iterator[Page]:
    """A page that must not say a word on the console, but for a lost connection."""
    page = browser.new_page(viewport={"width": width, "height": height})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    yield page
    page.close()
    assert [text for text in said if "ERR_CONNECTION_REFUSED" not in text and "getImageData" not in text] == []


@contextmanager
def ward(stories: list[Story], **how: Any) -> Iterator[tuple[Server, Ward]]:
    with EmbeddedBroker() as broker, Ward(broker.address, stories, **how) as streams:
        server = Server(broker.address)
        yield server, streams
        server.stop()


@pytest.fixture(scope="module")
def eight_beds() -> Iterator[Server]:
    with ward(eight(), seconds=280.0) as (server, _):
        yield server


def tile(page: Page, name: str) -> Any:
    return page.locator(".tile").filter(has=page.locator(f'.name[title="{name}"]'))


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def lit(page: Page, selector: str) -> int:
    """Number of painted pixels of a canvas."""
    return int(
        page.locator(selector).first.evaluate(
            "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v > 60).length"
        )
    )


COLUMNS = """
(c, [from, to]) => {
  const { width, height } = c, data = c.getContext('2d').getImageData(0, 0, width, height).data;
  const top = Math.ceil(from * height), bottom = Math.floor(to * height);
  const painted = (x) => { for (let y = top; y < bottom; y++) if (data[4 * (y * width + x) + 3] > 60) return 1; return 0; };
  let n = 0;
  for (let x = 0; x < width; x++) n += painted(x);
  return n / width;
}
"""


def test_a_trace_that_wanders_far_stays_in_sight(browser: Browser) -> None:
    with ward([Story("a", wander_mv=3.0)], seconds=60.0) as (server, _), opened(browser, server.url) as page:
        expect(tile(page, "a").locator(".rate")).not_to_have_text("--")
        page.wait_for_timeout(4000)
        shot(page, "wander")
        assert page.locator(".strip canvas").evaluate(COLUMNS, [0.12, 1]) > 0.9
        page.goto(f"{server.url}patient?id=a")
        expect(page.locator(".big .rate")).not_to_have_text("--")
        page.wait_for_timeout(14_000)
        shot(page, "wander-patient")
        rows = [page.locator(".trace").evaluate(COLUMNS, [k / 3 + 0.04, (k + 1) / 3]) for k in range(3)]
        assert sorted(rows)[1] > 0.97, rows  # the third is the one being swept


def test_a_ward_shows_each_patient_as_it_is(browser: Browser, eight_beds: Server) -> None:
    with opened(browser, eight_beds.url) as page:
        expect(page.locator(".tile")).to_have_count(8)
        expect(page.locator("#count")).to_have_text("8 patients")
        names = page.locator(".tile .name").all_text_contents()
        assert names == [f"Bed {k}" for k in (1, 2, 3, 4, 5, 6, 10)] + [LONG]
        sinus, fibrillation, lead_off, artefact, silent = (tile(page, f"Bed {k}") for k in (1, 4, 5, 6, 10))
        expect(sinus.locator(".rate")).not_to_have_text("--")
        expect(sinus.locator(".rhythm")).to_have_text("Sinus")
        expect(sinus.locator(".head")).to_have_attribute("data-level", "")
        expect(fibrillation.locator(".alarm")).to_have_text("*** VENTRICULAR FIBRILLATION")
        expect(fibrillation.locator(".more")).to_have_text("+1")
        expect(fibrillation.locator(".rate")).to_have_text("--")
        expect(fibrillation.locator(".reason")).to_have_text("no beats")
        expect(lead_off.locator(".technical")).to_have_text("Lead off: check electrode")
        expect(lead_off.locator(".alarm")).to_have_text("")
        expect(artefact.locator(".rate")).to_have_text("?")
        expect(artefact.locator(".reason")).to_have_text("artefact")
        expect(silent.locator(".alarm")).to_contain_text("*** ASYSTOLE 6 s · over")
        expect(silent.locator(".head")).to_have_attribute("data-state", "latched")
        expect(tile(page, LONG).locator(".alarm")).to_have_text("** HR 134 > 120")
        expect(silent.locator(".reason")).to_contain_text("no data")
        page.wait_for_timeout(1500)
        shot(page, "ward-8")


def test_high_flashes_at_2_hz_and_medium_at_0_6(browser: Browser, eight_beds: Server) -> None:
    with opened(browser, eight_beds.url) as page:
        period = "e => getComputedStyle(e).animationName + ' ' + getComputedStyle(e).animationDuration"
        expect(tile(page, "Bed 4").locator(".head")).to_have_attribute("data-state", "holds")
        assert tile(page, "Bed 4").locator(".head").evaluate(period) == "high 0.5s"
        assert tile(page, "Bed 2").locator(".head").evaluate(period) == "medium 1.6667s"
        assert tile(page, "Bed 3").locator(".head").evaluate(period).startswith("none")
        assert tile(page, "Bed 10").locator(".head").evaluate(period).startswith("none")


def test_a_stale_trace_is_grey_within_three_seconds_and_a_live_one_is_not(browser: Browser) -> None:
    with ward([Story("lives"), Story("ends", silent_after_s=16.0)], seconds=60.0) as (server, streams), opened(browser, server.url) as page:
        grey = "e => getComputedStyle(e.querySelector('canvas')).filter"
        expect(tile(page, "ends").locator(".rate")).not_to_have_text("--")
        assert tile(page, "ends").evaluate(grey) == "none"
        expect(tile(page, "ends")).to_have_class("tile dead")
        assert time.time() - streams.start_s < 16 + 3 + 1.5
        assert "grayscale" in tile(page, "ends").evaluate(grey)
        expect(tile(page, "ends").locator(".rate")).to_have_text("--")
        expect(tile(page, "ends").locator(".rhythm")).to_have_text("--")
        expect(tile(page, "lives")).to_have_class("tile")


def test_keys_choose_open_and_come_back(browser: Browser, eight_beds: Server) -> None:
    with opened(browser, eight_beds.url) as page:
        expect(page.locator(".tile")).to_have_count(8)
        chosen = "document.activeElement.querySelector?.('.name')?.title"
        page.keyboard.press("ArrowRight")
        assert page.evaluate(chosen) == "Bed 1"
        for key, name in [
            ("ArrowRight", "Bed 2"),
            ("ArrowDown", "Bed 4"),
            ("ArrowLeft", "Bed 3"),
            ("End", LONG),
            ("ArrowDown", LONG),
            ("Home", "Bed 1"),
        ]:
            page.keyboard.press(key)
            assert page.evaluate(chosen) == name, key
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("Bed 1")
        assert page.url.endswith("/patient?id=Bed%201")
        page.keyboard.press("Escape")
        expect(page.locator(".tile")).to_have_count(8)
        expect(tile(page, "Bed 1")).to_be_focused()
        page.keyboard.press("/")
        page.keyboard.type("BED 1")
        expect(page.locator(".tile")).to_have_count(2)
        page.keyboard.press("Escape")
        expect(page.locator(".tile")).to_have_count(8)
        page.go_back()
        expect(page.locator("h1")).to_have_text("Bed 1")


def test_a_patient_with_trace_beats_numbers_and_alarms(browser: Browser, eight_beds: Server) -> None:
    with opened(browser, f"{eight_beds.url}patient?id=Bed%203") as page:
        expect(page.locator(".big .rate")).not_to_have_text("--")
        expect(page.locator(".rhythmline")).to_have_text("Sinus rhythm")
        expect(page.locator(".fact .rr")).not_to_have_text("--")
        expect(page.locator(".alarms .line")).to_have_text("* PVC 21 > 10")
        expect(page.locator("aside tr")).to_have_count(1)
        expect(page.locator("aside tr .state")).to_have_text("holds")
        expect(page.locator("#elsewhere")).to_have_text("*** Bed 4: VENTRICULAR FIBRILLATION")
        page.wait_for_timeout(2000)
        before = lit(page, ".trace")
        assert before > 3000
        shot(page, "patient")
        page.keyboard.press("5")
        expect(page.locator(".scale")).to_contain_text("40 mm/mV")
        page.locator("#elsewhere").click()
        expect(page.locator("h1")).to_have_text("Bed 4")


def test_a_held_back_alarm_is_listed_only_and_an_ended_one_leaves_the_tile(browser: Browser) -> None:
    with ward([Story("a")], seconds=60.0) as (server, streams), opened(browser, server.url) as page:
        held = streams.alarm("a", "pause", 1, announced=False, text="PAUSE 2.4 s")
        short = streams.alarm("a", "hr_high", 2, text="HR 140 > 120")
        streams.send(held)
        streams.send(short)
        expect(tile(page, "a").locator(".alarm")).to_have_text("** HR 140 > 120")
        streams.send(msgspec.structs.replace(short, step="end", end_ns=short.raised_ns))
        expect(tile(page, "a").locator(".alarm")).to_contain_text("over")
        expect(tile(page, "a").locator(".alarm")).to_have_text("")
        page.goto(f"{server.url}patient?id=a")
        expect(page.locator("aside tr")).to_have_count(2)
        expect(page.locator("aside tr").nth(1)).to_contain_text("held back")


def test_a_lost_server_is_said_and_the_page_comes_back_by_itself(browser: Browser) -> None:
    with ward([Story("a")], seconds=60.0) as (server, _), opened(browser, server.url) as page:
        expect(tile(page, "a").locator(".rate")).not_to_have_text("--")
        server.stop()
        expect(page.locator("#banner")).to_contain_text("No connection to the monitor's server")
        expect(tile(page, "a")).to_have_class("tile dead")
        expect(tile(page, "a").locator(".rate")).to_have_text("--")
        shot(page, "disconnected")
        server.start()
        expect(page.locator("#banner")).to_be_hidden()
        expect(tile(page, "a")).to_have_class("tile")
        expect(tile(page, "a").locator(".rate")).not_to_have_text("--")
        page.wait_for_timeout(1500)
        assert lit(page, ".strip canvas") > 500


def test_an_empty_ward_says_which_command_to_copy_and_a_missing_broker_is_said(browser: Browser) -> None:
    with EmbeddedBroker() as broker:
        server = Server(broker.address)
        with opened(browser, server.url) as page:
            expect(page.locator(".empty")).to_contain_text("No patient yet")
            expect(page.locator(".command code").first).to_have_text("ecgwatch simulate normal")
            expect(page.locator("#banner")).to_be_hidden()
            shot(page, "empty")
            broker.stop()
            expect(page.locator("#banner")).to_contain_text("cannot reach the Kafka broker")
        server.stop()


def test_sixty_four_tiles_fit_one_screen_and_more_are_paged(browser: Browser) -> None:
    with (
        ward([Story(f"Bed {k}", bpm=50 + k) for k in range(1, 71)], seconds=45.0) as (server, _),
        opened(browser, server.url, 1920, 1080) as page,
    ):
        expect(page.locator(".tile")).to_have_count(64)
        expect(page.locator("#where")).to_have_text("1–64 of 70")
        assert page.evaluate("(v => v.scrollHeight <= v.clientHeight)(document.getElementById('view'))"), "the tiles do not fit"
        page.wait_for_timeout(3000)
        shot(page, "ward-64")
        page.locator("#next").click()
        expect(page.locator(".tile")).to_have_count(6)
        expect(page.locator(".tile .name").first).to_have_text("Bed 65")


def test_nothing_shifts_on_a_phone_and_everything_is_reachable(browser: Browser, eight_beds: Server) -> None:
    with opened(browser, eight_beds.url, 390, 800) as page:
        expect(page.locator(".tile")).to_have_count(8)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.wait_for_timeout(1000)
        shot(page, "phone")
        tile(page, "Bed 3").click()
        expect(page.locator("h1")).to_have_text("Bed 3")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.wait_for_timeout(1000)
        shot(page, "phone-patient")


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
