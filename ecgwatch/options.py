"""Options that several commands share, typed once."""

from __future__ import annotations

from typing import Annotated, Any

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
Port = Annotated[
    int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes a free one.")
]


def page_port(default: int) -> Any:
    """Return the option for the page's port of a command that takes a free one by itself."""
    return typer.Option(
        "--port",
        min=0,
        max=65535,
        help=f"Port of the page; 0 takes a free one. Default: {default}, or a free one if it is taken.",
    )


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
Channel = Annotated[
    str | None,
    typer.Option(
        "--channel",
        metavar="NAME|INDEX",
        help="Default: the first that says ECG, else the first lead, else the only signal.",
    ),
]
SamplingHz = Annotated[
    float | None,
    typer.Option(
        "--fs", min=1, metavar="HZ", help="Sampling frequency of a text file that does not tell."
    ),
]
Unit = Annotated[
    str | None,
    typer.Option(
        "--unit",
        metavar="mV|uV|V|N/mV",
        help="Unit of the values, if the file's is missing or wrong; 200/mV: counts.",
    ),
]
_WHEN = "now, today, yesterday, -2h, -30m, -1d, or ISO 8601 (UTC unless an offset is given)"
From = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help=f"Begin of the period: {_WHEN}.")
]
To = Annotated[str, typer.Option("--to", metavar="TIME", help="End of the period, likewise.")]
End = Annotated[
    str | None,
    typer.Option("--to", metavar="TIME", help="End of the period, likewise (default: none)."),
]
By = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Name to record (default: your login name)."),
]
Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Reason to record.")]
