"""The facts of one patient at a moment, which the alarm rules read. Positions are samples at 125
Hz."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ingest.messages import BeatLabel
from models.signal.conditioning import FS_HZ
from stream_processor.pipeline.alarms.profiles import Profile
from stream_processor.pipeline.stages.episodes import Span
from stream_processor.pipeline.stages.seconds import AnalysedSecond, LabelledBeat, Moment
from stream_processor.pipeline.stages.signal_facts import SILENT

BEATS_KEPT = 24
MEAN_OF = 8  # RR intervals of the running mean
MINUTE = 60 * FS_HZ


class RuleBeat(NamedTuple):
    """The properties of a beat that the rules read."""

    at: float
    label: BeatLabel
    ventricular: float  # probability


class Facts(msgspec.Struct):
    """Kept up by `take_*` below; times of things that began are None while they do not hold."""

    now: float = 0.0
    signal: Moment = Moment()  # lead-off, silence, waves and runs at this moment
    beats: list[RuleBeat] = []  # newest last, since the last gap, lead-off, wave or tachycardia
    run: list[float] = []  # V beats of the run in progress that is not reported yet
    pvcs: list[float] = []  # V beats of the last minute
    rr: list[float] = []  # the newest intervals between beats that are not V, s
    hr: float | None = None
    noisy_s: int = 0
    af: float | None = None  # where the AF episode began
    af_until: float = 0.0  # where its last AF so far ended
    not_af: float = 0.0  # readable signal without AF since then, samples
    battery: float | None = None
    fault: str = ""
    refused: str = ""  # the senders of which one was refused, and when last
    refused_at: float = 0.0

    @property
    def mean_rr(self) -> float | None:
        """Running mean of the RR interval in seconds, None before there are four."""
        return sum(self.rr) / len(self.rr) if len(self.rr) >= 4 else None


def take_signal(f: Facts, second: AnalysedSecond, signal: Moment) -> None:
    """The next second, and what is known of the signal before its first beat."""
    take_moment(f, signal)
    f.pvcs = [at for at in f.pvcs if at > second.until - MINUTE]


def take_moment(f: Facts, signal: Moment) -> None:
    """Take the present facts of the signal; after lead-off, waves and tachycardias, which have
    alarms of their own, beats are counted anew."""
    over = bool(f.signal.tachycardia) and not signal.tachycardia
    fibrillates = signal.wave is not None and signal.wave.kind == "VF"
    if over or signal.lead_off is not None or fibrillates:
        f.beats, f.run = [], []
    f.signal = signal


def take_beat(f: Facts, beat: LabelledBeat, signal: Moment) -> None:
    """A beat, and what is known of the signal with it; after an asystole, which has an alarm of its
    own, rates are counted anew."""
    silent = beat.at - f.signal.quiet >= SILENT
    take_moment(f, signal)
    kept = [] if silent else f.beats[-BEATS_KEPT + 1 :]
    conducted = beat.label != "V" and not signal.tachycardia
    if kept and conducted and kept[-1].label != "V":
        f.rr = [*f.rr[-MEAN_OF + 1 :], (beat.at - kept[-1].at) / FS_HZ]
    if beat.label == "V":
        f.pvcs = [*f.pvcs, beat.at]
    f.run = list(signal.run)
    f.beats = [*kept, RuleBeat(beat.at, beat.label, beat.ventricular)]


def take_span(f: Facts, span: Span, profile: Profile) -> None:
    """Follow AF episodes: once alarmed, an episode is not ended by a shorter time without AF, nor
    by unreadable signal."""
    if span.label == "AFIB":
        if f.af is None:
            f.af = span.start
        f.af_until, f.not_af = span.end, 0.0
    elif span.label != "~" and f.af is not None:
        f.not_af += span.end - span.start
        alarmed = f.af_until - f.af >= profile.af_s * FS_HZ
        if not alarmed or f.not_af >= profile.af_end_s * FS_HZ:
            f.af = None


def restart(f: Facts, sample: float) -> None:
    """Restart after a gap."""
    f.beats, f.run, f.now = [], [], sample
    f.signal = Moment(quiet=sample)
