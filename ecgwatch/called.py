"""How this program was called, so that every command it prints can be pasted as it stands."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

VARIABLE = "ECGWATCH_CALLED"  # set by run.py and for the demo's processes; no setting


def called(
    environment: Mapping[str, str] = os.environ, argv: Sequence[str] = tuple(sys.argv)
) -> str:
    """Return the words that start this program: "python3 run.py", "ecgwatch", or the path that was
    typed."""
    if VARIABLE in environment:
        return environment[VARIABLE]
    program = Path(argv[0]) if argv else Path("ecgwatch")
    if program.name == "__main__.py":
        return "python3 -m ecgwatch"
    found = shutil.which(program.name)
    if found is None or not program.exists() or not program.samefile(found):
        return shlex.quote(str(program))
    return program.name


def command(*words: str) -> str:
    """Return a command of this program as it can be pasted into a shell."""
    return f"{called()} {shlex.join(words)}"


def as_called(text: str, names: Iterable[str]) -> str:
    """Replace "ecgwatch NAME" of each command by what can be pasted. The layers below the command
    line cannot know how it was called."""
    known = "|".join(map(re.escape, names))
    # a function, because a path may hold what re.sub takes for a group
    return re.sub(rf"\becgwatch (?=(?:{known})\b)", lambda _: f"{called()} ", text)
