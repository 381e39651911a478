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
import shlex
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
# three processes on two cores: most of the time is waiting for brokers, databases and browsers
# file by file in the order of their names: the long ones come first, and costly fixtures once
TESTS = ["pytest", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]


def run_pip(command: list[str], packages: int) -> int:
    """Run pip and show how many of the packages it has come to; return its exit status. What else
    it says is shown only if it fails."""
    said: list[str] = []
    met = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as pip:
        for line in pip.stdout or ():
            said.append(line)
            met += line.startswith("Collecting ")
            if line.startswith("Collecting ") and (sys.stdout.isatty() or met % 20 == 0):
                name = line.split()[1].partition("=")[0]
                show(f"ecgwatch: package {met} of {packages}: {name}")
            elif line.startswith("Installing collected"):
                show(f"ecgwatch: unpacking {packages} packages (half a minute) ...")
    if sys.stdout.isatty():
        print()
    if pip.returncode:
        print("".join(said[-30:]), file=sys.stderr)
    return pip.returncode


def show(text: str) -> None:
    """Show progress: on a terminal in place of the line before, else as a line."""
    print(f"\r\033[K{text}" if sys.stdout.isatty() else text, end="", flush=True)
    if not sys.stdout.isatty():
        print(flush=True)


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
    packages = sum("==" in line for line in lock.read_text().splitlines())
    print(
        f"ecgwatch: installing {packages} packages of {lock.name} into {environment.folder.name}"
        " (once; about a minute, more on a slow network)",
        flush=True,
    )
    # --no-compile: of thousands of modules a few are imported, and compiled then
    quick = ["--no-compile", "--disable-pip-version-check"]
    pip = [str(environment.python), "-m", "pip", "install", *quick]
    steps = (
        [*pip, "--require-hashes", "-r", str(lock)],
        [*pip, "--no-deps", "--no-build-isolation", "-e", str(HERE)],
    )
    for step in steps:
        if run_pip(step, packages):
            sys.exit(
                f"ecgwatch: installing from {lock.name} failed (see above). Is the network there? Run the same command again to retry."
            )
    print("ecgwatch: installed", flush=True)
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
    if all(option.startswith("-") for option in options):
        takes = "40 minutes" if "--slow" in options else "8 minutes; --slow adds the long ones"
        print(f"ecgwatch: on two cores the tests take about {takes}", flush=True)
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
    # commands that it prints can be pasted as this one was typed
    typed = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    os.environ["ECGWATCH_CALLED"] = shlex.join([Path(typed[0]).name, *typed[1:]])
    # -P: a folder `models` of the user's is not ours
    command = [str(EVERYDAY.python), "-P", "-m", "ecgwatch", *arguments]
    if os.name == "nt":
        return subprocess.run(command, check=False).returncode
    return os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
