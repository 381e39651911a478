"""ecgwatch demo: the whole product on this machine, with eight patients, by one command."""

from __future__ import annotations

import signal
import subprocess
import threading
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import settings
from ingest.clock import SystemClock
from ingest.errors import EcgwatchError
from ingest.messages import Alarm

FOLDER = Path("var/demo")
MARKS = {"high": "***", "medium": " **", "low": "  *"}


def demo(
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")
    ] = 8050,
    for_s: Annotated[
        float | None,
        typer.Option("--for", min=1, metavar="SECONDS", help="How long; default: until Ctrl-C."),
    ] = None,
) -> None:
    """Start broker, processor, store and page on this machine, with a ward of eight patients.
    Everything is in memory or in var/demo."""
    from ecgwatch.demo import Children, alarms, start_ward
    from ingest.embedded import EmbeddedBroker

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sink = f"sqlite:{_fresh_folder() / 'ecgwatch.db'}"
    clock = SystemClock()
    with EmbeddedBroker() as broker, Children(FOLDER) as children:
        children.start("process", "process", "--broker", broker.address, "--sink", sink)
        page = children.start(
            "monitor",
            "monitor",
            "--ingest",
            "--port",
            str(port),
            "--broker",
            broker.address,
            "--sink",
            sink,
            stdout=subprocess.PIPE,
        )
        start_ward(children, broker.address, _have)
        address = _first_line(page).removeprefix("monitor: ")
        children.check()
        typer.echo(
            f"The ward is at {address}\nAlarms follow as they come; Ctrl-C ends everything.\n"
        )
        if browser:
            webbrowser.open(address)
        end = None if for_s is None else clock.steady_s() + for_s

        def tick() -> None:
            children.check()
            if end is not None and clock.steady_s() >= end:
                stop.set()

        for alarm in alarms(broker.address, stop, tick):
            typer.echo(_line(alarm))
        typer.echo("Ending ...")
    typer.echo(f"Ended. Events are in {sink}, logs in {FOLDER}.")


def _fresh_folder() -> Path:
    """An empty var/demo: every demo starts with nothing behind it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in FOLDER.iterdir():
        path.unlink()
    return FOLDER


def _first_line(child: subprocess.Popen[bytes]) -> str:
    """Return the first line that a process prints; if it ends without one, wait for its end."""
    line = child.stdout.readline().decode().strip() if child.stdout else ""
    if not line:
        child.wait()
    return line


def _have(record: str) -> bool:
    """Return whether the record is available, or can be downloaded now."""
    from ingest.sources.open import open_source

    held, _ = settings.load({})
    try:
        open_source(record, data=held.data)
    except EcgwatchError:
        return False
    return True


def _line(alarm: Alarm) -> str:
    when = datetime.fromtimestamp(
        (alarm.end_ns if alarm.step == "end" and alarm.end_ns else alarm.raised_ns) / 1e9, UTC
    )
    what = {
        "end": " (over)",
        "escalated": " (calls again)",
        "acknowledged": f" (acknowledged by {alarm.acknowledged_by})",
    }
    return f"{when:%H:%M:%S}  {alarm.patient_id:8}  {MARKS[alarm.priority]} {alarm.text}{what.get(alarm.step, '')}"
