"""Commands are printed as the program was called, so that they can be pasted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ecgwatch import called

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("environment", "argv", "words"),
    [
        ({"ECGWATCH_CALLED": "python3 run.py"}, ["/a/__main__.py", "demo"], "python3 run.py"),
        ({}, ["/a/ecgwatch/__main__.py"], "python3 -m ecgwatch"),
        ({}, ["my env/bin/ecgwatch"], "'my env/bin/ecgwatch'"),
        ({}, [], "ecgwatch"),
    ],
)
def test_the_words_that_start_it(environment: dict[str, str], argv: list[str], words: str) -> None:
    assert called.called(environment, argv) == words


def test_only_names_of_commands_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(called.VARIABLE, r"python3 C:\1\run.py")
    text = "`ecgwatch topics create` or run ecgwatch in a folder; ecgwatch packets"
    assert called.as_called(text, ["topics", "demo"]) == (
        r"`python3 C:\1\run.py topics create` or run ecgwatch in a folder; ecgwatch packets"
    )
    assert called.command("alarms", "ack", "Bed 5") == r"python3 C:\1\run.py alarms ack 'Bed 5'"


def test_an_error_names_a_command_that_can_be_pasted(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ecgwatch",
            "alarms",
            "silence",
            "A",
            "--for",
            "1m",
            "--kind",
            "asystole",
        ],
        cwd=tmp_path,
        env=os.environ | {called.VARIABLE: "python3 run.py", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "python3 run.py alarms ack A asystole" in done.stderr
