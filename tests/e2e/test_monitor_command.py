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
from tests.command_line import ecgwatch

COMMAND = [sys.executable, "-m", "ecgwatch", "monitor"]


@pytest.mark.parametrize(
    "ending", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM]
)
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
        said = ecgwatch("monitor", "--port", port, "--sink", f"sqlite:{tmp_path}/e.db", code=1)
    assert f"cannot listen on 127.0.0.1 port {port}" in said
    assert "--port" in said.splitlines()[-1]


def test_a_sink_that_names_nothing_is_said_at_once() -> None:
    assert "Give --sink" in ecgwatch("monitor", "--port", "0", "--sink", "paper:", code=1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_it_does_not_listen_beyond_this_machine_without_tokens(
    tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sink = f"sqlite:{tmp_path}/e.db"
    said = ecgwatch("monitor", "--host", host, "--port", "0", "--sink", sink, code=1)
    assert f"--host {host} is reached from other machines" in said
    assert "--new-token NAME" in said.splitlines()[-1]


def test_a_new_token_opens_a_monitor_that_others_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["--tokens", "t.toml", "--new-token", "anna", "--role", "view"]
    said = ecgwatch("monitor", *given)
    (token,) = re.findall(r"^[\w-]{43}$", said, re.MULTILINE)
    assert "shown only now" in said
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
def test_a_new_token_wants_a_name_and_a_role(
    tmp_path: Path, given: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "--new-token NAME --role" in ecgwatch("monitor", *given, code=1)


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
