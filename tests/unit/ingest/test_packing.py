"""Packed samples come back, and other bytes are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.packing import MISSING, pack, unpack


@given(st.lists(st.integers(-32768, 32767), max_size=300))
def test_packed_samples_come_back(counts: list[int]) -> None:
    assert unpack(pack(np.array(counts, dtype=np.int16))).tolist() == counts


def test_an_ecg_takes_about_half() -> None:
    t = np.arange(2500) / 250
    ecg = (
        200 * np.exp(-((t % 0.8 - 0.4) ** 2) / 0.0005)
        + 20 * np.sin(t)
        + np.random.default_rng(1).normal(0, 2, len(t))
    )
    counts = ecg.astype(np.int16)
    assert len(pack(counts)) < 0.6 * counts.nbytes
    assert len(pack(np.full(2500, MISSING, np.int16))) < 50


def test_other_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="not packed samples"):
        unpack(b"no samples")
