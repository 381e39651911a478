"""`ecgwatch monitor` as a person starts it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from ingest.embedded import EmbeddedBroker

COMMAND = [sys.executable, "-m", "ecgwatch", "monitor"]


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_prints_the_address_serves_and_ends_cleanly(tmp_path: Path, ending: signal.Signals) -> None:
    with EmbeddedBroker() as broker:
        started = [
            *COMMAND,
            "--port",
            "0",
            "--broker",
            broker.address,
            "--sink",
            f"sqlite:{tmp_path}/e.db",
        ]
        with subprocess.Popen(
            started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            found = re.fullmatch(
                r"monitor: (http://127\.0\.0\.1:\d+/)\n", process.stdout.readline()
            )
            assert found
            with urllib.request.urlopen(found[1], timeout=30) as page:
                assert b"ecgwatch" in page.read()
            process.send_signal(ending)
            _, said = process.communicate(timeout=60)
    assert process.returncode in (0, -ending)
    assert "Traceback" not in said


def test_a_taken_port_is_said_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [*COMMAND, "--port", port, "--sink", f"sqlite:{tmp_path}/e.db"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert ran.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in ran.stderr
    assert "--port" in ran.stderr.splitlines()[-1]


def test_a_sink_that_names_nothing_is_said_at_once() -> None:
    ran = subprocess.run(
        [*COMMAND, "--port", "0", "--sink", "paper:"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 1
    assert "Give --sink" in ran.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_it_does_not_listen_beyond_this_machine_without_tokens(tmp_path: Path, host: str) -> None:
    ran = subprocess.run(
        [*COMMAND, "--host", host, "--port", "0", "--sink", f"sqlite:{tmp_path}/e.db"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert ran.returncode == 1
    assert f"--host {host} is reached from other machines" in ran.stderr
    assert "--new-token NAME" in ran.stderr.splitlines()[-1]


def test_a_new_token_opens_a_monitor_that_others_reach(tmp_path: Path) -> None:
    made = [*COMMAND, "--tokens", "t.toml", "--new-token", "anna", "--role", "view"]
    ran = subprocess.run(
        made, capture_output=True, text=True, timeout=120, check=True, cwd=tmp_path
    )
    token = ran.stdout.strip()
    assert re.fullmatch(r"[\w-]{43}", token)
    assert "shown only now" in ran.stderr
    with EmbeddedBroker() as broker:
        started = [
            *COMMAND,
            "--host",
            "0.0.0.0",
            "--port",
            "0",
            "--tokens",
            "t.toml",
            "--broker",
            broker.address,
            "--sink",
            "memory:",
        ]
        with subprocess.Popen(
            started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        ) as process:
            assert process.stdout
            url = process.stdout.readline().removeprefix("monitor: ").strip()
            assert _status(url + "api/patients") == 401
            assert _status(url + "api/patients", token) == 200
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


@pytest.mark.parametrize("given", [["--new-token", "anna"], ["--role", "view"]])
def test_a_new_token_wants_a_name_and_a_role(tmp_path: Path, given: list[str]) -> None:
    ran = subprocess.run(
        [*COMMAND, *given], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert ran.returncode == 1
    assert "--new-token NAME --role" in ran.stderr


def _status(url: str, token: str | None = None) -> int:
    request = urllib.request.Request(
        url, headers={"Authorization": f"Bearer {token}"} if token else {}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
