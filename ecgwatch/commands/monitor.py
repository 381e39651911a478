"""ecgwatch monitor: the ward in a browser."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

import typer

from ecgwatch import options, settings
from ingest.clock import SystemClock

DEFAULT_PORT = 8050

Host = Annotated[str, typer.Option("--host", help="Address to listen on. Beyond this machine, whoever reaches it sees the patients.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")]


def monitor(host: Host = "127.0.0.1", port: Port = DEFAULT_PORT, broker: options.Broker = None, sink: options.Sink = None) -> None:
    """Show the ward in a browser: live traces, heart rate, rhythm and alarms. Prints the page's address; Ctrl-C ends it."""
    from dashboards.monitor.feed import KafkaFeed
    from dashboards.monitor.guard import hosts_for
    from dashboards.monitor.serve import serve
    from dashboards.monitor.server import create_app
    from ecgwatch.stores import open_sink

    chosen, _ = settings.load({"broker": broker, "sink": sink})
    open_sink(chosen).close()  # a sink that cannot work is told at once, not on the page
    clock = SystemClock()
    commands = [f"ecgwatch {what} --broker {chosen.broker}" for what in ("simulate normal", "replay mitdb/208")]
    app = create_app(KafkaFeed(chosen.broker, clock), lambda: open_sink(chosen), clock, hosts_for(host), commands)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(app, host, port, lambda url: typer.echo(f"monitor: {url}")))
