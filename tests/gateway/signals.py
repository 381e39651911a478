"""Devices made of numbers: blocks with true times, wrong clocks and radio delay."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ingest.gateway.base import LiveBlock

START_NS = 1_700_000_000 * 10**9
FACTORY_NS = 1_546_300_800 * 10**9


def blocks(
    seconds: float,
    fs_hz: float = 130.0,
    n: int = 73,
    *,
    clock_error: float = 0.0,
    jitter_s: float = 0.0,
    origin_ns: int = FACTORY_NS,
    seed: int = 0,
) -> Iterator[tuple[LiveBlock, float]]:
    """(block, true seconds of its last sample): a 1 Hz sine of 1 mV, sampled at exactly `fs_hz`.

    `clock_error` 0.01: the device's clock counts 0.99 s in a second.
    """  # fmt: skip
    rng = np.random.default_rng(seed)
    for k in range(int(seconds * fs_hz / n)):
        at_s = (k * n + np.arange(n)) / fs_hz
        end_s = float(at_s[-1])
        last_ns = origin_ns + round(end_s * (1 - clock_error) * 1e9)
        received_ns = START_NS + round((end_s + rng.uniform(0, jitter_s)) * 1e9)
        yield LiveBlock(1000 * np.sin(2 * np.pi * at_s), received_ns, last_ns), end_s
