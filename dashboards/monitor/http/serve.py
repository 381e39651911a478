"""Listening: a socket, uvicorn on it, and the address to tell."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ingest.errors import BadInputError
from ingest.server.tls import Tls
from ingest.wire import MAX_FRAME

HEADERS_S = 15.0  # from the connection, or a request's first byte, to the end of its headers


async def serve(
    app: ASGIApp, host: str, port: int, announce: Callable[[str], None], tls: Tls | None = None
) -> None:
    """Serve until interrupted or cancelled, with TLS if a certificate is given; `announce` gets the
    page's address once it answers.

    Raises BadInputError where it cannot listen.
    """
    listening = listen(host, port)
    server = _Server(app, lambda: announce(address(host, listening, tls)), tls)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await asyncio.shield(serving)
    except asyncio.CancelledError:
        server.should_exit = True  # uvicorn does not clean up when it is cancelled
        await serving
        raise


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises BadInputError naming the address and the
    remedy."""
    try:
        return socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=1024
        )
    except OSError as error:
        raise BadInputError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            "Give another --port (0 takes a free one) or --host.",
        ) from error


def address(host: str, listening: socket.socket, tls: Tls | None = None) -> str:
    """What to type into a browser."""
    shown = f"[{host}]" if ":" in host else {"0.0.0.0": "127.0.0.1"}.get(host, host)
    return f"{'https' if tls else 'http'}://{shown}:{listening.getsockname()[1]}/"


class _Impatient(HttpToolsProtocol):
    """Closes a connection whose headers dawdle: it would hold its place for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEADERS_S, transport.close)

    def on_message_begin(self) -> None:
        self._timer.cancel()
        self._timer = self.loop.call_later(HEADERS_S, self.transport.close)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._timer.cancel()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    """uvicorn, quiet, that tells when it answers."""

    def __init__(self, app: ASGIApp, announce: Callable[[], None], tls: Tls | None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                ws_per_message_deflate=False,  # samples hardly shrink, and the page is near
                ws_max_size=MAX_FRAME,
                http=_Impatient,
                timeout_graceful_shutdown=1,
                ssl_certfile=tls.certificate if tls else None,
                ssl_keyfile=tls.key if tls else None,
            )
        )
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()
