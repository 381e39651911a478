"""Data that the signal stages hand to the clinical ones: analysed seconds, beats and facts."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ingest.messages import BeatLabel, Noise
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
    readable: float = 1.0  # probability (models/signal/quality.py)
    noise: Noise = ""  # what makes it noisy


class LabelledBeat(NamedTuple):
    """A beat with its class."""

    at: float
    rr_s: float | None
    label: BeatLabel
    confidence: float
    probability: float  # of its class
    ventricular: float  # probability that it is V, whatever it was called
    template: int = -1  # which of the patient's templates it matches (models/beats/templates.py)
    size_mv: float = 0.0  # height of its QRS, from the lowest to the highest
    # its QRS is narrow and like that of the patient's usual beats: it came from above the ventricles
    conducted: bool = False


class Wave(NamedTuple):
    """Movement of cardiac rate without QRS."""

    since: float
    kind: Literal["VT", "VF"]
    rate: float  # a minute
    lasting: bool  # long enough to be reported


class Moment(NamedTuple):
    """The facts of a patient's signal at a moment. Positions are samples at 125 Hz."""

    lead_off: float | None = None  # since when
    quiet: float = 0.0  # the newest R peak, or where readable signal began after that
    moved: float = 0.0  # end of the newest second that moved without a QRS
    wave: Wave | None = None
    run: tuple[float, ...] = ()  # V beats in a row, the newest ones
    tachycardia: tuple[float, ...] = ()  # the newest beats of a VT that goes on
    tachycardia_since: float = 0.0

    def silence_s(self, now: float) -> float:
        """Seconds without a QRS in which nothing moved."""
        if self.lead_off is not None or self.wave is not None:
            return 0.0
        return max(0.0, (now - max(self.quiet, self.moved)) / FS_HZ)


class SecondFacts(NamedTuple):
    """The facts of a second's signal and beats, moment by moment."""

    before: Moment = Moment()  # before its first beat
    beats: tuple[Moment, ...] = ()  # after each beat
    after: Moment = Moment()  # at its end


class Beats(NamedTuple):
    """An AnalysedSecond whose complexes have become beats."""

    second: AnalysedSecond
    beats: tuple[LabelledBeat, ...]
    facts: SecondFacts = SecondFacts()


def is_lead_off(second: AnalysedSecond) -> bool:
    """True if the device says so, or the raw samples have not changed for 2 s."""
    return second.lead_off or second.still_s >= LEAD_OFF_S
