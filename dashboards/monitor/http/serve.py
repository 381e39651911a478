"""Listening: a socket, uvicorn on it, and the address to tell."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from ingest.errors import BadInputError


async def serve(app: ASGIApp, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until interrupted or cancelled; `announce` gets the page's address once it answers.

    Raises BadInputError where it cannot listen.
    """
    listening = listen(host, port)
    server = _Server(app, lambda: announce(address(host, listening)))
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
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128
        )
    except OSError as error:
        raise BadInputError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            "Give another --port (0 takes a free one) or --host.",
        ) from error


def address(host: str, listening: socket.socket) -> str:
    """What to type into a browser."""
    shown = f"[{host}]" if ":" in host else {"0.0.0.0": "127.0.0.1"}.get(host, host)
    return f"http://{shown}:{listening.getsockname()[1]}/"


class _Server(uvicorn.Server):
    """uvicorn, quiet, that tells when it answers."""

    def __init__(self, app: ASGIApp, announce: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                ws_per_message_deflate=False,  # samples hardly shrink, and the page is near
                ws_max_size=64 * 1024,
                timeout_graceful_shutdown=1,
            )
        )
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()
