"""A server process that can be stopped, killed and started again."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path

from tools.fetching import ServiceError


class Service(ABC):
    """A server process with its own folder and port. It can be stopped or killed, and started again
    with the same data on the same port."""

    name = "service"
    start_s = 180.0  # generous, for a busy machine

    def __init__(self, port: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"ecgwatch-{self.name}-"))
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.remove)

    def start(self) -> None:
        """Start and wait until it answers. Raises ServiceError with the end of its log."""
        if self._process is not None:
            return
        with (self.folder / "log.txt").open("ab") as log:
            # A separate session: Ctrl-C in the terminal must reach this program first.
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                env={**os.environ, **self._environment()},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + self.start_s
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = "\n".join(
                    (self.folder / "log.txt").read_text(errors="replace").splitlines()[-20:]
                )
                raise ServiceError(f"{self.name} did not start on port {self.port}:\n{tail}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the process as an operator would; its data stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process as a power cut would; its data stays."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """Kill the process and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.remove)

    @property
    def running(self) -> bool:
        """True if the process is alive."""
        return self._process is not None and self._process.poll() is None

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @abstractmethod
    def _command(self) -> list[str]:
        """The command line to start."""

    def _environment(self) -> dict[str, str]:
        return {}

    @abstractmethod
    def _answers(self) -> bool:
        """True if the service is ready."""


def free_port() -> int:
    """A TCP port of this machine on which nothing listens at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
