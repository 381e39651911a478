"""Sends one notification to one recipient by Apprise (more than a hundred services:
https://github.com/caronc/apprise).

`Sender.send` blocks for as long as the service takes; Apprise's own limits bound each read, not the
whole call. The caller runs it in a thread and decides how long to wait (service.py). Apprise's
limit of the whole call is off, because it waits in a thread pool that all recipients would share:
one service that hangs would delay the others.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import apprise

from ingest.errors import BadInputError
from stream_processor.notifications.text import NotificationText

_MIN_SECRET = 3  # shorter parts of an address would blank out ordinary words


class _ThreadLog(logging.Handler):
    """Collects Apprise's log lines by thread.

    The logs that Apprise returns miss a line now and then: each call adds a handler to one logger
    and removes it, and `logging`, which walks the list of handlers, skips one if another thread
    removes its own meanwhile. This handler is never removed and stands before all of them.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._here = threading.local()

    def listen(self) -> list[str]:
        """Return a new list, to which every later line of this thread is added."""
        self._here.lines = lines = list[str]()
        return lines

    def emit(self, record: logging.LogRecord) -> None:
        """Add one line to the list of this thread."""
        getattr(self._here, "lines", []).append(record.getMessage())


_LOG = _ThreadLog()
_LOGGER = logging.getLogger("apprise")
_LOGGER.addHandler(_LOG)
_LOGGER.propagate = False  # its lines go into the Delivery, without addresses


class NotificationSender:
    """Sends to the recipients of a plan, given as name -> Apprise URL with the secrets in place.

    Raises BadInputError that names the recipient, never its address, if Apprise cannot read an
    address.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = dict(urls)
        self._idle: dict[str, list[apprise.Apprise]] = {
            name: [_open(name, url)] for name, url in urls.items()
        }

    def send(self, recipient: str, note: NotificationText) -> str:
        """Send a note; return "" if the service accepted it, otherwise the reason without the
        address.

        Safe to call from several threads.
        """
        idle = self._idle[recipient]
        # One object per thread at a time: plug-ins keep a session and a rate limit, without locks.
        try:
            service = idle.pop()
        except IndexError:
            service = _open(recipient, self._urls[recipient])
        warnings = _LOG.listen()
        result = service.notify(
            body=note.body,
            title=note.title,
            notify_type=note.tone,
            body_format=apprise.NotifyFormat.TEXT,
        )
        idle.append(service)
        if result:
            return ""
        return self._without_address(
            recipient, "; ".join(warnings) or "the service refused it without a reason"
        )

    def _without_address(self, recipient: str, text: str) -> str:
        url = urlsplit(self._urls[recipient])
        parts = [
            url.password,
            url.username,
            url.hostname,
            url.netloc,
            *url.path.split("/"),
            *url.query.split("&"),
        ]
        parts += [part.partition("=")[2] for part in url.query.split("&")]
        secrets = {
            form
            for part in parts
            if part
            for form in (part, unquote(part))
            if len(form) >= _MIN_SECRET
        }
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "...")
        return text[:300]


def _open(name: str, url: str) -> apprise.Apprise:
    service = apprise.Apprise(
        asset=apprise.AppriseAsset(app_id="ecgwatch", app_desc="ecgwatch", service_timeout=0)
    )
    if not service.add(url) or len(service) != 1:
        remedy = "`url` is one Apprise address; https://github.com/caronc/apprise/wiki lists how each service writes it."
        raise BadInputError(
            f"recipient {name!r}: Apprise does not know its url, or the url is incomplete", remedy
        )
    # A rate limit that a service asks for stays; the one that Apprise assumes for the others would
    # delay alarms.
    for plugin in service:
        if plugin.request_rate_per_sec == apprise.NotifyBase.request_rate_per_sec:
            plugin.request_rate_per_sec = 0.0
    return service
