"""What the signal stages hand to the clinical ones: one analysed second of one patient after the
other."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ingest.messages import BeatLabel
from models.signal.conditioning import FS_HZ

LEAD_OFF_S = 2.0  # without any change in the raw samples


class Complex(NamedTuple):
    """A QRS complex as the network found it."""

    at: float  # R peak, in samples at 125 Hz since the start of the stream
    confidence: float
    shape: bytes = b""  # the signal around it in mV: float32 (models/beats/templates.py, SHAPE)


class AnalysedSecond(NamedTuple):
    """A second of one row: everything before `until` is known by now. Positions are samples at 125
    Hz since the start of the stream."""

    row: int
    k: int  # place on the grid
    until: int
    needed: int  # one past the last sample of signal that was looked at
    complexes: tuple[Complex, ...]
    # probability of VF or ventricular flutter; 0 until the lethal-rhythm task has answered
    fibrillation: float
    noisy: bool  # not readable
    # without a QRS, but no silence either: the baseline jumps, or something large and quick is
    # there
    unsure: bool
    still_s: float  # how long the raw samples have not changed by now
    lead_off: bool  # the device says so
    # what the backbone found for the tasks that look back: float16 (4, 1 + channels), the signal's
    # size before them
    steps: bytes = b""
    tachycardia: float = 0.0  # probability of VT, as of fibrillation
    standstill: float = 0.0  # probability of asystole, as of fibrillation
    # how the signal moves (models/signal/movement.py): mV of this second and of its stillest half,
    # at which rate a minute, and how regularly
    moves_mv: float = 0.0
    least_mv: float = 0.0
    rate: float = 0.0
    regular: float = 0.0


class LabelledBeat(NamedTuple):
    """A beat with its class."""

    at: float
    rr_s: float | None
    label: BeatLabel
    confidence: float
    probability: float  # of its class
    ventricular: float  # probability that it is V, whatever it was called
    form: int = -1  # which of the patient's usual shapes it has (models/beats/templates.py)
    size_mv: float = 0.0  # height of its QRS, from the lowest to the highest


class Beats(NamedTuple):
    """A Second with its complexes made beats."""

    second: AnalysedSecond
    beats: tuple[LabelledBeat, ...]


FIBRILLATORY, WAVERING = 0.5, 0.25


class Fibrillation(msgspec.Struct):
    """Since when the signal shows a fibrillatory wave, in samples.

    It takes a second at FIBRILLATORY to say so; seconds without a QRS at WAVERING before and after
    it belong to it.
    """

    since: int | None = None
    wavering: int | None = None

    def take(self, second: AnalysedSecond) -> None:
        """Follow the next second."""
        wavers = second.fibrillation >= FIBRILLATORY or (
            not second.complexes and second.fibrillation >= WAVERING
        )
        if not wavers:
            self.since = self.wavering = None
            return
        self.wavering = second.until - FS_HZ if self.wavering is None else self.wavering
        if second.fibrillation >= FIBRILLATORY and self.since is None:
            self.since = self.wavering


def is_lead_off(second: AnalysedSecond) -> bool:
    """The device says so, or the raw samples have stood still for 2 s."""
    return second.lead_off or second.still_s >= LEAD_OFF_S


SILENCE_UNSURE_S = 7.0  # silence that is an asystole even where the signal is unsure


def silence_s(now: float, quiet: float, unsure: float) -> float:
    """Seconds of silence that count, given the newest R peak (`quiet`) and the end of the newest
    unsure second, in samples.

    An overloaded amplifier, or an electrode that lets go, looks like silence after its jump; a
    fibrillatory wave that the network does not know is no silence. Both only hold the alarm back
    for a while: what lasts 7 s counts whole.
    """
    whole, sure = (now - quiet) / FS_HZ, (now - max(quiet, unsure)) / FS_HZ
    return whole if whole >= SILENCE_UNSURE_S else sure
