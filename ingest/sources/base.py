"""What every source of signal is: a lazy iterator of blocks of int16 counts (example: sleepecg
io/ecg_readers.py).

A record on disk, a simulated patient and a device are the same thing to everything above: replay,
annotate, training and tests read identical blocks. Who wants messages cuts them with
ingest/replay.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Notice = Callable[
    [str], None
]  # is given what a person should know of a source that can be used all the same


def unheard(text: str) -> None:
    """A Notice that nobody reads: whoever opens a source with it wants an error instead, wherever a part of the record is missing."""


class Annotation(NamedTuple):
    """One reference annotation that came with the signal (WFDB symbol and aux note)."""

    sample: int  # since the record's first sample, whatever `start_s` the reading began at
    symbol: str
    aux: str = ""


@dataclass(frozen=True)
class Block:
    """Consecutive samples; blocks follow each other without a gap and are never empty."""

    counts: NDArray[np.int16]  # shape (n,), ADC zero subtracted
    lead_off: bool = False  # holds for the whole block
    annotations: tuple[Annotation, ...] = ()  # those that lie within the block, in order


class Source(Protocol):
    """One lead of one patient. `blocks` may be called again and gives the same signal."""

    @property
    def name(self) -> str: ...  # the record's name: the default patient id
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
        """Blocks from the sample nearest to `start_s` seconds on, read only as they are asked for."""
        ...
