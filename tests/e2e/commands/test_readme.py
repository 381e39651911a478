"""Every command of the README runs as printed, in an empty folder, beside a running demo."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands.test_demo import BEDS, start, wait_for_beats

README = (Path(__file__).parents[3] / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.S)
LINES = [line for block in BLOCKS for line in block.splitlines()]
ELSEWHERE = {"demo", "test"}  # test_demo.py and this run
ENDLESS_S = 15.0  # streams that go on are interrupted after this


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


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("line", [line for line in LINES if words(line)[0] not in ELSEWHERE])
def test_an_example_runs_as_printed(line: str, folder: Path, data_dir: Path) -> None:
    for record in re.findall(r"\b(?:mitdb|nstdb)/\w+", line):
        if not (data_dir / f"{record}.hea").exists():
            pytest.skip(f"{record} is not at hand")
    command = [sys.executable, "-P", "-m", "ecgwatch", *words(line)]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | {"BROWSER": "true"},  # view opens one
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    streams = words(line)[0] in ("replay", "simulate") and "--out" not in line
    serves_s = {"view": 90.0}.get(words(line)[0], ENDLESS_S if streams else 0.0)
    try:
        said, _ = process.communicate(timeout=serves_s or 300)
    except subprocess.TimeoutExpired:
        assert serves_s, "it did not end"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode in (0, 130), said
        assert re.search(r"sent [1-9]|view: http", said), said
    else:
        assert process.returncode == 0, said
    assert "Traceback" not in said
