"""The embedded stack: a broker in this process, and the product's own commands, each in a process
of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

from confluent_kafka import TopicPartition

from ecgwatch.called import VARIABLE, called
from ingest.consumers import extents, open_reader
from ingest.errors import EcgwatchError
from ingest.messages import Alarm, decode
from ingest.topics import ALARMS

STOP_S = 10.0
# Patients of the ward: a name and a scenario that shows something within the first minute.
SIMULATED = {
    "Bed 1": "normal",
    "Bed 2": "afib",
    "Bed 3": "pvcs",
    "Bed 4": "vf",
    "Bed 5": "asystole",
    "Bed 6": "svt",
    "Bed 7": "noisy",
}
RECORD, RECORD_BED, INSTEAD = "mitdb/208", "Bed 8", "paced"


class ChildError(EcgwatchError):
    """A part of the stack has ended unexpectedly."""


class Children:
    """Processes of the stack, ended in the reverse order of their start; their output goes to log
    files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(
        self,
        name: str,
        *arguments: str,
        stdout: int | None = None,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.Popen[bytes]:
        """Run `ecgwatch ARGUMENTS` in a session of its own, so that Ctrl-C does not end it before
        its turn; `environment` comes on top of this process's."""
        with self.log(name).open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "ecgwatch", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1", VARIABLE: called(), **environment},
            )
        self._running.append((name, child))
        return child

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self._folder / f"{name}.log"

    def check(self) -> None:
        """Raise ChildError if a process has ended with an error."""
        for name, child in self._running:
            if child.poll():
                last = self.log(name).read_text(errors="replace").strip().splitlines()[-3:]
                raise ChildError(
                    f"{name} has ended with status {child.returncode}: " + " / ".join(last),
                    f"All of it is in {self.log(name)}.",
                )

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _, child in reversed(self._running):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def start_ward(children: Children, broker: str, have_record: Callable[[str], bool]) -> None:
    """Start seven simulated patients and a recorded one, or an eighth simulated one if the record
    is not available. All have annotations to score by."""
    cast = dict(SIMULATED) | ({} if have_record(RECORD) else {RECORD_BED: INSTEAD})
    names = [argument for bed in cast for argument in ("--patient", bed)]
    children.start("simulate", "simulate", *cast.values(), *names, "--broker", broker)
    children.start("score", "score", "--broker", broker)
    if RECORD_BED not in cast:
        children.start(
            "replay", "replay", RECORD, "--loop", "--patient", RECORD_BED, "--broker", broker
        )


def alarms(broker: str, stop: threading.Event, tick: Callable[[], None]) -> Iterator[Alarm]:
    """Yield announced alarms as they arrive, without updates of their values, until `stop` is set;
    call `tick` a few times a second."""
    consumer = open_reader(broker)
    consumer.assign(
        [
            TopicPartition(ALARMS.name, p, low)
            for p, (low, _) in extents(consumer, ALARMS.name).items()
        ]
    )
    try:
        while not stop.is_set():
            tick()
            message = consumer.poll(0.2)
            if message is not None and not message.error():
                alarm = decode(message.value() or b"", Alarm)
                if alarm.announced and alarm.step != "update":
                    yield alarm
    finally:
        consumer.close()
