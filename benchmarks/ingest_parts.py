"""Shared parts of the ingest benchmarks: the embedded broker, devices that are worn, a server
process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from ingest.operator import OperatorOutlet
from ingest.registry import steps
from ingest.registry.state import Registry
from ingest.registry.step import Author

FS, N = 130.0, 65  # an H10's rate; half a second


def worn_devices(broker: str, count: int) -> list[str]:
    """Tokens of this number of devices, each worn by a different person."""
    registry, outlet, tokens = Registry(), OperatorOutlet(broker), []
    for k in range(count):
        by = Author("benchmark", time.time_ns())
        made, token = steps.add_device(registry, f"d{k}", by)
        for record in made.records:
            registry.apply(record)
            outlet.send(record)
        admitted = steps.admit(registry, f"p{k}", by, device_id=f"d{k}")
        for record in admitted.records:
            registry.apply(record)
            outlet.send(record)
        tokens.append(token)
    return tokens


@contextlib.contextmanager
def server(broker: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """An `ecgwatch ingest` and its port."""
    command = [sys.executable, "-m", "ecgwatch", "ingest", "--port", "0", "--broker", broker]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=log, text=True
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            if not line.startswith("ingest: "):
                raise RuntimeError("the server does not start")
            yield process, int(line.strip().rstrip("/").rpartition(":")[2])
        except BaseException:
            log.seek(0)
            print("the end of the server's log:", log.read()[-2000:], file=sys.stderr)
            raise
        finally:
            process.terminate()
            process.communicate()
