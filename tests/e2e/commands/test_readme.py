"""Every command of the README runs as printed, in an empty folder, beside a running demo."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands.test_demo import BEDS, start, wait_for_beats

README = (Path(__file__).parents[3] / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.S)
LINES = [line for block in BLOCKS for line in block.splitlines()]
ELSEWHERE = {"demo", "test"}  # test_demo.py and this run
SENDING = r"(?m)^\d+( of \d+)? s, "  # a stream's line of progress, every ten seconds
STARTS_S = 300.0


def words(line: str) -> list[str]:
    """The words after `python3 run.py`."""
    typed = shlex.split(line, comments=True)
    assert typed[:2] == ["python3", "run.py"], line
    return typed[2:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a demo runs whose patients have been heard."""
    folder = tmp_path_factory.mktemp("readme")
    demo, _ = start(folder)
    try:
        wait_for_beats(folder, BEDS, 150)
        yield folder
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=80)


def test_there_are_examples() -> None:
    assert len(LINES) >= 9


def wait_for_output(process: subprocess.Popen[bytes], log: Path, pattern: str) -> None:
    """Return once a process that goes on has printed this."""
    deadline = time.monotonic() + STARTS_S
    while not re.search(pattern, log.read_text()):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("line", [line for line in LINES if words(line)[0] not in ELSEWHERE])
def test_an_example_runs_as_printed(line: str, folder: Path, data_dir: Path) -> None:
    for record in re.findall(r"\b(?:mitdb|nstdb)/\w+", line):
        if not (data_dir / f"{record}.hea").exists():
            pytest.skip(f"{record} is not at hand")
    command = [sys.executable, "-P", "-m", "ecgwatch", *words(line)]
    log = folder / "output.txt"
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | {"BROWSER": "true"},  # view opens one
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    streams = words(line)[0] in ("replay", "simulate") and "--out" not in line
    serves = "view: http" if words(line)[0] == "view" else SENDING if streams else None
    try:
        if serves:
            wait_for_output(process, log, serves)
            process.send_signal(signal.SIGINT)
        process.wait(STARTS_S)
    finally:
        process.kill()
        process.wait()
    output = log.read_text()
    assert process.returncode in ((0, 130) if serves else (0,)), output
    assert not streams or re.search(r"sent [1-9]", output), output
    assert "Traceback" not in output
