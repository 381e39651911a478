"""One module per kind of file: how it is known, and what opens it, as its `READER`. A module that is
put here is found; heavy imports belong into the function that opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ingest.sources.base import Notice, Source


class FileOptions(NamedTuple):
    """What a user may say of a file (see `open_source`)."""

    channel: str | int | None
    fs_hz: float | None
    unit: str | None
    notice: Notice


class FileReader(NamedTuple):
    """A kind of file."""

    reads: str  # for the sentence that lists what is read
    endings: tuple[str, ...]
    # of the first bytes (formats.SEEN_BYTES) and the path, and whether another kind is known
    recognises: Callable[[bytes, Path, bool], bool]
    open: Callable[[Path, FileOptions], Source]
