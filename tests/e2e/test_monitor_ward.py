"""The ward in a real Chromium: each state a tile can be in, order, filters, pages, keys."""

from __future__ import annotations

import msgspec
from playwright.sync_api import Browser, Page, Route, expect

from ingest.embedded import EmbeddedBroker
from stream_processor.kafka.event_producer import EventProducer, Letter
from tests.e2e.monitor_browser import STRIP, Server, eventually, opened, shot, tile, ward
from tests.e2e.monitor_fakes import LONG, Story, Ward


def test_a_ward_shows_each_patient_as_it_is(browser: Browser, eight_beds: Server) -> None:
    with opened(browser, eight_beds.url) as page:
        expect(page.locator(".tile")).to_have_count(8)
        expect(page.locator("#count")).to_have_text("8 patients")
        names = page.locator(".tile .name").all_text_contents()
        assert names == [f"Bed {k}" for k in (1, 2, 3, 4, 5, 6, 10)] + [LONG]
        sinus, fibrillation, lead_off, artefact, silent = (
            tile(page, f"Bed {k}") for k in (1, 4, 5, 6, 10)
        )
        expect(sinus.locator(".rate")).not_to_have_text("--")
        expect(sinus.locator(".rhythm")).to_have_text("Sinus")
        expect(sinus.locator(".range")).to_have_text("50–120")
        expect(sinus.locator(".head")).to_have_attribute("data-level", "")
        expect(tile(page, "Bed 3").locator(".pvcs")).to_contain_text("/min")
        expect(fibrillation.locator(".alarm")).to_have_text("*** VENTRICULAR FIBRILLATION")
        expect(fibrillation.locator(".more")).to_have_text("+1")
        expect(fibrillation.locator(".rate")).to_have_text("--")
        expect(fibrillation.locator(".reason")).to_have_text("no beats")
        expect(lead_off.locator(".technical")).to_have_text("Lead off: check electrode")
        expect(lead_off.locator(".alarm")).to_have_text("")
        expect(artefact.locator(".rate")).to_have_text("?")
        expect(artefact.locator(".reason")).to_have_text("artefact")
        expect(silent.locator(".alarm")).to_contain_text("*** ASYSTOLE 6 s")
        expect(tile(page, LONG).locator(".alarm")).to_have_text("** HR 134 > 120")
        expect(silent.locator(".reason")).to_contain_text("no data")
        shot(page, "ward-8", 1500)


def strip(page: Page, name: str) -> dict[str, float]:
    """What is painted of a patient's trace."""
    return dict(tile(page, name).evaluate(STRIP))


def test_a_trace_that_wanders_far_stays_in_sight(browser: Browser) -> None:
    with ward([Story("a", wander_mv=3.0)]) as (server, _), opened(browser, server.url) as page:
        expect(tile(page, "a").locator(".rate")).not_to_have_text("--")
        page.wait_for_timeout(4000)  # by then it has left the range that it began in
        shot(page, "wander")
        eventually(page, lambda: strip(page, "a")["columns"], lambda share: share > 0.9)


# When the page last got samples of a patient (by its number), and when a tile was first dead, in ms
# of the page's clock.
HEARD = """
window.heard = {};
window.WebSocket = class extends WebSocket {
  constructor(url) {
    super(url);
    this.addEventListener('message', ({ data }) => {
      if (data instanceof ArrayBuffer) heard[new DataView(data).getUint32(4, true)] = performance.now();
    });
  }
};
new MutationObserver(() => { window.died ??= document.querySelector('.tile.dead') ? performance.now() : undefined; })
  .observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['class'] });
"""


def test_a_stale_trace_is_grey_within_three_seconds_and_a_live_one_is_not(browser: Browser) -> None:
    with (
        ward([Story("lives"), Story("ends")]) as (server, streams),
        opened(browser, server.url) as page,
    ):
        page.add_init_script(HEARD)
        page.reload()
        expect(tile(page, "ends").locator(".rate")).not_to_have_text("--")
        eventually(page, lambda: strip(page, "ends")["coloured"], lambda share: share > 0.5)
        page.evaluate("window.died = undefined")  # tiles begin as dead ones
        streams.silence("ends")
        expect(tile(page, "ends")).to_have_class("tile dead")
        assert page.evaluate("died - Math.min(...Object.values(heard))") < 3000 + 1500
        eventually(page, lambda: strip(page, "ends")["coloured"], lambda share: share < 0.05)
        eventually(page, lambda: strip(page, "lives")["coloured"], lambda share: share > 0.5)
        expect(tile(page, "ends").locator(".rate")).to_have_text("--")
        expect(tile(page, "ends").locator(".rhythm")).to_have_text("--")
        expect(tile(page, "lives")).to_have_class("tile")


