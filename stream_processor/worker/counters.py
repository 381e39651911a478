"""Counters of the stream processor, for its log line and its metrics."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass


@dataclass
class Counters:
    """Totals since the start, except the fields whose comment says "now"."""

    messages: int = 0  # taken from ecg.samples
    chunks: int = 0  # of these, handed to the ward
    replayed: int = 0  # already inside a restored snapshot
    dead_letters: int = 0
    refused: int = 0  # chunks and actions that would break the ward
    rebuilds: int = 0  # times that the ward broke
    states_lost: int = 0  # snapshots that could not be used
    beats: int = 0
    alarms: int = 0
    events: int = 0
    snapshots: int = 0
    snapshot_bytes: int = 0
    commits: int = 0
    store_refusals: int = 0  # times the store was busy
    unfit: int = 0  # events that the store will never take, on the dead-letter topic
    slices: int = 0
    slice_s: float = 0.0  # spent in slices
    slowest_slice_s: float = 0.0  # since the last line
    snapshot_s: float = 0.0  # spent taking snapshots
    patients: int = 0  # open now
    lag: int = 0  # messages behind the end of the topic now
    pending: int = 0  # messages fetched and not yet processed now
    unstored: int = 0  # messages that the store does not have yet now
    latency_p50_s: float = math.nan  # from a live beat to its event, since the last line
    latency_p99_s: float = math.nan

    def as_dict(self) -> dict[str, float]:
        """Every counter by name."""
        return dataclasses.asdict(self)

    def line(self) -> str:
        """One line for the log; what it shows since the last line starts anew."""
        text = " ".join(
            f"{name}={value:.3f}" if isinstance(value, float) else f"{name}={value}"
            for name, value in self.as_dict().items()
        )
        self.slowest_slice_s = 0.0
        return text
