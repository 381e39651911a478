"""One module for each kind of file, with a `READER` that recognises and opens such files. Modules
in this folder are found by themselves; heavy imports belong into the function that opens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ingest.sources.base import Notice, Source


class FileOptions(NamedTuple):
    """A user's options for a file (see `open_source`)."""

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
