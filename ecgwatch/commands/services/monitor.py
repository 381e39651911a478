"""ecgwatch monitor: the ward in a browser."""

from __future__ import annotations

import asyncio
import contextlib
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgwatch import options, settings
from ecgwatch.called import command
from ingest.clock import SystemClock
from ingest.errors import BadInputError

if TYPE_CHECKING:
    from dashboards.monitor.http.access import Token

DEFAULT_PORT = 8050
TOKENS_FILE = Path("var/tokens.toml")


class Role(StrEnum):
    """Rights of a token; each role includes the one before it."""

    VIEW = "view"
    ACKNOWLEDGE = "acknowledge"
    ADMIN = "admin"


Host = Annotated[
    str,
    typer.Option("--host", help="Address to listen on; beyond this machine tokens are required."),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--name", metavar="HOST", help="A name this server goes by (again for more)."),
]
Tokens = Annotated[
    Path | None,
    typer.Option("--tokens", metavar="FILE", help="File of tokens (ECGWATCH_MONITOR_TOKENS)."),
]
NewToken = Annotated[
    str | None,
    typer.Option(
        "--new-token",
        metavar="NAME",
        help="Print a new token, add its hash to the tokens file, and end.",
    ),
]
Allowed = Annotated[
    Role | None,
    typer.Option(
        "--role", help="What the new token allows: look; also acknowledge; also set limits."
    ),
]

WithIngest = Annotated[
    bool,
    typer.Option("--ingest", help="Also take samples from devices, and serve the phone's page."),
]


def monitor(
    host: Host = "127.0.0.1",
    port: options.Port = DEFAULT_PORT,
    name: Names = None,
    tokens: Tokens = None,
    new_token: NewToken = None,
    role: Allowed = None,
    certificate: options.Certificate = None,
    key: options.Key = None,
    with_ingest: WithIngest = False,
    broker: options.Broker = None,
    sink: options.Sink = None,
) -> None:
    """Show the ward in a browser: live traces, heart rate, rhythm and alarms. Prints the page's
    address; Ctrl-C ends it."""
    chosen, _ = settings.load(
        {
            "broker": broker,
            "sink": sink,
            "monitor_tokens": None if tokens is None else str(tokens),
            "tls_certificate": certificate,
            "tls_key": key,
        }
    )
    if new_token is not None or role is not None:
        _make_token(chosen, new_token, role)
        return
    from dashboards.monitor.http.access import Access
    from dashboards.monitor.http.guard import LOOPBACK_NAMES, is_loopback
    from dashboards.monitor.http.serve import serve
    from dashboards.monitor.http.server import create_app
    from dashboards.monitor.live.feed import KafkaFeed
    from dashboards.monitor.store.readers import processes, threads
    from ecgwatch.ingesting import Ingest
    from ecgwatch.stores import load_profiles, open_sink
    from ingest.operator import OperatorOutlet
    from ingest.registry.device_states import read_states
    from ingest.registry.reader import RegistryFollower
    from ingest.server import tls
    from stream_processor.notifications.push_store import PushStore

    known = _tokens(chosen)
    if not known and not is_loopback(host):
        raise BadInputError(
            f"--host {host} is reached from other machines, and there are no tokens: everybody could see and silence the patients' alarms",
            "Make a token: ecgwatch monitor --new-token NAME --role admin. Then name its file: --tokens var/tokens.toml.",
        )
    open_sink(chosen).close()  # fail at once, not on the page, if the store cannot be opened
    clock, files = SystemClock(), tls.check_tls(chosen.tls_certificate, chosen.tls_key)
    follower = RegistryFollower(chosen.kafka)
    beside = Ingest(chosen, clock) if with_ingest else None
    app = create_app(
        KafkaFeed(chosen.kafka, clock),
        partial(open_sink, chosen),
        clock,
        send=OperatorOutlet(chosen.kafka).send,
        profiles=load_profiles(chosen),
        access=Access(known, clock, partial(_tokens, chosen, again=True)),
        hosts=[*LOOPBACK_NAMES, host, *(name or [])],
        addresses=not is_loopback(host),
        commands=[
            command(*what, "--broker", chosen.broker)
            for what in (("simulate", "normal"), ("replay", "mitdb/208"))
        ],
        readers=threads if chosen.sink == "memory:" else processes,
        registry=lambda: follower.registry,
        read_states=partial(read_states, chosen.kafka),
        join_url=chosen.join_url or ("/join" if beside else ""),
        push=PushStore(Path(chosen.push).expanduser()),
        more=beside.routes if beside else (),
    )

    async def run() -> None:
        async with beside.running() if beside else contextlib.nullcontext():
            await serve(app, host, port, lambda url: typer.echo(f"monitor: {url}"), files)

    follower.begin()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(run())
    finally:
        follower.stop()


def _make_token(chosen: settings.Settings, name: str | None, role: Role | None) -> None:
    from dashboards.monitor.http.access import add_token

    if name is None or role is None:
        raise BadInputError(
            "--new-token and --role go together",
            "ecgwatch monitor --new-token NAME --role view|acknowledge|admin",
        )
    path = Path(chosen.monitor_tokens or TOKENS_FILE)
    typer.echo(add_token(path, name, role.value))
    typer.echo(
        f"This is the token of {name} ({role.value}); it is shown only now. {path} keeps its hash.",
        err=True,
    )


def _tokens(chosen: settings.Settings, *, again: bool = False) -> dict[str, Token]:
    """Return the accepted tokens; none if neither a file nor a token is set. `again`: they were
    read before, and all may have been revoked since."""
    from dashboards.monitor.http.access import read_tokens, single_token

    found = (
        read_tokens(Path(chosen.monitor_tokens), may_be_empty=again)
        if chosen.monitor_tokens
        else {}
    )
    return found | (single_token(chosen.monitor_token) if chosen.monitor_token else {})
