"""Run uvicorn on a listening socket and announce the page's address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from dashboards.monitor.http.connections import TimedConnection
from ingest.errors import BadInputError
from ingest.server.tls import Tls
from ingest.wire import MAX_FRAME


async def serve(
    app: ASGIApp, host: str, port: int, announce: Callable[[str], None], tls: Tls | None = None
) -> None:
    """Serve until interrupted or cancelled, with TLS if a certificate is given; `announce` is
    called with the page's address once it answers.

    Raises BadInputError if it cannot listen.
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
    """The URL to type into a browser."""
    shown = f"[{host}]" if ":" in host else {"0.0.0.0": "127.0.0.1"}.get(host, host)
    return f"{'https' if tls else 'http'}://{shown}:{listening.getsockname()[1]}/"


class _Server(uvicorn.Server):
    """A uvicorn without its own log lines that signals when it answers."""

    def __init__(self, app: ASGIApp, announce: Callable[[], None], tls: Tls | None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                # no compression: samples hardly shrink, and the page is near
                ws_per_message_deflate=False,
                ws_max_size=MAX_FRAME,
                http=TimedConnection,
                # forwarded addresses are ignored: a client can write any address into that header
                proxy_headers=False,
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
