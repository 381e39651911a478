"""Chunks of samples for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ingest.messages import SampleChunk, sample_offset_ns


def made_chunk(
    patient: str,
    first: int,
    samples: npt.NDArray[Any] | bytes,
    start_ns: int,
    fs_hz: float = 250.0,
    **fields: Any,
) -> SampleChunk:
    """The samples (counts, or int16 as bytes) of a patient's stream from sample `first` on; `fields`
    are any others of SampleChunk."""
    packed = samples if isinstance(samples, bytes) else np.asarray(samples).astype("<i2").tobytes()
    given = {"device_id": "d", "lead": "II", "seq": 0, "counts_per_mv": 200.0} | fields
    return SampleChunk(
        patient_id=patient,
        first_sample=first,
        t0_ns=start_ns + sample_offset_ns(first, fs_hz),
        fs_hz=fs_hz,
        samples=packed,
        **given,
    )
