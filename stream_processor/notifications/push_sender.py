"""Sends notifications to the browsers that a person has registered, by Web Push."""

from __future__ import annotations

import hashlib
from typing import Protocol

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from ingest.clock import Clock
from stream_processor.notifications.push_store import Subscription
from stream_processor.notifications.text import NotificationText
from stream_processor.notifications.web_push import MOST_BYTES, authorization, encoded, encrypt

SCHEME = "webpush:"
TIMEOUT_S = 15.0
KEPT_S = 3600  # how long a push service keeps a message for a phone that is away
GONE = (404, 410)  # the browser has given its subscription back


class PushFolder(Protocol):
    """Where the key and the browsers are kept."""

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Return the installation's key."""

    def of(self, name: str) -> list[Subscription]:
        """Return a person's browsers."""

    def remove(self, endpoint: str) -> None:
        """Forget a browser."""


class PushSender:
    """Sends to every browser of a person. `contact`: an https: or mailto: address for the push
    services. Safe to call from several threads."""

    def __init__(self, folder: PushFolder, contact: str, clock: Clock) -> None:
        self._folder, self._contact, self._clock = folder, contact, clock
        self._key = folder.key()
        self._client = httpx.Client(timeout=TIMEOUT_S)

    def send(self, name: str, note: NotificationText) -> str:
        """Send a note to the browsers of a person ("*": of everybody); return "" if at least one
        push service took it, otherwise the reason without any address. Browsers that are gone are
        forgotten."""
        failures: list[str] = []
        taken = 0
        for browser in self._folder.of(name):
            failure = self._to(browser, note)
            taken += not failure
            failures += [failure] if failure else []
        if taken:
            return ""
        return "; ".join(dict.fromkeys(failures)) or f"no browser of {name} is registered"

    def _to(self, browser: Subscription, note: NotificationText) -> str:
        headers = {
            "Authorization": authorization(
                browser.endpoint, self._key, self._contact, self._clock.now_ns() / 1e9
            ),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(KEPT_S),
            "Urgency": "high" if note.tone == "failure" else "normal",
        }
        if note.tag:  # a later message about the same alarm takes the place of one that waits
            headers["Topic"] = encoded(hashlib.sha256(note.tag.encode()).digest()[:24])
        try:
            body = encrypt(payload(note), browser.keys.bytes)
            answer = self._client.post(browser.endpoint, content=body, headers=headers)
        except ValueError as error:
            return f"its keys cannot be used: {error}"
        except httpx.HTTPError as error:
            return f"{type(error).__name__} at the push service"
        if answer.is_success:
            return ""
        if answer.status_code in GONE:
            self._folder.remove(browser.endpoint)
            return "the browser has given its subscription back"
        return f"the push service answered {answer.status_code}"


def payload(note: NotificationText) -> bytes:
    """Return what the page's service worker shows; a text that is too long is cut."""
    body = note.short or note.body
    shown = {"title": note.title, "body": body, "url": note.link, "tag": note.tag}
    data = msgspec.json.encode({**shown, "urgent": note.tone == "failure"})
    if len(data) <= MOST_BYTES or not body:
        return data
    left = max(0, len(body) - (len(data) - MOST_BYTES))
    return payload(note._replace(short="", body=body[:left]))
