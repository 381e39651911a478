"""Alarms on the page: how they look, what a person does about them, what comes back, and how they
sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import msgspec
from playwright.sync_api import Browser, Page, expect

from dashboards.words import WORDS
from ingest.messages import AlarmKind, RhythmLabel
from tests.e2e.monitor_answers import Answers
from tests.e2e.monitor_browser import Server, opened, set_prefs, shot, tile, until, ward
from tests.e2e.monitor_fakes import Story, Ward

FLASH = "e => getComputedStyle(e).animationName + ' ' + getComputedStyle(e).animationDuration"
FILL = "e => getComputedStyle(e).backgroundColor"


@contextmanager
def alarming(
    browser: Browser, path: str = "", **prefs: object
) -> Iterator[tuple[Page, Ward, Answers]]:
    """A patient with a high and a medium alarm, somebody called Ada before the screen, and a
    processor that answers."""
    with ward([Story("Bed 1"), Story("Bed 2")]) as (server, streams):
        alarms = [
            streams.alarm(
                "Bed 1",
                "ventricular_tachycardia",
                3,
                priority="high",
                latching=True,
                text="VT 7 BEATS",
            ),
            streams.alarm("Bed 1", "hr_high", 4, text="HR 134 > 120"),
        ]
        with (
            Answers(streams, server.broker, alarms) as answers,
            opened(browser, server.url + path) as page,
        ):
            set_prefs(page, **({"name": "Ada"} | prefs))
            yield page, streams, answers


def test_the_page_says_rhythms_and_alarms_as_the_server_does(
    browser: Browser, eight_beds: Server
) -> None:
    assert set(WORDS["rhythms"]) == set(get_args(RhythmLabel))
    assert set(WORDS["alarms"]) == set(get_args(AlarmKind))
    with opened(browser, eight_beds.url) as page:
        options = page.get_by_label("Rhythm").locator("option")
        expect(options).to_have_text(
            ["Any rhythm", *(r["short"] for r in WORDS["rhythms"].values())]
        )


def test_high_flashes_at_2_hz_and_medium_at_0_6(browser: Browser, eight_beds: Server) -> None:
    with opened(browser, eight_beds.url) as page:
        expect(tile(page, "Bed 4").locator(".head")).to_have_attribute("data-state", "holds")
        assert tile(page, "Bed 4").locator(".head").evaluate(FLASH) == "high 0.5s"
        expect(tile(page, "Bed 2").locator(".head")).to_have_attribute("data-state", "holds")
        assert tile(page, "Bed 2").locator(".head").evaluate(FLASH) == "medium 1.6667s"
        expect(tile(page, "Bed 3").locator(".head")).to_have_attribute("data-level", "low")
        assert tile(page, "Bed 3").locator(".head").evaluate(FLASH).startswith("none")


def test_an_acknowledgement_is_told_at_once_and_done_when_it_comes_back(browser: Browser) -> None:
    with alarming(browser, "patient?id=Bed%201") as (page, _, answers):
        vt = page.locator(".alarm-list li").filter(has_text="VT 7 BEATS")
        line = page.locator(".alarms .line").filter(has_text="VT 7 BEATS")
        expect(line).to_have_attribute("data-state", "holds")
        expect(vt.get_by_role("button", name="Silence")).to_be_hidden()  # high ones never
        vt.get_by_role("button", name="Acknowledge").click()
        expect(vt).to_have_attribute("data-state", "acknowledged")
        expect(vt.locator(".feedback")).to_have_text("Acknowledged")
        expect(vt.locator(".state")).to_contain_text("acknowledged by Ada")
        expect(line).to_have_attribute("data-state", "acknowledged")
        assert line.evaluate(FILL) == "rgba(0, 0, 0, 0)"  # an outline
        assert [(a.action, a.by) for a in answers.taken] == [("acknowledge", "Ada")]
        shot(page, "acknowledged")


def test_silence_shows_the_time_left_and_resume_ends_it(browser: Browser) -> None:
    with alarming(browser, "patient?id=Bed%201") as (page, _, answers):
        hr = page.locator(".alarm-list li").filter(has_text="HR 134")
        hr.get_by_role("button", name="Silence 2 min").click()
        expect(hr.locator(".state")).to_contain_text("silenced for 1:")
        expect(page.locator("#silenced")).to_have_text("1")
        page.locator("a.up").click()
        expect(tile(page, "Bed 1").locator(".silence")).to_contain_text("1:")
        page.go_back()
        hr.get_by_role("button", name="Resume").click()
        expect(hr).to_have_attribute("data-state", "holds")
        expect(page.locator("#silenced")).to_be_hidden()
        assert [a.action for a in answers.taken] == ["silence", "resume"]


def test_the_key_a_acknowledges_the_worst_and_asks_for_a_name_once(browser: Browser) -> None:
    with alarming(browser, name="") as (page, _, answers):
        expect(tile(page, "Bed 1").locator(".alarm")).to_have_text("*** VT 7 BEATS")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("a")
        dialog = page.get_by_role("dialog", name="Who are you?")
        dialog.get_by_label("Your name").fill("Grace")
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        expect(page.locator("#who-name")).to_have_text("Grace")
        # what nobody has seen comes first
        expect(tile(page, "Bed 1").locator(".alarm")).to_have_text("** HR 134 > 120")
        expect(page.locator("#toast")).to_contain_text("Acknowledged · Bed 1")
        assert [a.by for a in answers.taken] == ["Grace"]


def test_no_answer_in_five_seconds_is_an_error(browser: Browser) -> None:
    with (
        ward([Story("Bed 1")]) as (server, streams),
        opened(browser, f"{server.url}patient?id=Bed%201") as page,
    ):
        set_prefs(page, name="Ada")
        streams.send(streams.alarm("Bed 1", "hr_high", 2, text="HR 140 > 120"))
        hr = page.locator(".alarm-list li").filter(has_text="HR 140")
        hr.get_by_role("button", name="Acknowledge").click()
        expect(hr.locator(".feedback")).to_have_text("Acknowledging: sent")
        expect(hr.locator(".feedback")).to_contain_text("no answer from the processor in 5 s")
        expect(hr).to_have_attribute("data-state", "holds")


def test_an_escalated_alarm_says_so_and_a_latched_one_stays_until_acknowledged(
    browser: Browser,
) -> None:
    with alarming(browser) as (page, streams, answers):
        vt = next(alarm for alarm in answers.alarms.values() if alarm.priority == "high")
        streams.send(msgspec.structs.replace(vt, step="escalated", level=1))
        expect(tile(page, "Bed 1").locator(".alarm")).to_have_text("*** VT 7 BEATS · re-alarmed ×1")
        answers.alarms[vt.id] = msgspec.structs.replace(
            vt, step="end", end_ns=vt.raised_ns + 4 * 10**9
        )
        streams.send(answers.alarms[vt.id])
        # the medium one, that holds
        expect(tile(page, "Bed 1").locator(".head")).to_have_attribute("data-state", "holds")
        expect(tile(page, "Bed 1").locator(".more")).to_have_text("+1")


def test_new_alarms_are_announced_to_those_who_listen(browser: Browser) -> None:
    with ward([Story("Bed 1")]) as (server, streams), opened(browser, server.url) as page:
        expect(tile(page, "Bed 1").locator(".rate")).not_to_have_text("--")
        streams.send(streams.alarm("Bed 1", "asystole", 5, priority="high", text="ASYSTOLE 5 s"))
        expect(page.locator('#announce[aria-live="assertive"]')).to_have_text(
            "high alarm, Bed 1: ASYSTOLE 5 s"
        )


TONES = """
window.started = [];
const start = OscillatorNode.prototype.start;
OscillatorNode.prototype.start = function (at) { window.started.push(this.frequency.value); return start.call(this, at); };
"""
MEDIUM = [440, 440, 440]
HIGH = [523, 523, 523, 659, 784] * 2


def test_tones_sound_only_when_turned_on_the_worst_wins_and_mute_counts_down(
    browser: Browser,
) -> None:
    with ward([Story("Bed 1")]) as (server, streams), opened(browser, server.url) as page:
        page.add_init_script(TONES)
        page.reload()
        streams.send(streams.alarm("Bed 1", "hr_high", 2, text="HR 140 > 120"))
        expect(tile(page, "Bed 1").locator(".alarm")).to_have_text("** HR 140 > 120")
        expect(page.locator("#sound")).to_have_text("Tones off")
        assert page.evaluate("started") == []
        page.locator("#sound").click()
        expect(page.locator("#sound")).to_have_text("Tones on")
        until(page, "started.slice(0, 3)", MEDIUM)
        streams.send(streams.alarm("Bed 1", "asystole", 5, priority="high", text="ASYSTOLE 5 s"))
        until(page, "started.slice(started.indexOf(523)).slice(0, 10)", HIGH)
        assert page.evaluate("started.indexOf(523) > started.lastIndexOf(440)")
        page.locator("main").focus()
        page.keyboard.press("m")
        expect(page.locator("#sound")).to_contain_text("Muted 1:")
        heard = page.evaluate("started")
        page.wait_for_timeout(7000)
        assert page.evaluate("started") == heard
        page.locator("#sound").click()
        expect(page.locator("#sound")).to_have_text("Tones off")


def test_all_alarms_of_a_patient_are_acknowledged_at_once(browser: Browser) -> None:
    with alarming(browser, "patient?id=Bed%201") as (page, _, answers):
        page.get_by_role("button", name="Acknowledge all 2").click()
        expect(page.locator('.alarm-list li[data-state="acknowledged"]')).to_have_count(2)
        expect(page.get_by_role("button", name="Acknowledge")).to_have_count(0)
        assert [(a.action, a.alarm_id) for a in answers.taken] == [("acknowledge", "")]
