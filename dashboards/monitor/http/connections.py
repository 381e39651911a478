"""Limit what clients can do by their connections alone: send slowly, hold connections open, open
many.

A request has REQUEST_S from its first byte (or from the connection) to its last one. Connections
that have not sent a whole request yet are few: beyond MOST_HALF_OPEN the oldest is closed, which
never hits a real client, because its request takes milliseconds. When this process has only
SPARE_FILES open files left, a new connection is refused: open ones continue.
"""

from __future__ import annotations

import asyncio
import resource
from collections import OrderedDict
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_S = 15.0
MOST_HALF_OPEN = 200
SPARE_FILES = 128  # reserved for the store's readers, the broker and served files


def most_connections() -> int:
    """Number of connections that may be open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(64, soft - SPARE_FILES) if soft != resource.RLIM_INFINITY else 100_000


class TimedConnection(HttpToolsProtocol):
    """A connection that is closed if its request is slow or if there are too many."""

    # half-open connections of this process, oldest first
    half_open: ClassVar[OrderedDict[TimedConnection, None]] = OrderedDict()
    most: ClassVar[int] = most_connections()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._wait()
        while len(self.half_open) > MOST_HALF_OPEN:
            oldest, _ = self.half_open.popitem(last=False)
            oldest.transport.abort()

    def on_message_begin(self) -> None:
        self._wait()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._whole()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._whole()
        super().handle_websocket_upgrade()

    def connection_lost(self, exc: Exception | None) -> None:
        self._whole()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Count the connection as half-open and start its timeout."""
        self._whole()
        self.half_open[self] = None
        self._timer = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _whole(self) -> None:
        """Count the connection as complete and stop its timeout."""
        self.half_open.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
