"""`ecgwatch gateway`: links wearable devices to an ingest server."""

from __future__ import annotations

import logging
import signal
import tomllib
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import settings
from ingest.clock import SystemClock
from ingest.errors import BadInputError
from ingest.health import Health, serving_health

FORMS = (
    "h10, movesense, heartrate or lsl, with :NAME or :ADDRESS behind it if there are several; "
    "movesense:NAME@UV sets microvolts per count; mqtt://HOST/TOPIC; MODULE:CLASS:ADDRESS."
)
LOG = "gateway.log"
LOG_BYTES, LOG_FILES = 5_000_000, 4

Named = tuple[str, str]  # what the user calls a device, and its token


def gateway(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE]...", help=f"{FORMS} Default: h10.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="The ingest server: http(s)://, or ws(s):// to send by WebSocket (ECGWATCH_INGEST_URL).",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(help="The device's token, from `devices add` (ECGWATCH_DEVICE_TOKEN)."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--devices", metavar="FILE", help="Several devices, each with its token."),
    ] = None,
    spool: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for unsent samples and the log.")
    ] = Path("var/gateway"),
    spool_mb: Annotated[
        int, typer.Option(min=10, help="Disk for it; beyond, the oldest signal is dropped.")
    ] = 2000,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File for everything the device sends, byte for byte."),
    ] = None,
) -> None:
    """Link wearable devices, and send their samples. With --record and no token: only record."""
    chosen, _ = settings.load({"ingest_url": server, "device_token": token})
    named = _from_file(file) if file else [(d, chosen.device_token) for d in devices or ["h10"]]
    _check(named, devices if file else None, record)
    url = chosen.ingest_url if named[0][1] else ""
    _run(named, url, spool, spool_mb, record, chosen.metrics)


def _check(named: list[Named], beside: list[str] | None, record: Path | None) -> None:
    tokens = [token for _, token in named]
    if beside:
        raise BadInputError("devices are named twice: here and in --devices", "Name them once.")
    if not all(tokens) and (record is None or any(tokens)):
        remedy = "Get one: ecgwatch devices add NAME. To record only: --record FILE and no token."
        raise BadInputError(f"no token for {next(d for d, t in named if not t)}", remedy)
    if len(named) > 1 and (record is not None or len(set(tokens)) < len(tokens)):
        raise BadInputError(
            "several devices need a token each, and are recorded one at a time",
            "Write a devices file (docs/devices.md), or name one device.",
        )


def _from_file(path: Path) -> list[Named]:
    """Read the devices of a TOML file: [[device]] with source and token."""
    remedy = 'Write [[device]] with source = "h10:NAME" and token = "..." for each.'
    try:
        listed = tomllib.loads(path.read_text())["device"]
        return [(str(one["source"]), str(one["token"])) for one in listed]
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise BadInputError(f"devices file {path}: {error}", remedy) from error


def _run(
    named: list[Named],
    server: str,
    spool: Path,
    spool_mb: int,
    record: Path | None,
    metrics_address: str,
) -> None:
    # The sources' libraries take a second to import.
    import asyncio

    from ingest.gateway.extra import library
    from ingest.gateway.gateway import Gateway, NamedDevice, held_by_this_process
    from ingest.gateway.recording import Recorder
    from ingest.gateway.sources import open_live
    from ingest.gateway.status import metrics, missing

    clock = SystemClock()
    sources = [open_live(device, clock) for device, _ in named]
    for source in sources:
        for package in source.needs:
            library(package, source.name)
    with held_by_this_process(spool):
        _log_to(spool / LOG)
        recorder = Recorder(record, named[0][0]) if record else None
        wanted = [
            NamedDevice(device, source, token, recorder)
            for (device, token), source in zip(named, sources, strict=True)
        ]

        async def run() -> None:
            whole = Gateway(wanted, server, spool, clock, budget_bytes=spool_mb * 10**6, show=_show)
            task, loop = asyncio.ensure_future(whole.run()), asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):  # Windows has no handlers of the loop's
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(task.cancel))
            health = Health(
                lambda: missing(whole.senders), lambda: metrics(whole.devices, whole.senders, clock)
            )
            try:
                with serving_health(metrics_address, health):
                    await task
            except asyncio.CancelledError:
                typer.echo("Ended. Unsent samples are kept in the spool.", err=True)

        where = f"to {server}" if server else "nowhere, only recording"
        typer.echo(f"linking {', '.join(d for d, _ in named)}; sending {where}; Ctrl-C ends it")
        asyncio.run(run())
        if recorder is not None:
            recorder.close()


def _show(lines: list[str]) -> None:
    for line in lines:
        typer.echo(line)


def _log_to(path: Path) -> None:
    """Write every event of the gateway as a JSON line, in a file of limited size."""
    from ingest.gateway.logs import JsonLines

    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
    handler.setFormatter(JsonLines())
    for name in ("ingest.gateway", "ecgwatch"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False
