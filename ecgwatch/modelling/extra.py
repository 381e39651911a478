"""Access to the optional training part, which needs torch; serving never does."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from ingest.errors import BadInputError

NEEDED = ("torch", "onnx")


def is_installed() -> bool:
    """Return whether the packages that training needs are installed."""
    return all(importlib.util.find_spec(name) is not None for name in NEEDED)


def training(module: str) -> ModuleType:
    """Import a module of models.training. Raises BadInputError if the extra is not installed."""
    _require()
    return importlib.import_module(f"models.training.{module}")


def start(module: str, arguments: Sequence[str], data: Path) -> int:
    """Run a module of models.training on the data sets in `data` as a process, to its end; return
    its exit status.

    Raises BadInputError if the extra is not installed.
    """
    _require()
    command = [sys.executable, "-m", f"models.training.{module}", *arguments]
    return subprocess.run(command, env=os.environ | {"ECG_DATA": str(data)}, check=False).returncode


def _require() -> None:
    if not is_installed():
        missing = ", ".join(name for name in NEEDED if importlib.util.find_spec(name) is None)
        raise BadInputError(
            f"training needs {missing}", "Install the extra: .venv/bin/pip install -e '.[train]'"
        )
