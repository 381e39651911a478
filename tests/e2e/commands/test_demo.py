"""The first command of the README: it shows a living ward, ends cleanly on Ctrl-C, and starts
again."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from ingest.messages import Beat
from ingest.wire import CHUNKS_PATH, MESSAGEPACK, Chunk, encode_chunks
from stream_processor.sinks.sqlite import SqliteSink

BEDS = [f"Bed {i}" for i in range(1, 9)]


def start(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """The demo, and the address it prints."""
    command = [sys.executable, "-m", "ecgwatch", "demo", "--no-browser", "--port", "0", *arguments]
    demo = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert demo.stdout
    first = demo.stdout.readline()
    while first and not first.startswith(("The ward", "error", "Traceback")):
        first = demo.stdout.readline()  # progress
    assert first.startswith("The ward is at http://127.0.0.1:"), first + demo.stdout.read()
    return demo, first.split()[-1]


def patients(address: str) -> list[str]:
    with urllib.request.urlopen(f"{address}api/patients", timeout=30) as answer:
        return [p["id"] for p in json.load(answer)["patients"]]


def beats(folder: Path) -> dict[str, int]:
    sink = SqliteSink(folder / "var" / "demo" / "ecgwatch.db")
    try:
        return {bed: sum(1 for _ in sink.read(Beat, bed)) for bed in sink.patients()}
    finally:
        sink.close()


def wait_for_beats(folder: Path, beds: list[str], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not all(beats(folder).get(bed, 0) > 3 for bed in beds):
        assert time.monotonic() < deadline, f"beats so far: {beats(folder)}"
        time.sleep(1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_ward_of_eight_lives_ends_on_ctrl_c_and_starts_again(tmp_path: Path) -> None:
    demo, address = start(tmp_path)
    children = psutil.Process(demo.pid).children(recursive=True)
    try:
        wait_for_beats(tmp_path, BEDS, 150)
        assert patients(address) == BEDS
    finally:
        demo.send_signal(signal.SIGINT)
        said, _ = demo.communicate(timeout=80)
    assert demo.returncode == 0, said
    assert "Traceback" not in said
    assert "Ended." in said
    assert not [c for c in children if c.is_running() and c.status() != psutil.STATUS_ZOMBIE]
    for log in (tmp_path / "var" / "demo").glob("*.log"):
        assert "Traceback" not in log.read_text(), log.name

    again, address = start(tmp_path, "--for", "20")
    said, _ = again.communicate(timeout=150)
    assert again.returncode == 0, said


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "ecgwatch", "demo", "--no-browser", "--port", str(port)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=90)
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_phone_in_the_network_joins_by_what_the_demo_prints(tmp_path: Path) -> None:
    """The link leads to the phone's page over TLS, and its token sends as the person admitted."""
    demo, address = start(tmp_path, "--lan", "--for", "200")
    try:
        assert demo.stdout
        line = next(line for line in demo.stdout if "/join#" in line)
        page, _, token = line.strip().partition("#")
        context = ssl.create_default_context(cafile=tmp_path / "var" / "demo" / "certificate.pem")
        with urllib.request.urlopen(page, timeout=30, context=context) as answer:
            assert b"<html" in answer.read()
        chunk = Chunk(
            first_sample=0, t0_ns=time.time_ns(), fs_hz=130.0, counts_per_mv=1000.0,
            samples=bytes(130),
        )  # fmt: skip
        path = CHUNKS_PATH.format(stream="00000000-0000-4000-8000-000000000001")
        request = urllib.request.Request(
            page.removesuffix("/join") + path,
            encode_chunks([chunk]),
            {"Authorization": f"Bearer {token}", "Content-Type": MESSAGEPACK},
        )
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            assert answer.status == 202
        with urllib.request.urlopen(f"{address}api/people", timeout=30) as answer:
            shown = json.load(answer)
        assert shown["join_url"] == page
        assert [(p["id"], p["bed"], p["device"]) for p in shown["people"]] == [
            ("phone", "Phone", "phone")
        ]
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
    assert demo.returncode == 0
