"""Runs worker processes, and another in the place of each that breaks down."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence

import typer

from ecgwatch.crash_loop import STEADY_S, CrashLoop
from ingest.clock import Clock

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
BROKEN = 70  # exit code of a worker that broke down
USER_ERRORS = (1, 2, 3)


class Place:
    """One worker after the other, until `stop` is set. Calls `end_all` when it ends by itself."""

    def __init__(
        self,
        command: list[str],
        clock: Clock,
        crash_loop: CrashLoop,
        stop: threading.Event,
        end_all: Callable[[], None],
    ) -> None:
        self._command, self._clock, self._crash_loop = command, clock, crash_loop
        self._stop, self._end_all = stop, end_all
        self._worker: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self.code = 0  # exit code to end with

    def run(self) -> None:
        """Run a worker, and another whenever one breaks down (each gets the number of breakdowns
        before it). A system alarm reports workers that break down repeatedly.

        A worker whose very first run ends with a user error (no broker, a bad setting) is not
        started again: then, and if one ends without an error, all places end.
        """
        wait_s, restarts = FIRST_WAIT_S, 0
        while True:
            started = self._clock.steady_s()
            with self._starting:
                if self._stop.is_set():
                    return
                self._worker = subprocess.Popen([*self._command, str(restarts)])
            code = self._wait(self._worker)
            if self._stop.is_set():
                self._crash_loop.steady()
            if self._stop.is_set() and -code in (signal.SIGINT, signal.SIGTERM):
                return  # stopped before it handled signals
            if self._stop.is_set() or code == 0 or (restarts == 0 and code in USER_ERRORS):
                self.code = code if code >= 0 else BROKEN
                self._end_all()
                return
            wait_s = FIRST_WAIT_S if self._clock.steady_s() - started > STEADY_S else wait_s
            typer.echo(
                f"the worker broke down (exit status {code}), starting another in {wait_s:g} s",
                err=True,
            )
            self._crash_loop.broke_down(code)
            if self._stop.wait(wait_s):
                self._crash_loop.steady()
                return
            wait_s, restarts = min(2 * wait_s, LONGEST_WAIT_S), restarts + 1

    def end(self) -> None:
        """Tell the worker to end, if there is one; `stop` is set."""
        with self._starting:
            if self._worker is not None and self._worker.poll() is None:
                self._worker.send_signal(signal.SIGTERM)

    def _wait(self, worker: subprocess.Popen[bytes]) -> int:
        """Wait for the worker and return its exit status."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return worker.wait(STEADY_S)
        self._crash_loop.steady()
        return worker.wait()


def supervise(commands: Sequence[list[str]], clock: Clock, crash_loops: Sequence[CrashLoop]) -> int:
    """Keep one worker of each command running until SIGINT or SIGTERM, or until one ends without an
    error or by a user error; returns the exit code to end with, that of the first that failed."""
    stop = threading.Event()

    def end_all(*_: object) -> None:
        stop.set()
        for place in places:
            place.end()

    places = [
        Place(command, clock, crash_loop, stop, end_all)
        for command, crash_loop in zip(commands, crash_loops, strict=True)
    ]
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_all)
    threads = [threading.Thread(target=place.run, name="place") for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()  # this thread holds no lock of theirs when a signal comes
    return next((place.code for place in places if place.code), 0)
