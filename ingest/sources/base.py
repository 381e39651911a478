"""Interface of every signal source: a lazy iterator of blocks of int16 counts (after sleepecg's
io/ecg_readers.py).

Records on disk, simulated patients and devices share it, so that replay, annotate, training and
tests read identical blocks. ingest/replay.py cuts blocks into messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

# receives a text that a person should know about a source which can still be used
Notice = Callable[[str], None]


def ignore_notice(text: str) -> None:
    """Ignore a notice. A source opened with this Notice raises an error if a part of the record is
    missing."""


class Annotation(NamedTuple):
    """One reference annotation of the signal (WFDB symbol and aux note)."""

    sample: int  # since the record's first sample, whatever `start_s` was read from
    symbol: str
    aux: str = ""


@dataclass(frozen=True)
class Block:
    """Consecutive samples. Blocks follow each other without a gap and are never empty."""

    counts: NDArray[np.int16]  # shape (n,), ADC zero subtracted
    lead_off: bool = False  # applies to the whole block
    annotations: tuple[Annotation, ...] = ()  # annotations within the block, in order


class Source(Protocol):
    """One lead of one patient. Every call of `blocks` gives the same signal."""

    @property
    def name(self) -> str: ...  # of the record; default patient id
    @property
    def fs_hz(self) -> float: ...  # 100-1000
    @property
    def counts_per_mv(self) -> float: ...
    @property
    def lead(self) -> str: ...
    @property
    def device_id(self) -> str: ...
    @property
    def duration_s(self) -> float | None: ...  # None: endless

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """Yield blocks from the sample nearest to `start_s` seconds on, read as they are
        requested."""
        ...
