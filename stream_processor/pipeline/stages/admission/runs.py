"""Data of admission: a stream and its sender, what is remembered of a patient, and runs of
consecutive samples."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.messages import SampleChunk
from stream_processor.pipeline.stages.admission.contenders import Contender


class Stream(msgspec.Struct):
    """The sender and timeline of a stream: sample n was taken at start_ns + n / fs."""

    patient_id: str
    device_id: str
    lead: str
    fs_hz: float
    counts_per_mv: float
    start_ns: int
    next_sample: int  # one past the last sample admitted


class AdmissionState(msgspec.Struct):
    """All that admission remembers of a patient."""

    stream: Stream
    start_ns: int  # of the stream, by the newest chunk: clocks drift, and step
    head: bytes | None = None  # first samples; None for a stream that we joined late
    contested: bool = False  # another sender has been seen
    contenders: list[Contender] = []


@dataclass
class Run:
    """Consecutive new samples of one patient, and what happened just before and after them."""

    patient_id: str
    opens: Stream | None = None  # a stream starts here
    restarted: bool = False  # with the same device's earlier stream unfinished
    missing: int = 0  # samples lost just before this run
    first_sample: int = 0
    lead_off: bool = False
    ends: bool = False  # the stream ends after this run
    battery: float | None = None
    fault: str = ""
    refused: str = ""  # who else sent as this patient just before, and was refused
    parts: list[npt.NDArray[np.int16]] = field(default_factory=list)

    @property
    def next_sample(self) -> int:
        """One past the last one."""
        return self.first_sample + sum(map(len, self.parts))

    def counts(self) -> npt.NDArray[np.int16]:
        """The samples of the run."""
        return (
            self.parts[0]
            if len(self.parts) == 1
            else np.concatenate(self.parts or [np.zeros(0, np.int16)])
        )


@dataclass
class AdmissionCounts:
    """Counts of admitted and dropped input since the start."""

    chunks: int = 0
    samples: int = 0
    duplicates: int = 0  # chunks, or parts of chunks, seen before
    gaps: int = 0
    missing: int = 0  # samples
    streams: int = 0
    refused: int = 0  # chunks of another sender, or far ahead of their stream


def sender_of(who: Stream | SampleChunk) -> tuple[str, str, float]:
    """Device, lead and rate: what makes a sender another one."""
    return who.device_id, who.lead, who.fs_hz


def name_of(who: Stream | SampleChunk) -> str:
    """Device, lead and rate of a sender, for people."""
    return " ".join(filter(None, (who.device_id, who.lead, f"{who.fs_hz:g} Hz")))


def continues(before: Run, run: Run) -> bool:
    """Whether `run` belongs to the run before it: same state, nothing between."""
    state_before = before.lead_off, before.battery, before.fault
    state = run.lead_off, run.battery, run.fault
    apart = before.ends or run.opens or run.missing or run.refused
    return not apart and state_before == state
