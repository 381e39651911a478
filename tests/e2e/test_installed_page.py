"""The page as an app: Chromium would install it, and its real service worker shows what is pushed.

The push service between server and browser is not on this machine: Chromium's own tools hand the
worker the message that the notifier makes, and `subscribe` answers with keys made here. Encryption and
HTTP are tested in tests/unit/notifications/test_web_push.py.
"""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Browser, expect

from stream_processor.notifications.push_sender import payload
from stream_processor.notifications.push_store import PushStore
from stream_processor.notifications.text import NotificationText
from tests.e2e.monitor_browser import Server, eventually, opened, set_prefs, ward
from tests.e2e.monitor_fakes import Story

SUBSCRIBED = """
  let held = null;
  PushManager.prototype.subscribe = async function (options) {
    window.asked = options;
    held = {
      endpoint: "https://push.example.org/send/1",
      unsubscribe: async () => { held = null; return true; },
      toJSON: () => ({ endpoint: held.endpoint, keys: KEYS }),
    };
    return held;
  };
  PushManager.prototype.getSubscription = async () => held;
"""
KEYS = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}  # of RFC 8291


def test_chromium_would_install_the_page(browser: Browser, eight_beds: Server) -> None:
    with opened(browser, eight_beds.url) as page:
        page.evaluate("navigator.serviceWorker.ready")
        tools = page.context.new_cdp_session(page)
        manifest = tools.send("Page.getAppManifest")
        assert manifest["errors"] == []
        assert json.loads(manifest["data"])["name"] == "ecgwatch"
        found = tools.send("Page.getInstallabilityErrors")["installabilityErrors"]
        # a browser context of a test is incognito, and nothing is installed from there
        assert [e for e in found if e["errorId"] != "in-incognito"] == []


def test_the_service_worker_shows_an_alarm_and_opens_its_page(
    browser: Browser, eight_beds: Server
) -> None:
    note = NotificationText(
        "*** Bed 4: ASYSTOLE 6 s",
        "all",
        "failure",
        "Since: 12:00",
        "https://elsewhere.example.org/alarm?patient=Bed%204&id=a",
        "Bed 4:asystole:1",
    )
    with opened(browser, eight_beds.url, permissions=["notifications"]) as page:
        page.evaluate("navigator.serviceWorker.ready")
        tools = page.context.new_cdp_session(page)
        registrations: list[str] = []
        tools.on(
            "ServiceWorker.workerRegistrationUpdated",
            lambda event: registrations.extend(
                r["registrationId"] for r in event["registrations"] if not r["isDeleted"]
            ),
        )
        tools.send("ServiceWorker.enable")
        eventually(page, lambda: page.evaluate("0") or registrations, bool)
        tools.send(
            "ServiceWorker.deliverPushMessage",
            {
                "origin": eight_beds.url.rstrip("/"),
                "registrationId": registrations[-1],
                "data": payload(note).decode(),
            },
        )
        shown = """async () => {
          const registration = await navigator.serviceWorker.ready;
          return (await registration.getNotifications()).map(
            ({ title, body, tag, data, requireInteraction }) => ({ title, body, tag, data, requireInteraction }));
        }"""
        assert eventually(page, lambda: page.evaluate(shown), bool) == [
            {
                "title": note.title,
                "body": "Since: 12:00",
                "tag": note.tag,
                "data": {"url": note.link},
                "requireInteraction": True,
            }
        ]


def test_a_person_registers_this_browser_in_the_settings(browser: Browser, tmp_path: Path) -> None:
    store = PushStore(tmp_path)
    with ward([Story("Bed 1")]) as (beds, _):
        server = Server(beds.broker, push=store)
        with opened(browser, server.url, permissions=["notifications"]) as page:
            page.add_init_script(SUBSCRIBED.replace("KEYS", json.dumps(KEYS)))
            set_prefs(page, name="Ada")
            expect(page.locator(".tile")).to_be_visible()
            page.keyboard.press(",")
            box = page.get_by_label("Tell me also when no page is open")
            box.check()
            expect(page.get_by_text("Registered as Ada.")).to_be_visible()
            assert page.evaluate("window.asked") == {
                "userVisibleOnly": True,
                "applicationServerKey": store.public_key(),
            }
            assert [s.keys.auth for s in store.of("Ada")] == [KEYS["auth"]]
            box.uncheck()
            expect(page.get_by_text("Ended.")).to_be_visible()
            assert store.of("*") == []
        server.stop()
