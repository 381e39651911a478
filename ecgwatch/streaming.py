"""Options that `replay` and `simulate` share, and streaming to the broker with a progress bar."""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ecgwatch.times import parse_time
from ingest.broker import create_topics
from ingest.clock import Clock
from ingest.errors import BadInputError
from ingest.fault_options import FORMS, FaultSpec
from ingest.replay import Due, play
from ingest.sources.base import Source

INTERRUPTED = 130

_FAULT_HELP = "Inject a fault (may be repeated):  " + "; ".join(FORMS.values()) + "."
Speed = Annotated[
    str,
    typer.Option(
        metavar="FACTOR|max", help="Times as fast as recorded, from 0.1; max: as fast as can be."
    ),
]
StartTime = Annotated[
    str,
    typer.Option(
        metavar="ISO|now",
        help="Time of the first sample, ISO 8601 (UTC unless an offset is given).",
    ),
]
Faults = Annotated[list[str] | None, typer.Option("--fault", metavar="FAULT", help=_FAULT_HELP)]
Seed = Annotated[
    int, typer.Option(min=0, help="Seed of all randomness: the same seed gives the same stream.")
]


def parse_speed(text: str) -> float:
    """Parse --speed; math.inf for max. Raises BadInputError."""
    try:
        speed = math.inf if text == "max" else float(text)
    except ValueError:
        speed = 0.0
    if not speed >= 0.1:
        raise BadInputError(f"--speed {text}", "Give a number of at least 0.1, or max.")
    return speed


def parse_start(text: str) -> int | None:
    """Parse --start-time to Unix time in ns; None for now, the time at which streaming begins.
    Raises BadInputError."""
    return None if text == "now" else parse_time("--start-time", text)


def warn(text: str) -> None:
    """Print a warning on stderr."""
    typer.echo(f"warning: {text}", err=True)


def open_noises(specs: Sequence[FaultSpec], data: Path) -> dict[str, Source]:
    """Open the noise records that faults name, the first channel of each. Raises BadInputError or
    UnreachableError."""
    from ingest.sources.open import open_source

    return {
        spec.record: open_source(spec.record, data=data, channel=0) for spec in specs if spec.record
    }


def stream_to_broker(
    begin: Callable[[int], Iterator[Due]],
    start_ns: int | None,
    length_s: float | None,
    *,
    broker: str,
    speed: float,
    clock: Clock,
) -> None:
    """Create the topics, send the items of `begin(start_ns)` when they are due, and show the
    progress.

    Ctrl-C closes the streams and exits with 130. Raises UnreachableError.
    """
    from ingest.producer import Producer  # kafka-python is slow to import: not for --help

    create_topics(broker)
    view = _Bar(length_s, clock) if sys.stderr.isatty() else _Lines(length_s, clock)
    interrupted = False
    with view, Producer(broker, clock, view.print_line) as producer:
        try:
            items = begin(clock.now_ns() if start_ns is None else start_ns)
            play(items, producer.send, clock, speed=speed, on_sent=view.sent)
        except KeyboardInterrupt:
            interrupted = True
    view.print_line(view.summary())
    if interrupted:
        raise typer.Exit(INTERRUPTED)


class _Lines:
    """Progress as a line every ten seconds, for output that is not a terminal."""

    _every_s = 10.0

    def __init__(self, length_s: float | None, clock: Clock) -> None:
        self._length_s, self._clock = length_s, clock
        self._start_s = self._shown_s = clock.steady_s()
        self._at_s = 0.0
        self._counts: Counter[str] = Counter()
        self._patients: set[str] = set()

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def sent(self, item: Due) -> None:
        self._at_s = max(self._at_s, item.due_s)
        self._counts[type(item.message).__name__] += 1
        self._patients.add(item.message.patient_id)
        now_s = self._clock.steady_s()
        if now_s - self._shown_s >= self._every_s:
            self._shown_s = now_s
            self.show()

    def show(self) -> None:
        of = f" of {self._length_s:.0f} s" if self._length_s is not None else " s"
        self.print_line(f"{self._at_s:.0f}{of}, {self.speed:.1f}x")

    def print_line(self, text: str) -> None:
        typer.echo(text, err=True)

    @property
    def speed(self) -> float:
        return self._at_s / max(self._clock.steady_s() - self._start_s, 1e-9)

    def summary(self) -> str:
        chunks, references = self._counts["SampleChunk"], self._counts["Reference"]
        return f"sent {self._at_s:.1f} s of {len(self._patients)} patients at {self.speed:.1f}x: {chunks} chunks, {references} annotations"


class _Bar(_Lines):
    """Progress as a bar that stays in place."""

    _every_s = 0.2

    def __init__(self, length_s: float | None, clock: Clock) -> None:
        super().__init__(length_s, clock)
        columns = (
            BarColumn(),
            TextColumn("{task.fields[position]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("", total=length_s, position="", rate="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self) -> None:
        of = f" / {self._length_s:.0f} s" if self._length_s is not None else " s"
        self._progress.update(
            self._task,
            completed=self._at_s,
            position=f"{self._at_s:.0f}{of}",
            rate=f"{self.speed:.1f}x",
        )

    def print_line(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)


def unique(names: list[str]) -> list[str]:
    """Return the names if each occurs once. Raises BadInputError that names the first repeated
    one."""
    twice = next((n for n, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise BadInputError(
            f"two streams would have the patient id {twice!r}",
            "Give each an id of its own with --patient.",
        )
    return names
