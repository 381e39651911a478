"""One stream, as the ingest server knows it."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.wire import Reply

Done = asyncio.Future[None]


@dataclass
class IngestStream:
    """One stream and how far it has come."""

    id: str
    device_id: str
    patient_id: str
    stay_ns: int
    lead: str
    fs_hz: float
    counts_per_mv: float
    start_ns: int
    heard_ns: int
    next_sample: int = 0  # behind the last sample taken
    kept: int = 0  # behind the last sample that Kafka has
    seq: int = 0
    sure: bool = True  # False: after a restart more may have been taken than is known here
    battery: float | None = None
    battery_s: float = 0.0  # when the battery level was last reported
    over: str = ""
    recent: OrderedDict[tuple[int, int], tuple[bytes, Done]] = field(default_factory=OrderedDict)
    listeners: set[Callable[[Reply], None]] = field(default_factory=set)
