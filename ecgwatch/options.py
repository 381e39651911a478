"""Options that several commands share, typed once."""

from __future__ import annotations

from typing import Annotated

import typer

Broker = Annotated[
    str | None,
    typer.Option("--broker", metavar="HOST:PORT", help="Kafka broker (ECGWATCH_BROKER)."),
]
Sink = Annotated[
    str | None,
    typer.Option(
        "--sink",
        metavar="sqlite:PATH|influxdb:URL",
        help="Where events are stored (ECGWATCH_SINK).",
    ),
]
Certificate = Annotated[
    str | None,
    typer.Option(
        "--certificate", metavar="PEM", help="Serve HTTPS with it (ECGWATCH_TLS_CERTIFICATE)."
    ),
]
Key = Annotated[
    str | None,
    typer.Option("--key", metavar="PEM", help="The certificate's key (ECGWATCH_TLS_KEY)."),
]
