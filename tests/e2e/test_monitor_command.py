"""`ecgwatch monitor` as a person starts it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from ingest.embedded import EmbeddedBroker

COMMAND = [sys.executable, "-m", "ecgwatch", "monitor"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_prints_the_address_serves_and_ends_cleanly(tmp_path: Path, ending: signal.Signals) -> None:
    with EmbeddedBroker() as broker:
        started = [*COMMAND, "--port", "0", "--broker", broker.address, "--sink", f"sqlite:{tmp_path}/e.db"]
        with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout
            found = re.fullmatch(r"monitor: (http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())
            assert found
            with urllib.request.urlopen(found[1], timeout=10) as page:
                assert b"ecgwatch" in page.read()
            process.send_signal(ending)
            _, said = process.communicate(timeout=20)
    assert process.returncode in (0, -ending)
    assert "Traceback" not in said


def test_a_taken_port_is_said_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [*COMMAND, "--port", port, "--sink", f"sqlite:{tmp_path}/e.db"], capture_output=True, text=True, timeout=60, check=False
        )
    assert ran.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in ran.stderr
    assert "--port" in ran.stderr.splitlines()[-1]


def test_a_sink_that_names_nothing_is_said_at_once() -> None:
    ran = subprocess.run([*COMMAND, "--port", "0", "--sink", "paper:"], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 1
    assert "Give --sink" in ran.stderr
