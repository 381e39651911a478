"""The demo that runs in this folder: its own files, and where other commands find its parts."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ecgwatch.writing.atomic import replace_file
from ingest.errors import BadInputError

FOLDER = Path("var/demo")
_LOCK, _FILE = "lock", "running.json"
_CONNECT_S = 0.5


class RunningDemo(NamedTuple):
    """Addresses of a running demo's parts."""

    broker: str
    sink: str
    page: str


def find_demo(folder: Path = FOLDER) -> RunningDemo | None:
    """Return the demo that runs in this folder, or None. A demo that was killed leaves its file
    behind, so its broker must answer too."""
    try:
        found = RunningDemo(**json.loads((folder / _FILE).read_text()))
        host, _, port = found.broker.rpartition(":")
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, ValueError, TypeError):
        return None
    return found


def publish_demo(demo: RunningDemo, folder: Path = FOLDER) -> None:
    """Let other commands find this demo."""
    replace_file(folder / _FILE, (json.dumps(demo._asdict(), indent=1) + "\n").encode())


@contextmanager
def own_folder(folder: Path = FOLDER) -> Iterator[Path]:
    """Hold the folder for one demo, emptied of what an earlier one left.

    Raises BadInputError if a demo runs there: its store must not be emptied under it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("a") as lock:
        _hold(lock.fileno(), folder)
        for path in folder.iterdir():
            if path.name != _LOCK:
                path.unlink()
        try:
            yield folder
        finally:
            (folder / _FILE).unlink(missing_ok=True)


def _hold(file: int, folder: Path) -> None:
    """Lock the file until it is closed; the system unlocks it if the process is killed."""
    try:
        import fcntl
    except ImportError:  # Windows: no lock of this kind; whoever answers is there
        held = find_demo(folder) is not None
    else:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = False
        except OSError:
            held = True
    if not held:
        return
    demo = find_demo(folder)
    where = f"its ward is at {demo.page}" if demo else "it is just starting"
    raise BadInputError(
        f"a demo runs in {folder.absolute()} already; {where}",
        "Use that one, end it first (Ctrl-C in its terminal), or start another from another folder.",
    )
