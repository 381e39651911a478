"""Runs worker processes, and another in the place of each that breaks down."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence

import typer

from ecgwatch.crash_loop import STEADY_S, CrashLoop
from ingest.clock import Clock

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
LOOK_EVERY_S = 0.1
BROKEN = 70  # exit code of a worker that broke down
USER_ERRORS = (1, 2, 3)


class WorkerPlace:
    """Runs one worker after the other; the last argument of each is the number of breakdowns before
    it."""

    def __init__(self, command: list[str], clock: Clock, crash_loop: CrashLoop) -> None:
        self._command, self._clock, self._crash_loop = command, clock, crash_loop
        self._worker: subprocess.Popen[bytes] | None = None
        self._start_at_s, self._wait_s = clock.steady_s(), FIRST_WAIT_S
        self._started_s, self._steady = 0.0, False
        self._restarts = 0
        self.code: int | None = None  # exit code to end with, once no further worker is started

    def look(self, *, stopping: bool) -> None:
        """Start a worker if it is time to, and see to the one that has ended.

        A worker whose very first run ends with a user error (no broker, a bad setting) is not
        started again, nor is one that ends without an error.
        """
        if self.code is None and self._worker is not None:
            self._look_at(self._worker, stopping=stopping)
        elif self.code is None and stopping:
            self.code = 0
        elif self.code is None and self._clock.steady_s() >= self._start_at_s:
            self._worker = subprocess.Popen([*self._command, str(self._restarts)])
            self._started_s, self._steady = self._clock.steady_s(), False

    def end(self) -> None:
        """Tell the worker to end, if there is one."""
        if self._worker is not None and self._worker.poll() is None:
            self._worker.send_signal(signal.SIGTERM)
        self._crash_loop.steady()

    def _look_at(self, worker: subprocess.Popen[bytes], *, stopping: bool) -> None:
        code = worker.poll()
        if code is None:
            if not self._steady and self._clock.steady_s() - self._started_s > STEADY_S:
                self._steady, self._wait_s = True, FIRST_WAIT_S
                self._crash_loop.steady()
        elif stopping and -code in (signal.SIGINT, signal.SIGTERM):
            self.code = 0  # stopped before it handled signals
        elif stopping or code == 0 or (self._restarts == 0 and code in USER_ERRORS):
            self.code = code if code >= 0 else BROKEN
        else:
            self._broke_down(code)

    def _broke_down(self, code: int) -> None:
        typer.echo(
            f"the worker broke down (exit status {code}), starting another in {self._wait_s:g} s",
            err=True,
        )
        self._crash_loop.broke_down(code)
        self._worker, self._start_at_s = None, self._clock.steady_s() + self._wait_s
        self._wait_s, self._restarts = min(2 * self._wait_s, LONGEST_WAIT_S), self._restarts + 1


def supervise(commands: Sequence[list[str]], clock: Clock, crash_loops: Sequence[CrashLoop]) -> int:
    """Keep one worker of each command running until SIGINT or SIGTERM, or until one ends without an
    error or by a user error; returns the exit code to end with, that of the first that failed.

    Everything happens in this thread, so that a signal finds no lock held.
    """
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    places = [
        WorkerPlace(command, clock, crash_loop)
        for command, crash_loop in zip(commands, crash_loops, strict=True)
    ]
    stopping = False
    while True:
        for place in places:
            place.look(stopping=stopping)
        if all(place.code is not None for place in places):
            return next((place.code for place in places if place.code), 0)
        if not stopping and (asked or any(place.code is not None for place in places)):
            stopping = True
            for place in places:
                place.end()
        time.sleep(LOOK_EVERY_S)
