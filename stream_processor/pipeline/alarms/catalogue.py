"""The alarms, as a table: priority, whether they latch, and what is said. And the chains, worst
first.

Definitions and sources: docs/alarms.md. Within a chain only the worst of those that hold is
announced; the others are recorded all the same.
"""

from __future__ import annotations

from typing import NamedTuple

from ingest.messages import AlarmKind, Priority


class Kind(NamedTuple):
    """What is always so of one kind of alarm."""

    priority: Priority
    latching: bool
    text: str  # with {value} and {limit}
    technical: bool = False


CATALOGUE: dict[AlarmKind, Kind] = {
    "asystole": Kind("high", True, "ASYSTOLE {value:.0f} s"),
    "ventricular_fibrillation": Kind("high", True, "VENTRICULAR FIBRILLATION"),
    "ventricular_tachycardia": Kind(
        "high", True, "VENTRICULAR TACHYCARDIA {value:.0f} > {limit:.0f}"
    ),
    "extreme_tachycardia": Kind("high", True, "EXTREME TACHYCARDIA {value:.0f} > {limit:.0f}"),
    "extreme_bradycardia": Kind("high", True, "EXTREME BRADYCARDIA {value:.0f} < {limit:.0f}"),
    "nonsustained_vt": Kind("medium", False, "NON-SUSTAINED VT {value:.0f} BEATS"),
    "ventricular_bradycardia": Kind(
        "medium", False, "VENTRICULAR BRADYCARDIA {value:.0f} < {limit:.0f}"
    ),
    "ventricular_rhythm": Kind("medium", False, "VENTRICULAR RHYTHM {value:.0f}"),
    "svt": Kind("medium", False, "SVT {value:.0f} > {limit:.0f}"),
    "atrial_fibrillation": Kind("medium", False, "ATRIAL FIBRILLATION"),
    "pause": Kind("medium", False, "PAUSE {value:.1f} s > {limit:.1f} s"),
    "hr_high": Kind("medium", False, "HR {value:.0f} > {limit:.0f}"),
    "hr_low": Kind("medium", False, "HR {value:.0f} < {limit:.0f}"),
    "missed_beat": Kind("low", False, "MISSED BEAT, RR {value:.1f} s"),
    "pvc_couplet": Kind("low", False, "PVC COUPLET"),
    "bigeminy": Kind("low", False, "VENTRICULAR BIGEMINY"),
    "trigeminy": Kind("low", False, "VENTRICULAR TRIGEMINY"),
    "r_on_t": Kind("low", False, "R-ON-T PVC, RR {value:.2f} s"),
    "pvc_per_minute": Kind("low", False, "PVC/min {value:.0f} > {limit:.0f}"),
    "atrial_fibrillation_end": Kind("low", False, "END OF ATRIAL FIBRILLATION"),
    "lead_off": Kind("low", False, "Lead off: check electrode", technical=True),
    "no_signal": Kind("low", False, "No signal: check device and connection", technical=True),
    "artefact": Kind(
        "low", False, "Artefact: heart rate not reliable, check electrode", technical=True
    ),
    "gap": Kind("low", False, "Gap: {value:.1f} s of signal missing", technical=True),
    "battery": Kind("low", False, "Battery {value:.0%}: charge or change it", technical=True),
    "device": Kind("low", False, "Device reports a fault: check device", technical=True),
}

CHAINS: tuple[tuple[AlarmKind, ...], ...] = (
    ("asystole", "extreme_bradycardia", "pause", "missed_beat", "hr_low"),
    ("asystole", "extreme_bradycardia", "ventricular_bradycardia"),
    (
        "ventricular_fibrillation",
        "ventricular_tachycardia",
        "extreme_tachycardia",
        "svt",
        "hr_high",
    ),
    (
        "ventricular_fibrillation",
        "ventricular_tachycardia",
        "nonsustained_vt",
        "pvc_couplet",
        "r_on_t",
        "pvc_per_minute",
    ),
    ("ventricular_tachycardia", "ventricular_rhythm", "bigeminy", "trigeminy", "pvc_per_minute"),
)


def worse(kind: AlarmKind) -> tuple[AlarmKind, ...]:
    """The kinds that hold this one back while they hold."""
    return _WORSE[kind]


_WORSE: dict[AlarmKind, tuple[AlarmKind, ...]] = {
    kind: tuple(
        dict.fromkeys(k for chain in CHAINS if kind in chain for k in chain[: chain.index(kind)])
    )
    for kind in CATALOGUE
}
