"""Alarms of a stream that holds RR intervals only: which of them intervals justify, and how the
engine goes on where beats are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import msgspec

from ingest.messages import AlarmKind
from models.signal.conditioning import FS_HZ
from stream_processor.pipeline.alarms.engine import AlarmEngine, AlarmStep
from stream_processor.pipeline.alarms.profiles import Profile
from stream_processor.pipeline.stages.rr_only import RrSecond

# Never asystole: a strap that finds no beat sends no interval, for whatever reason. Never VF, VT or
# AF: no interval shows them.
JUSTIFIED: frozenset[AlarmKind] = frozenset(
    {
        "extreme_tachycardia",
        "extreme_bradycardia",
        "pause",
        "hr_high",
        "hr_low",
        "lead_off",
        "no_signal",
        "gap",
        "battery",
        "device",
        "two_senders",
        "restart",
    }
)


def by_rr(profile: Profile) -> Profile:
    """Return the profile with every alarm switched off that RR intervals do not justify."""
    off = [kind for kind in get_args(AlarmKind) if kind not in JUSTIFIED]
    return msgspec.structs.replace(profile, off=tuple(dict.fromkeys([*profile.off, *off])))


def rr_steps(engine: AlarmEngine, seconds: Sequence[RrSecond]) -> list[AlarmStep]:
    """Pass the seconds to the engine; rates are counted anew where beats are missing."""
    steps: list[AlarmStep] = []
    for second in seconds:
        if second.broken:
            engine.restart(second.row, second.signs.until - FS_HZ)
        steps += engine.push(([second.beats], [second.signs], [second.spans]))
    return steps
