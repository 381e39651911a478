"""What is known of one patient at a moment: what the rules look at. Positions are samples at 125
Hz."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ingest.messages import BeatLabel
from models.signal.conditioning import FS_HZ
from stream_processor.pipeline.alarms.profiles import Profile
from stream_processor.pipeline.stages.rhythm import Span
from stream_processor.pipeline.stages.seconds import (
    AnalysedSecond,
    Fibrillation,
    LabelledBeat,
    is_lead_off,
)

BEATS_KEPT = 24
MEAN_OF = 8  # RR intervals of the running mean
RUN_ENDS = 3 * FS_HZ  # without a beat, a run of V beats is over (20/min)
MINUTE = 60 * FS_HZ
LETHAL_OF = 4  # seconds
LASTING_S = 4.0  # from which a fibrillatory wave is an episode


class Known(NamedTuple):
    """A beat as the rules know it."""

    at: float
    label: BeatLabel
    ventricular: float  # probability


class Facts(msgspec.Struct):
    """Kept up by `take_*` below; times of things that began are None while they do not hold."""

    now: float = 0.0
    quiet: float = 0.0  # the newest R peak, or where readable signal began after that
    unsure: float = 0.0  # end of the newest second without QRS that was no silence either
    beats: list[Known] = []  # newest last, since the last gap, lead-off or fibrillation
    run: list[float] = []  # the run of V beats that is going on
    pvcs: list[float] = []  # V beats of the last minute
    rr: list[float] = []  # the newest intervals between beats that are not V, s
    hr: float | None = None
    wave: Fibrillation = msgspec.field(default_factory=Fibrillation)
    fibrillating: float | None = None
    # probability of VT or VF, by the network for lethal rhythms, of the last LETHAL_OF seconds
    lethal: list[float] = []
    lead_off: float | None = None
    noisy_s: int = 0
    af: float | None = None  # where the AF episode began
    af_until: float = 0.0  # where its last AF so far ended
    not_af: float = 0.0  # readable signal without AF since then, samples
    battery: float | None = None
    fault: str = ""
    refused: str = ""  # the senders of which one was refused, and when last
    refused_at: float = 0.0

    @property
    def lethal_mean(self) -> float:
        """Mean probability of VT or VF over the last seconds."""
        return sum(self.lethal) / LETHAL_OF

    @property
    def mean_rr(self) -> float | None:
        """Running mean of the RR interval in seconds, None before there are four."""
        return sum(self.rr) / len(self.rr) if len(self.rr) >= 4 else None


def take_signal(f: Facts, second: AnalysedSecond) -> None:
    """Follow lead-off and fibrillation; after either, beats and silence are counted anew."""
    start, off, shook = second.until - FS_HZ, is_lead_off(second), f.fibrillating
    f.wave.take(second)
    f.lethal = [*f.lethal[-LETHAL_OF + 1 :], second.fibrillation + second.tachycardia]
    f.fibrillating = f.wave.since
    shaking = f.fibrillating is not None
    if off and f.lead_off is None:
        f.lead_off = start if second.lead_off else second.needed - second.still_s * FS_HZ
    # a shorter wave breaks no silence
    ended = shook is not None and not shaking and start - shook >= LASTING_S * FS_HZ
    if (f.lead_off is not None and not off) or ended:
        f.quiet = max(f.quiet, float(start if f.lead_off is None else second.until))
    if second.unsure:
        f.unsure = float(second.until)
    if off or shaking:
        f.beats, f.run = [], []
    f.lead_off = f.lead_off if off else None
    f.pvcs = [at for at in f.pvcs if at > second.until - MINUTE]


def take_beat(f: Facts, beat: LabelledBeat, profile: Profile) -> None:
    """A beat; after an asystole, which has an alarm of its own, rates are counted anew."""
    kept = f.beats[-BEATS_KEPT + 1 :] if beat.at - f.quiet < profile.asystole_s * FS_HZ else []
    if kept and beat.label != "V" and kept[-1].label != "V":
        f.rr = [*f.rr[-MEAN_OF + 1 :], (beat.at - kept[-1].at) / FS_HZ]
    if beat.label == "V":
        f.run = [*f.run, beat.at] if f.run and beat.at - f.run[-1] < RUN_ENDS else [beat.at]
        f.pvcs = [*f.pvcs, beat.at]
    else:
        f.run = []
    f.quiet, f.beats = beat.at, [*kept, Known(beat.at, beat.label, beat.ventricular)]


def take_span(f: Facts, span: Span, profile: Profile) -> None:
    """Follow AF episodes: a shorter time without AF, and what is unreadable, do not end one that
    has been alarmed."""
    if span.label == "AFIB":
        if f.af is None:
            f.af = span.start
        f.af_until, f.not_af = span.end, 0.0
    elif span.label != "~" and f.af is not None:
        f.not_af += span.end - span.start
        alarmed = f.af_until - f.af >= profile.af_s * FS_HZ
        if not alarmed or f.not_af >= profile.af_end_s * FS_HZ:
            f.af = None


def restart(f: Facts, sample: float, *, silent: bool) -> None:
    """Go on after a gap; a silence that was going on is still going on."""
    f.beats, f.run, f.lethal, f.wave, f.fibrillating, f.now = (
        [],
        [],
        [],
        Fibrillation(),
        None,
        sample,
    )
    if not silent:
        f.quiet = sample