def test_a_patient_who_comes_later_gets_a_tile(browser: Browser) -> None:
    with ward([Story("a")]) as (server, _), opened(browser, server.url) as page:
        expect(tile(page, "a").locator(".rate")).not_to_have_text("--")
        with Ward(server.broker, [Story("b")]):
            expect(tile(page, "b").locator(".rate")).not_to_have_text("--")
        expect(page.locator(".tile .name")).to_have_text(["a", "b"])


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


def test_filters_and_order(browser: Browser, eight_beds: Server) -> None:
    with opened(browser, eight_beds.url) as page:
        expect(page.locator(".tile")).to_have_count(8)
        expect(page.locator("#chips .chip").first).to_be_visible()
        page.get_by_label("Rhythm").select_option("AFIB")
        expect(page.locator(".tile .name")).to_have_text(["Bed 2"])
        page.get_by_label("Rhythm").select_option("P")
        expect(page.locator(".note")).to_contain_text("No patient in the rhythm")
        page.get_by_role("button", name="Show all").click()
        expect(page.locator(".tile")).to_have_count(8)
        page.locator('.chip[data-level="high"]').click()
        expect(page.locator(".tile")).to_have_count(2)
        page.get_by_label("Alarm", exact=True).select_option("")
        expect(page.locator(".tile")).to_have_count(8)
        page.keyboard.press("Escape")
        page.get_by_label("Order").select_option("urgency")
        expect(page.locator(".tile .name").first).to_have_text("Bed 4")


# When the alarm was first on Bed 3's tile, and when that tile was first in its new place, in ms of
# the page's clock.
MOVED = """
() => {
  const first = () => document.querySelector('.tile .name').textContent;
  const alarm = () => [...document.querySelectorAll('.tile')].some((tile) => tile.textContent.includes('HR 140'));
  window.moved = { was: first() };
  new MutationObserver(() => {
    if (alarm()) moved.alarm ??= performance.now();
    if (first() !== moved.was) moved.tile ??= performance.now();
  }).observe(document.querySelector('.ward'), { subtree: true, childList: true, characterData: true });
}
"""


def test_by_urgency_a_tile_moves_only_after_two_seconds(browser: Browser) -> None:
    with (
        ward([Story(f"Bed {k}") for k in (1, 2, 3)]) as (server, streams),
        opened(browser, server.url) as page,
    ):
        expect(page.locator(".tile")).to_have_count(3)
        page.keyboard.press("o")
        expect(page.get_by_label("Order")).to_have_value("urgency")
        page.evaluate(MOVED)
        streams.send(streams.alarm("Bed 3", "hr_high", 2, text="HR 140 > 120"))
        expect(tile(page, "Bed 3").locator(".alarm")).to_have_text("** HR 140 > 120")
        expect(page.locator(".tile .name").first).to_have_text("Bed 3")
        assert page.evaluate("moved.was") == "Bed 1"
        assert page.evaluate("moved.tile - moved.alarm") > 1500


def test_a_held_back_alarm_is_listed_only_and_an_ended_one_leaves_the_tile(
    browser: Browser,
) -> None:
    with ward([Story("a")]) as (server, streams), opened(browser, server.url) as page:
        held = streams.alarm("a", "pause", 1, announced=False, text="PAUSE 2.4 s")
        short = streams.alarm("a", "hr_high", 2, text="HR 140 > 120")
        streams.send(held)
        streams.send(short)
        expect(tile(page, "a").locator(".alarm")).to_have_text("** HR 140 > 120")
        streams.send(msgspec.structs.replace(short, step="end", end_ns=short.raised_ns))
        expect(tile(page, "a").locator(".alarm")).to_contain_text("over")
        expect(tile(page, "a").locator(".alarm")).to_have_text("")
        page.goto(f"{server.url}patient?id=a")
        expect(page.locator(".alarm-list li")).to_have_count(2)
        expect(page.locator(".alarm-list li").nth(1)).to_contain_text("suppressed")


