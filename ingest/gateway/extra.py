"""The libraries that only a gateway needs; imported when a source is opened."""

from __future__ import annotations

import importlib
from types import ModuleType

from ingest.errors import BadInputError


def library(name: str, source: str) -> ModuleType:
    """The library that a source needs. Raises BadInputError naming the extra to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise BadInputError(
            f"the source {source} needs the package {error.name or name}",
            "Install the extra: .venv/bin/pip install -e '.[gateway]'",
        ) from error
    except RuntimeError as error:  # pylsl, if the system's liblsl is missing
        raise BadInputError(
            f"the source {source} needs {name}: {error}", "See docs/devices.md."
        ) from error
