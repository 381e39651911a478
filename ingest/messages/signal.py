"""Messages of the incoming signal and of reference annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ingest.messages.kinds import SCHEMA, sample_offset_ns

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class SampleChunk(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive samples of one lead (usually 0.2-1 s). Topic ecg.samples, key =
    patient_id.

    A stream starts with a chunk whose `first_sample` is 0; the next chunk's `first_sample` is this
    one's plus its length, and its `seq` one more. A chunk with `end` set closes the stream: pending
    results are flushed and no "no signal" alarm follows.
    """

    schema: int = SCHEMA
    patient_id: str
    device_id: str
    lead: str
    seq: int
    first_sample: int  # index of the chunk's first sample since the start of the stream
    t0_ns: int  # time of the chunk's first sample
    fs_hz: float
    counts_per_mv: float
    samples: bytes  # int16, little-endian, zero-based (the source has subtracted its ADC zero)
    lead_off: bool = False  # the device says that an electrode is off
    battery: float | None = None  # 0-1, if the device reports it
    fault: str = ""  # any other status that the device reports; "" for none
    end: bool = False

    def counts(self) -> npt.NDArray[np.int16]:
        """The samples, shape (n,), int16, read-only."""
        import numpy as np  # only readers of samples need it: not the command line

        return np.frombuffer(self.samples, dtype="<i2")

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.samples) // 2

    @property
    def start_ns(self) -> int:
        """Time of the stream's sample 0, derived from this chunk."""
        return self.t0_ns - sample_offset_ns(self.first_sample, self.fs_hz)


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """One reference annotation that came with a record, WFDB symbol and aux note. Topic
    ecg.reference."""

    schema: int = SCHEMA
    patient_id: str
    time_ns: int
    sample: int
    symbol: str
    aux: str = ""
