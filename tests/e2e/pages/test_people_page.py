"""Admit, wear, transfer, discharge, re-admit on the page: the tile and the limits follow the person."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from playwright.sync_api import Browser, Page, expect

from ingest.embedded import EmbeddedBroker
from tests.e2e.monitor_browser import Server, eventually, opened, set_prefs, shot, tile
from tests.integration.devices.ingest_bench import Sender, journal, running


@contextmanager
def worn(url: str, token: str) -> Iterator[list[int]]:
    """A device that sends half seconds; a stream that is over goes on as a new one."""
    stop, answers = threading.Event(), list[int]()

    def send() -> None:
        sender, number = Sender(url, token), 0
        while not stop.wait(0.25):
            answers.append(sender.send(number).status_code)
            if answers[-1] == 202:
                number += 1
            elif number:
                sender, number = Sender(url, token), 0
            else:
                sender.start_ns = time.time_ns()

    thread = threading.Thread(target=send)
    thread.start()
    yield answers
    stop.set()
    thread.join(30)


def admit(
    page: Page, patient: str, name: str, bed: str, device: str = "", profile: str = ""
) -> None:
    form = page.locator("form.admit")
    fields = {"patient": patient, "name": name, "bed": bed, "device": device, "profile": profile}
    for field, text in fields.items():
        form.locator(f"[name={field}]").fill(text)
    form.get_by_text("Admit").click()
    expect(page.locator(f'[data-patient="{patient}"]')).to_be_visible()


def high_limit(url: str, patient: str) -> tuple[float, float]:
    """The heart rate's upper limit that holds, and the profile's."""
    fields = httpx.get(f"{url}api/patients/{patient}/limits").json()["fields"]
    (found,) = [f for f in fields if f["name"] == "hr_high_bpm"]
    return found["value"], found["default"]


def test_admit_wear_transfer_discharge_readmit(browser: Browser) -> None:
    with EmbeddedBroker() as embedded, running(embedded.address) as ingest:
        monitor = Server(embedded.address)
        with opened(browser, monitor.url) as page:
            set_prefs(page, name="Kim")
            page.on("dialog", lambda asked: asked.accept())
            page.get_by_role("button", name="Patients …").click()
            page.locator("form.add-device [name=device]").fill("h10-1")
            page.get_by_role("button", name="Add device").click()
            token = page.locator("code.token").inner_text()
            expect(page.locator("svg.code path")).to_have_attribute("d", re.compile("^M4 4h1"))
            admit(page, "ada", "Ada L.", "3", device="h10-1", profile="paediatric")
            shot(page, "people")
            with worn(ingest.url, token) as answers:
                expect(tile(page, "ada").locator(".name")).to_have_text("3 · Ada L.")
                row = page.locator('[data-patient="ada"]')
                row.get_by_label("Bed of ada").fill("5")
                row.get_by_role("button", name="Transfer").click()
                expect(tile(page, "ada").locator(".name")).to_have_text("5 · Ada L.")
                eventually(page, lambda: high_limit(monitor.url, "ada"), lambda v: v == (160, 160))
                row.get_by_role("button", name="Discharge").click()
                expect(tile(page, "ada")).to_have_count(0)
                eventually(page, lambda: answers[-1], lambda code: code == 409)
                admit(page, "bob", "Bob M.", "5", device="h10-1")
                expect(tile(page, "bob").locator(".name")).to_have_text("5 · Bob M.")
                expect(tile(page, "ada")).to_have_count(0)
                assert high_limit(monitor.url, "bob") == (120, 120)
                admit(page, "ada", "", "3")
                expect(page.locator('[data-patient="ada"] .who')).to_have_text(
                    "Ada L. · paediatric"
                )
                assert high_limit(monitor.url, "ada") == (160, 160)
                with opened(browser, monitor.url + "patient?id=ada") as other:
                    set_prefs(other, name="Kim")
                    expect(other.locator(".fact .range")).to_have_text("75–160")
                    other.keyboard.press("l")
                    other.get_by_label("Profile").select_option("adult")
                    expect(other.locator(".profile .feedback")).to_have_text("Changed")
                    high = other.locator('tr[data-name="hr_high_bpm"]').get_by_role("textbox")
                    expect(high).to_have_value("120")
                # she wears nothing yet, and is not forgotten
                expect(tile(page, "ada").locator(".reason")).to_have_text("no signal yet")
                problem = page.locator(".people .problem")
                page.locator("form.admit [name=patient]").fill("eve")
                page.locator("form.admit [name=bed]").fill("5")
                page.locator("form.admit").get_by_text("Admit").click()
                expect(problem).to_contain_text("'bob' is in bed '5'")
        monitor.stop()
        kinds = [(e.kind, e.by) for e in journal(embedded.address) if e.patient_id == "ada"]
    assert kinds == [
        ("admitted", "Kim"),
        ("device assigned", "Kim"),
        ("transferred", "Kim"),
        ("discharged", "Kim"),
        ("device released", "Kim"),
        ("admitted", "Kim"),
        ("edited", "Kim"),
    ]