def test_a_lost_server_is_said_and_the_page_comes_back_by_itself(browser: Browser) -> None:
    with ward([Story("a")]) as (server, _), opened(browser, server.url) as page:
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
        eventually(page, lambda: strip(page, "a")["painted"], lambda pixels: pixels > 500)


def test_a_tile_stays_while_a_server_that_has_come_back_does_not_know_its_patient_yet(
    browser: Browser,
) -> None:
    with ward([Story("a")]) as (server, _), opened(browser, server.url) as page:
        expect(tile(page, "a").locator(".rate")).not_to_have_text("--")
        tile(page, "a").evaluate("tile => { tile.dataset.same = 'yes'; }")
        answers: list[bool] = []

        def nobody_at_first(route: Route) -> None:
            answers.append(bool(answers))
            known = (
                '{"total": 1, "offset": 0, "patients": [{"id": "a"}]}'
                if answers[-1]
                else '{"total": 0, "offset": 0, "patients": []}'
            )
            route.fulfill(body=known, content_type="application/json")

        server.stop()
        expect(tile(page, "a")).to_have_class("tile dead")
        page.route("**/api/patients?**", nobody_at_first)
        server.start()
        eventually(page, lambda: len(answers), lambda n: n >= 2)
        expect(tile(page, "a")).to_have_class("tile")
        expect(tile(page, "a")).to_have_attribute("data-same", "yes")


def test_an_empty_ward_says_which_command_to_copy_and_a_missing_broker_is_said(
    browser: Browser,
) -> None:
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


def test_refused_input_is_told_to_the_ward_in_words_that_help(browser: Browser) -> None:
    with ward([Story("Bed 1")]) as (server, _), opened(browser, server.url) as page:
        expect(tile(page, "Bed 1")).to_be_visible()
        expect(page.locator("#refused")).to_be_hidden()
        producer = EventProducer(server.broker)
        reason = "SampleChunk: fs_hz is not a number"
        producer.dead_letter(Letter(0, b"Bed 1", b"\xc1"), 0, reason)
        producer.settle(producer.mark())
        said = "1 message of Bed 1 could not be used in the last hour."
        remedy = "That signal is not watched: check the device."
        expect(page.locator("#refused")).to_have_text(f"{said} {remedy}")
        expect(page.locator("#refused")).to_have_attribute("title", reason)
        shot(page, "refused", 500)


def test_sixty_four_tiles_fit_one_screen_and_more_are_paged(browser: Browser) -> None:
    with (
        ward([Story(f"Bed {k}", bpm=50 + k) for k in range(1, 71)], seconds=120.0) as (server, _),
        opened(browser, server.url, 1920, 1080) as page,
    ):
        expect(page.locator(".tile")).to_have_count(64)
        expect(page.locator(".pager .where")).to_have_text("1–64 of 70")
        assert page.evaluate(
            "(v => v.scrollHeight <= v.clientHeight)(document.getElementById('view'))"
        ), "the tiles do not fit"
        shot(page, "ward-64", 3000)
        page.keyboard.press("PageDown")
        expect(page.locator(".tile")).to_have_count(6)
        expect(page.locator(".tile .name").first).to_have_text("Bed 65")
        page.get_by_label("Previous page").click()
        expect(page.locator(".tile")).to_have_count(64)


def test_one_patient_fills_the_screen_and_is_readable_from_afar(browser: Browser) -> None:
    with ward([Story("Bed 1")]) as (server, _), opened(browser, server.url, 1920, 1080) as page:
        expect(tile(page, "Bed 1").locator(".rate")).not_to_have_text("--")
        height = page.locator(".tile .rate").evaluate(
            "e => parseFloat(getComputedStyle(e).fontSize)"
        )
        assert height >= 200  # 5 cm on a 24-inch screen: a minute of arc per millimetre at 3 m
        shot(page, "ward-1", 1000)


def test_nothing_shifts_on_a_phone_and_everything_is_reachable(
    browser: Browser, eight_beds: Server
) -> None:
    with opened(browser, eight_beds.url, 390, 800) as page:
        expect(page.locator(".tile")).to_have_count(8)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        shot(page, "phone", 1000)
        tile(page, "Bed 3").click()
        expect(page.locator("h1")).to_have_text("Bed 3")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        shot(page, "phone-patient", 1000)
