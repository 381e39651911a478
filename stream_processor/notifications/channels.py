"""Chooses a recipient's channel by its address: `webpush:NAME` for the browsers that a person has
registered, everything else by Apprise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ingest.errors import BadInputError
from stream_processor.notifications.push_sender import SCHEME, PushSender
from stream_processor.notifications.sender import NotificationSender
from stream_processor.notifications.text import NotificationText


class NotificationChannels:
    """Sends to the recipients of a plan, given as name -> address with the secrets in place.
    `open_push` is called if any recipient is told by Web Push. Raises BadInputError for an address
    that cannot be used."""

    def __init__(self, urls: Mapping[str, str], open_push: Callable[[], PushSender]) -> None:
        self._names = {
            recipient: url.strip().removeprefix(SCHEME)
            for recipient, url in urls.items()
            if url.strip().startswith(SCHEME)
        }
        for recipient, name in self._names.items():
            if not name:
                raise BadInputError(
                    f"recipient {recipient!r}: {SCHEME} names nobody",
                    f"Write {SCHEME}NAME, by the name that the person signs with on the page, or {SCHEME}*.",
                )
        self._push = open_push() if self._names else None
        self._apprise = NotificationSender({r: u for r, u in urls.items() if r not in self._names})

    def send(self, recipient: str, note: NotificationText) -> str:
        """Send a note; return "" if the service accepted it, otherwise the reason without the
        address. Safe to call from several threads."""
        if self._push is not None and recipient in self._names:
            return self._push.send(self._names[recipient], note)
        return self._apprise.send(recipient, note)
