"""The alarms, one row each, worst first: everything that is always so of a kind of alarm.

Definitions and sources: docs/alarms.md. Rules, chains and the page's words come from here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from ingest.messages import AlarmKind, Priority
from stream_processor.pipeline.alarms import rules
from stream_processor.pipeline.alarms.facts import Facts
from stream_processor.pipeline.alarms.profiles import Profile

Rule = Callable[[Facts, Profile, bool], rules.Answer]


class AlarmRow(NamedTuple):
    """The fixed properties of one kind of alarm."""

    priority: Priority
    name: str  # as the page and reports say it
    text: str  # with {value}, {limit} and {detail}
    # when it holds; None: it happens (transient_alarms.py, the ward), and stands for a while
    rule: Rule | None = None
    # A rule can begin to answer otherwise with every beat, with every second, or, as silence grows
    # between beats and ends with one, with both. Evaluating only then cuts the cost to a third.
    when: Literal["beat", "second", "beat and second"] = "second"
    ends_with_beat: bool = False  # also evaluated at a beat while it holds: the beat ends it
    latching: bool = False
    technical: bool = False
    remedy: str = ""  # of a technical alarm
    # the kinds just worse than this one: while they, or those worse than they, hold, this one is
    # recorded and not announced
    below: tuple[AlarmKind, ...] = ()
    announces_end: AlarmKind | None = None  # what happens when it ends


CATALOGUE: dict[AlarmKind, AlarmRow] = {
    "asystole": AlarmRow(
        "high",
        "Asystole",
        "ASYSTOLE {value:.0f} s",
        rules.asystole,
        "beat and second",
        latching=True,
    ),
    "ventricular_fibrillation": AlarmRow(
        "high",
        "Ventricular fibrillation",
        "VENTRICULAR FIBRILLATION",
        rules.ventricular_fibrillation,
        ends_with_beat=True,
        latching=True,
    ),
    "ventricular_tachycardia": AlarmRow(
        "high",
        "Ventricular tachycardia",
        "VENTRICULAR TACHYCARDIA {value:.0f} > {limit:.0f}",
        rules.ventricular_tachycardia,
        "beat and second",
        latching=True,
        below=("ventricular_fibrillation",),
    ),
    "extreme_tachycardia": AlarmRow(
        "high",
        "Extreme tachycardia",
        "EXTREME TACHYCARDIA {value:.0f} > {limit:.0f}",
        rules.extreme_tachycardia,
        "beat",
        latching=True,
        below=("ventricular_tachycardia",),
    ),
    "extreme_bradycardia": AlarmRow(
        "high",
        "Extreme bradycardia",
        "EXTREME BRADYCARDIA {value:.0f} < {limit:.0f}",
        rules.extreme_bradycardia,
        "beat",
        latching=True,
        below=("asystole",),
    ),
    "nonsustained_vt": AlarmRow(
        "medium",
        "Non-sustained VT",
        "NON-SUSTAINED VT {value:.0f} BEATS",
        below=("ventricular_tachycardia",),
    ),
    "ventricular_bradycardia": AlarmRow(
        "medium",
        "Ventricular bradycardia",
        "VENTRICULAR BRADYCARDIA {value:.0f} < {limit:.0f}",
        rules.ventricular_bradycardia,
        "beat",
        below=("extreme_bradycardia",),
    ),
    "ventricular_rhythm": AlarmRow(
        "medium",
        "Ventricular rhythm",
        "VENTRICULAR RHYTHM {value:.0f}",
        rules.ventricular_rhythm,
        "beat",
        below=("ventricular_tachycardia",),
        announces_end="ventricular_rhythm_end",
    ),
    "svt": AlarmRow(
        "medium",
        "SVT",
        "SVT {value:.0f} > {limit:.0f}",
        rules.svt,
        "beat",
        below=("extreme_tachycardia",),
    ),
    "atrial_fibrillation": AlarmRow(
        "medium",
        "Atrial fibrillation",
        "ATRIAL FIBRILLATION",
        rules.atrial_fibrillation,
        announces_end="atrial_fibrillation_end",
    ),
    "pause": AlarmRow(
        "medium",
        "Pause",
        "PAUSE {value:.1f} s > {limit:.1f} s",
        rules.pause,
        "beat and second",
        below=("extreme_bradycardia",),
    ),
    "hr_high": AlarmRow(
        "medium", "HR high", "HR {value:.0f} > {limit:.0f}", rules.hr_high, below=("svt",)
    ),
    "hr_low": AlarmRow(
        "medium", "HR low", "HR {value:.0f} < {limit:.0f}", rules.hr_low, below=("missed_beat",)
    ),
    "missed_beat": AlarmRow(
        "low", "Missed beat", "MISSED BEAT, RR {value:.1f} s", below=("pause",)
    ),
    "pvc_couplet": AlarmRow("low", "PVC couplet", "PVC COUPLET", below=("nonsustained_vt",)),
    "bigeminy": AlarmRow(
        "low",
        "Bigeminy",
        "VENTRICULAR BIGEMINY",
        rules.bigeminy,
        "beat",
        below=("ventricular_rhythm",),
    ),
    "trigeminy": AlarmRow(
        "low", "Trigeminy", "VENTRICULAR TRIGEMINY", rules.trigeminy, "beat", below=("bigeminy",)
    ),
    "r_on_t": AlarmRow("low", "R on T", "R-ON-T PVC, RR {value:.2f} s", below=("pvc_couplet",)),
    "pvc_per_minute": AlarmRow(
        "low",
        "PVC per minute",
        "PVC/min {value:.0f} > {limit:.0f}",
        rules.pvc_per_minute,
        "beat",
        below=("r_on_t", "trigeminy"),
    ),
    "atrial_fibrillation_end": AlarmRow(
        "low", "End of atrial fibrillation", "END OF ATRIAL FIBRILLATION"
    ),
    "ventricular_rhythm_end": AlarmRow(
        "low",
        "End of ventricular rhythm",
        "END OF VENTRICULAR RHYTHM",
        below=("ventricular_tachycardia",),
    ),
    "lead_off": AlarmRow(
        "low",
        "Lead off",
        "Lead off: check electrode",
        rules.lead_off,
        ends_with_beat=True,
        technical=True,
        remedy="check electrode",
    ),
    "no_signal": AlarmRow(
        "low",
        "No signal",
        "No signal: check device and connection",
        technical=True,
        remedy="check device and its connection",
    ),
    "artefact": AlarmRow(
        "low",
        "Artefact",
        "Artefact: heart rate not reliable, check electrode",
        rules.artefact,
        technical=True,
        remedy="check electrodes and movement",
    ),
    "gap": AlarmRow(
        "low",
        "Gap",
        "Gap: {value:.1f} s of signal missing",
        technical=True,
        remedy="samples were lost on the way",
    ),
    "battery": AlarmRow(
        "low",
        "Battery low",
        "Battery {value:.0%}: charge or change it",
        rules.battery,
        technical=True,
        remedy="charge or replace it",
    ),
    "device": AlarmRow(
        "low",
        "Device",
        "Device reports a fault: check device",
        rules.device,
        technical=True,
        remedy="see what the device reports",
    ),
    "two_senders": AlarmRow(
        "medium",
        "Two senders",
        "Two senders for one patient: {detail}",
        rules.two_senders,
        technical=True,
        remedy="switch one of them off",
    ),
    "restart": AlarmRow(
        "low",
        "Device restarted",
        "Device has restarted: a new stream begins",
        technical=True,
        remedy="see why, if it goes on",
    ),
    "input_refused": AlarmRow(
        "medium",
        "Input refused",
        "Input refused: {detail}",
        latching=True,
        technical=True,
        remedy="see ecg.dead-letter",
    ),
    "state_lost": AlarmRow(
        "medium",
        "Begins anew",
        "Begins anew: what was remembered cannot be used",
        latching=True,
        technical=True,
        remedy="check the patient's limits",
    ),
    "store_away": AlarmRow(
        "medium",
        "Store away",
        "Store away: history stands still, alarms go on",
        technical=True,
        remedy="look at the store and its log",
    ),
    "processor_down": AlarmRow(
        "high",
        "Processor down",
        "PROCESSOR DOWN, patients are not watched: {detail}",
        technical=True,
        remedy="look at its log",
    ),
}


def words(kind: AlarmKind, value: float | None, limit: float | None, detail: str = "") -> str:
    """Return the text of an alarm; a value beyond its limit is never rounded onto it."""
    text = CATALOGUE[kind].text
    if value is not None and limit is not None:
        if value > limit >= round(value) and "{value:.0f} > " in text:
            value = math.floor(limit) + 1
        elif value < limit <= round(value) and "{value:.0f} < " in text:
            value = math.ceil(limit) - 1
    return text.format(value=value, limit=limit, detail=detail)


def worse(kind: AlarmKind) -> tuple[AlarmKind, ...]:
    """The kinds that suppress this one while they hold."""
    return _WORSE[kind]


def _all_worse(kind: AlarmKind) -> tuple[AlarmKind, ...]:
    found: dict[AlarmKind, None] = {}
    for next_worse in CATALOGUE[kind].below:
        found |= dict.fromkeys((*_all_worse(next_worse), next_worse))
    return tuple(found)


_WORSE: dict[AlarmKind, tuple[AlarmKind, ...]] = {kind: _all_worse(kind) for kind in CATALOGUE}
AT_A_BEAT: tuple[AlarmKind, ...] = tuple(k for k, row in CATALOGUE.items() if row.when == "beat")
BEFORE_A_BEAT: tuple[AlarmKind, ...] = tuple(
    k for k, row in CATALOGUE.items() if row.when == "beat and second"
)
EVERY_SECOND: tuple[AlarmKind, ...] = tuple(
    k for k, row in CATALOGUE.items() if row.rule and row.when != "beat"
)
