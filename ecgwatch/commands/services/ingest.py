"""ecgwatch ingest: the server that devices send to."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import options, settings
from ingest.clock import SystemClock
from ingest.errors import BadInputError

DEFAULT_PORT = 8060

Host = Annotated[str, typer.Option("--host", help="Address to listen on.")]
Names = Annotated[
    list[str] | None,
    typer.Option("--name", metavar="HOST", help="A name for --self-signed (again for more)."),
]
Mqtt = Annotated[
    str | None,
    typer.Option("--mqtt", metavar="mqtt://HOST:PORT", help="MQTT 5 broker (ECGWATCH_MQTT)."),
]
SelfSigned = Annotated[
    Path | None,
    typer.Option(
        "--self-signed",
        metavar="FOLDER",
        help="Make a certificate for trials, for each --name, in this folder, and end.",
    ),
]


def ingest(
    host: Host = "127.0.0.1",
    port: options.Port = DEFAULT_PORT,
    mqtt: Mqtt = None,
    certificate: options.Certificate = None,
    key: options.Key = None,
    self_signed: SelfSigned = None,
    name: Names = None,
    broker: options.Broker = None,
) -> None:
    """Take samples from devices by HTTP, WebSocket and MQTT, check them, and pass them on to Kafka.
    Devices need a token: ecgwatch devices add. Prints the address; Ctrl-C ends it."""
    from ingest.server import tls

    clock = SystemClock()
    if self_signed is not None:
        if not name:
            raise BadInputError(
                "--self-signed needs --name",
                "Name each host name and address: --name 192.168.1.20.",
            )
        made = tls.self_signed(self_signed, name, clock)
        typer.echo(f"--certificate {made.certificate} --key {made.key}")
        return
    chosen, _ = settings.load(
        {"broker": broker, "mqtt": mqtt, "tls_certificate": certificate, "tls_key": key}
    )
    from dashboards.monitor.http.guard import SafeHeaders
    from dashboards.monitor.http.phone import routes
    from dashboards.monitor.http.serve import serve
    from ecgwatch.ingesting import Ingest
    from ingest.server.app import create_app

    files = tls.check_tls(chosen.tls_certificate, chosen.tls_key)
    parts = Ingest(chosen, clock)

    async def run() -> None:
        async with parts.running():
            app = SafeHeaders(create_app(parts.service, routes()))
            await serve(app, host, port, lambda url: typer.echo(f"ingest: {url}"), files)

    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop()) as runner:
        runner.run(run())


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, if there is one on this system: half the CPU per message."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
