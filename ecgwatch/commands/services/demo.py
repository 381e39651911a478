"""ecgwatch demo: the whole product on this machine, with eight patients, by one command."""

from __future__ import annotations

import signal
import subprocess
import threading
import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgwatch import options, settings
from ecgwatch.called import command
from ecgwatch.commands.services.ingest import DEFAULT_PORT as INGEST_PORT
from ecgwatch.commands.services.monitor import DEFAULT_PORT
from ecgwatch.ports import free_port
from ecgwatch.running_demo import RunningDemo, own_folder, publish_demo
from ingest.clock import SystemClock
from ingest.errors import EcgwatchError
from ingest.messages import Alarm

if TYPE_CHECKING:
    from ecgwatch.demo import Children

MARKS = {"high": "***", "medium": " **", "low": "  *"}
NEXT = (  # commands of a user's first minutes, which the demo prints
    ("a ninth patient", ("simulate", "vt", "--patient", "Bed 9")),
    ("alarms that stand", ("alarms", "list", "--standing")),
    ("acknowledge one", ("alarms", "ack", "Bed 5", "asystole")),
    ("a report of a patient", ("report", "Bed 3", "--out", "report.html")),
)


def demo(
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    port: Annotated[int | None, options.page_port(DEFAULT_PORT)] = None,
    for_s: Annotated[
        float | None,
        typer.Option("--for", min=1, metavar="SECONDS", help="How long; default: until Ctrl-C."),
    ] = None,
    lan: Annotated[
        bool, typer.Option("--lan", help="Let a phone in this network join: prints a code for it.")
    ] = False,
) -> None:
    """Start broker, processor, store and page on this machine, with a ward of eight patients.
    Everything is in memory or in var/demo."""
    with own_folder() as folder:
        _run(folder, browser, free_port(DEFAULT_PORT) if port is None else port, for_s, lan)


def _run(folder: Path, browser: bool, port: int, for_s: float | None, lan: bool) -> None:
    typer.echo("Starting (about 15 s): broker ...", err=True)
    from ecgwatch.demo import Children, alarms, start_ward
    from ecgwatch.lan import admit_phone, invitation
    from ingest.embedded import EmbeddedBroker

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    sink = f"sqlite:{(folder / 'ecgwatch.db').absolute()}"
    clock = SystemClock()
    with EmbeddedBroker() as broker, Children(folder) as children:
        typer.echo("  processor, store, page and patients ...", err=True)
        at = ("--broker", broker.address, "--sink", sink)
        children.start("process", "process", *at, "--workers", "1")
        url = _start_door(children, folder, broker.address) if lan else ""
        page = _start_page(children, port, broker.address, sink, f"{url}/join" if url else "")
        start_ward(children, broker.address, _have)
        address = _first_line(page).removeprefix("monitor: ")
        children.check()
        publish_demo(RunningDemo(broker.address, sink, address))
        _introduce(address, broker.address, sink)
        if url:
            typer.echo(invitation(url, admit_phone(broker.address)))
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
    typer.echo(
        f"Ended. Events are in {sink}, logs in {folder}, until the next demo begins. For example:\n"
        f"  {command('report', 'Bed 3', '--out', 'report.html', '--sink', sink)}"
    )


def _introduce(page: str, broker: str, sink: str) -> None:
    """Say where everything is, and which commands may come next."""
    typer.echo(f"The ward is at {page}\n  broker  {broker}\n  store   {sink}\n")
    typer.echo("In another terminal, in this folder (commands find this demo by themselves):")
    width = max(len(command(*words)) for _, words in NEXT)
    for what, words in NEXT:
        typer.echo(f"  {command(*words):<{width}}   # {what}")
    typer.echo("\nAlarms follow as they come; Ctrl-C ends everything.\n")


def _start_page(
    children: Children, port: int, broker: str, sink: str, join_url: str
) -> subprocess.Popen[bytes]:
    at = ("--port", str(port), "--broker", broker, "--sink", sink)
    environment = {"ECGWATCH_JOIN_URL": join_url} if join_url else {}
    return children.start(
        "monitor", "monitor", "--ingest", *at, stdout=subprocess.PIPE, environment=environment
    )


def _start_door(children: Children, folder: Path, broker: str) -> str:
    """Start an ingest server that the network reaches; returns its URL."""
    from ecgwatch.lan import open_door

    door = open_door(folder, SystemClock())
    child = children.start(
        "ingest", "ingest", "--host", "0.0.0.0", "--port", str(free_port(INGEST_PORT)),
        "--certificate", str(door.tls.certificate), "--key", str(door.tls.key),
        "--broker", broker, stdout=subprocess.PIPE,
    )  # fmt: skip
    port = _first_line(child).rpartition(":")[2]
    children.check()
    return f"https://{door.address}:{port.rstrip('/')}"


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
        "escalated": " (re-alarm)",
        "acknowledged": f" (acknowledged by {alarm.acknowledged_by})",
    }
    return f"{when:%H:%M:%S}  {alarm.patient_id:8}  {MARKS[alarm.priority]} {alarm.text}{what.get(alarm.step, '')}"
