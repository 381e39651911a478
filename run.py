#!/usr/bin/env python3
"""Set up ecgwatch in .venv beside this file and run it.

    python3 run.py demo         any command of ecgwatch (demo, replay, annotate, check, ... --help)
    python3 run.py test         the tests, with pytest's options; --slow adds the long ones
    python3 run.py test --train tests that need torch, in .venv-train (5 GB on Linux: the libraries
                                for GPUs come along)
    python3 run.py lint         ruff, mypy and import-linter; with Node, the page's JavaScript too
    python3 run.py verify       lint and the tests: what a change must pass

Needs Python >= 3.11 and the network for the first run, nothing else. Packages come from the locked
requirements files, with hashes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Environment:
    """A virtual environment beside this file."""

    def __init__(self, name: str) -> None:
        self.folder = HERE / name
        self.bin = self.folder / ("Scripts" if os.name == "nt" else "bin")
        self.python = self.bin / ("python.exe" if os.name == "nt" else "python")


EVERYDAY, TRAINING = Environment(".venv"), Environment(".venv-train")
BIOME = "@biomejs/biome@2.6.8"  # linter and formatter of the page's JavaScript
# two processes: most of the time is waiting for brokers, databases and browsers
TESTS = ["pytest", "-n", "2", "--dist", "loadfile"]


def install(environment: Environment, lock: Path) -> None:
    """Bring an environment to what the lock file says, unless that was done before."""
    stamp = environment.folder / "installed"
    want = hashlib.sha256(
        lock.read_bytes() + (HERE / "pyproject.toml").read_bytes() + str(HERE).encode()
    ).hexdigest()
    installed = stamp.read_text().split() if stamp.exists() and environment.python.exists() else []
    if want in installed:
        return
    if not environment.python.exists():
        print(f"ecgwatch: making {environment.folder.name} ...", flush=True)
        try:
            venv.create(environment.folder, with_pip=True)
        except (subprocess.CalledProcessError, ImportError):
            sys.exit(
                "ecgwatch: this Python cannot make virtual environments. On Debian or Ubuntu: apt install python3-venv"
            )
    print(f"ecgwatch: installing {lock.name} (once, a minute or two) ...", flush=True)
    pip = [
        str(environment.python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-compile",  # of thousands of modules a few are imported, and compiled then
        "--disable-pip-version-check",
    ]
    steps = (
        [*pip, "--require-hashes", "-r", str(lock)],
        [*pip, "--no-deps", "--no-build-isolation", "-e", str(HERE)],
    )
    for step in steps:
        if subprocess.run(step, check=False).returncode:
            sys.exit(
                f"ecgwatch: installing from {lock.name} failed (see above). Is the network there? Run the same command again to retry."
            )
    stamp.write_text("\n".join([*installed, want]))


def lint() -> int:
    """Everything that can be told without running; the first failure ends it."""
    checks = (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    )
    steps = [[str(EVERYDAY.bin / name), *options] for name, *options in checks]
    if npx := shutil.which("npx"):
        steps.append([npx, "--yes", BIOME, "check"])
    for step in steps:
        print("$", Path(step[0]).name, *step[1:], flush=True)
        if code := subprocess.run(step, cwd=HERE, check=False).returncode:
            return code
    if not npx:
        print("ecgwatch: the page's JavaScript was not checked: that needs Node (npx)")
    return 0


def test(options: list[str]) -> int:
    """The tests, but for those that need torch."""
    if not options:
        print("ecgwatch: the tests take about 8 minutes on two cores; --slow adds the long ones")
    return subprocess.run(
        [str(EVERYDAY.python), "-m", *TESTS, *options], cwd=HERE, check=False
    ).returncode


def test_training(options: list[str]) -> int:
    """The tests that need torch, which the everyday environment lacks: those that would skip there."""
    if not options:
        print("ecgwatch: the tests with torch take about 4 minutes on two cores", flush=True)
    install(TRAINING, HERE / "requirements-train.lock")
    needing = [
        str(path)
        for path in sorted((HERE / "tests").rglob("test_*.py"))
        if 'importorskip("torch"' in path.read_text()
    ]
    # else all of them would skip, and nothing would be tested
    there = [str(TRAINING.python), "-c", "import torch, onnx"]
    spread = ["--dist", "load"]  # the matrix over all architectures is one long file
    # while exporting, torch warns of plans of its own
    quiet = ["-W", "ignore"]
    command = [str(TRAINING.python), "-m", *TESTS, *spread, *quiet, *needing, *options]
    return (
        subprocess.run(there, check=False).returncode
        or subprocess.run(command, cwd=HERE, check=False).returncode
    )


def main() -> int:
    """Install what the command needs, then become it."""
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older Python meets first
        sys.exit(
            f"ecgwatch needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: python3.11 run.py demo"
        )
    arguments = sys.argv[1:] or ["--help"]
    if arguments[:2] == ["test", "--train"]:
        return test_training(arguments[2:])
    developing = arguments[0] in ("test", "lint", "verify")
    install(EVERYDAY, HERE / ("requirements-test.lock" if developing else "requirements.lock"))
    if arguments[0] == "test":
        return test(arguments[1:])
    if arguments[0] in ("lint", "verify"):
        return lint() or (test(arguments[1:]) if arguments[0] == "verify" else 0)
    # -P: a folder `models` of the user's is not ours
    command = [str(EVERYDAY.python), "-P", "-m", "ecgwatch", *arguments]
    if os.name == "nt":
        return subprocess.run(command, check=False).returncode
    return os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
