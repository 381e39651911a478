"""`ecgwatch monitor`: the ward in a browser."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from starlette.types import ASGIApp

from dashboards.monitor.feed import KafkaFeed
from dashboards.monitor.guard import hosts_for
from dashboards.monitor.server import create_app
from ecgwatch import options, settings
from ingest.clock import SystemClock
from ingest.errors import BadInputError
from stream_processor.sinks.base import Sink
from stream_processor.sinks.sqlite import SqliteSink

DEFAULT_PORT = 8050

Host = Annotated[str, typer.Option("--host", help="Address to listen on. Beyond this machine, whoever reaches it sees the patients.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")]


def monitor(host: Host = "127.0.0.1", port: Port = DEFAULT_PORT, broker: options.Broker = None, sink: options.Sink = None) -> None:
    """Show the ward in a browser: live traces, heart rate, rhythm and alarms."""
    chosen, _ = settings.load({"broker": broker, "sink": sink})
    asyncio.run(serve(chosen.broker, lambda: open_sink(chosen), host, port, lambda url: typer.echo(f"monitor: {url}")))


def open_sink(chosen: settings.Settings) -> Sink:
    """The store that the settings name."""
    scheme, _, place = chosen.sink.partition(":")
    if scheme == "sqlite" and place:
        return SqliteSink(Path(place).expanduser())
    raise BadInputError(f"sink {chosen.sink!r} cannot be read by the monitor", "Give --sink sqlite:PATH.")


async def serve(broker: str, sink: Callable[[], Sink], host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve the monitor until interrupted; `announce` gets the address once it answers. Raises BadInputError where it cannot listen."""
    clock = SystemClock()
    listening = listen(host, port)
    server = Server(create_app(KafkaFeed(broker, clock), sink, clock, hosts_for(host)), announce=lambda: announce(address(host, listening)))
    await server.serve(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises BadInputError naming the address and the remedy."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128)
    except OSError as error:
        raise BadInputError(
            f"cannot listen on {host} port {port}: {error.strerror}", "Give another --port (0 takes a free one) or --host."
        ) from error


def address(host: str, listening: socket.socket) -> str:
    """What to type into a browser."""
    shown = f"[{host}]" if ":" in host else {"0.0.0.0": "127.0.0.1"}.get(host, host)
    return f"http://{shown}:{listening.getsockname()[1]}/"


class Server(uvicorn.Server):
    """uvicorn, quiet, that tells when it answers."""

    def __init__(self, app: ASGIApp, announce: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws_per_message_deflate=False,
            ws_max_size=64 * 1024,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()
