"""Alarms of things that happen rather than hold: known with the beat that ends them. Positions are
samples at 125 Hz."""

from __future__ import annotations

import math

from ingest.messages import AlarmKind
from models.signal.conditioning import FS_HZ
from stream_processor.pipeline.alarms.facts import Facts, RuleBeat
from stream_processor.pipeline.alarms.profiles import Profile
from stream_processor.pipeline.alarms.rules import Condition
from stream_processor.pipeline.stages.seconds import LabelledBeat
from stream_processor.pipeline.stages.tachycardia import RUN_ENDS

Moment = tuple[AlarmKind, Condition]

# From the R peak to the peak of the T wave, in seconds, of a heart rate of 60/min; it goes with the
# square root of the RR interval, as Bazett (1920) has it for QT. The T wave itself is not looked
# for.
T_PEAK_S = 0.28
T_VULNERABLE_S = 0.1
PREMATURE = 0.85  # of the mean RR


def on_beat(f: Facts, beat: LabelledBeat, p: Profile) -> list[Moment]:
    """Return the transient alarms that this beat shows; call it before the facts take the beat."""
    found = (
        run_ended(f, beat.at, p)
        if beat.label != "V" or beat.at - f.signal.quiet >= RUN_ENDS
        else []
    )
    if not f.beats or (mean := f.mean_rr) is None:
        return found
    last, rr = f.beats[-1], (beat.at - f.beats[-1].at) / FS_HZ
    if beat.label == "V" and last.label != "V" and _on_t(rr, mean):
        found.append(("r_on_t", Condition(beat.at, rr, None, beat.at)))
    if p.missed_beat_ratio * mean < rr <= p.pause_s and _is_regular(f, last, mean):
        found.append(("missed_beat", Condition(last.at, rr, p.missed_beat_ratio * mean, beat.at)))
    return found


def run_ended(f: Facts, now: float, p: Profile) -> list[Moment]:
    """Return the alarm of the run of V beats that has ended: a couplet, or a short run at the rate
    of a tachycardia."""
    n = len(f.run)
    if f.signal.tachycardia:
        return []
    if n == 2:
        return [("pvc_couplet", Condition(f.run[0], 2, None, f.run[-1]))]
    if 3 <= n < p.vt_beats and 60 * FS_HZ * (n - 1) / (f.run[-1] - f.run[0]) > p.vt_bpm:
        return [("nonsustained_vt", Condition(f.run[0], n, None, f.run[-1]))]
    return []


def _on_t(rr: float, mean: float) -> bool:
    """On the T wave of the beat before, or within a third of the mean RR at less than 100/min."""
    return rr <= T_PEAK_S * math.sqrt(mean) + T_VULNERABLE_S or (mean > 0.6 and rr < mean / 3)


def _is_regular(f: Facts, last: RuleBeat, mean: float) -> bool:
    """Whether a long interval means a beat that did not come: not after a premature beat, not in
    atrial fibrillation."""
    before = f.beats[-2].at if len(f.beats) > 1 else None
    premature = last.label != "N" or (
        before is not None and (last.at - before) / FS_HZ < PREMATURE * mean
    )
    return not premature and f.af is None
