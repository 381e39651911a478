"""The alarms, as a table: priority, whether they latch, and what is said. And the chains, worst first.

Definitions and sources: docs/alarms.md. Within a chain only the worst of those that hold is announced; the others are recorded all the
same.
"""

from __future__ import annotations

from typing import NamedTuple

from ingest.messages import AlarmKind, Priority


class Kind(NamedTuple):
    """What is always so of one kind of alarm."""

    priority: Priority
    latching: bool
    text: str  # with {value} and {limit}


CATALOGUE: dict[AlarmKind, Kind] = {
    "asystole": Kind("high", True, "ASYSTOLE {value:.0f} s"),
    "ventricular_fibrillation": Kind("high", True, "VENTRICULAR FIBRILLATION"),
    "ventricular_tachycardia": Kind("high", True, "VENTRICULAR TACHYCARDIA {value:.0f} > {limit:.0f}"),
    "extreme_tachycardia": Kind("high", True, "EXTREME TACHYCARDIA {value:.0f} > {limit:.0f}"),
    "extreme_bradycardia": Kind("high", True, "EXTREME BRADYCARDIA {value:.0f} < {limit:.0f}"),
    "atrial_fibrillation": Kind("medium", False, "ATRIAL FIBRILLATION"),
    "pause": Kind("medium", False, "PAUSE {value:.1f} s > {limit:.1f} s"),
    "hr_high": Kind("medium", False, "HR {value:.0f} > {limit:.0f}"),
    "hr_low": Kind("medium", False, "HR {value:.0f} < {limit:.0f}"),
    "lead_off": Kind("low", False, "Lead off: check electrode"),
    "no_signal": Kind("low", False, "No signal: check device and connection"),
    "artefact": Kind("low", False, "Artefact: heart rate not reliable, check electrode"),
    "gap": Kind("low", False, "Gap: {value:.1f} s of signal missing"),
}  # fmt: skip

CHAINS: tuple[tuple[AlarmKind, ...], ...] = (
    ("asystole", "extreme_bradycardia", "pause", "hr_low"),
    ("ventricular_fibrillation", "ventricular_tachycardia", "extreme_tachycardia", "hr_high"),
)


def worse(kind: AlarmKind) -> tuple[AlarmKind, ...]:
    """The kinds that hold this one back while they hold."""
    return tuple(k for chain in CHAINS if kind in chain for k in chain[: chain.index(kind)])
