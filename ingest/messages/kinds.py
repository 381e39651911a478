"""Vocabularies of the messages (alarm kinds, rhythms, priorities, ...), and the one rule by which
times are rounded."""

from __future__ import annotations

from typing import Literal

SCHEMA = 1

BeatLabel = Literal["N", "S", "V", "F", "Q"]
# As annotations of the MIT-BIH databases have them, and STACH sinus tachycardia, SARR sinus
# arrhythmia, PAUSE, U unclassified; O ("other") is a class of CinC 2017 for whole records.
RhythmLabel = Literal[
    "N",
    "SBR",
    "STACH",
    "SARR",
    "AFIB",
    "SVTA",
    "IVR",
    "VT",
    "VFL",
    "VF",
    "ASYS",
    "B",
    "T",
    "P",
    "PAUSE",
    "U",
    "O",
    "~",
]
# causes of an unreadable signal
Noise = Literal["", "motion", "contact", "mains", "saturation", "flat"]
Priority = Literal["high", "medium", "low"]
AlarmKind = Literal[
    "asystole",
    "ventricular_fibrillation",
    "ventricular_tachycardia",
    "extreme_tachycardia",
    "extreme_bradycardia",
    "nonsustained_vt",
    "ventricular_rhythm",
    "ventricular_bradycardia",
    "svt",
    "atrial_fibrillation",
    "pause",
    "missed_beat",
    "hr_high",
    "hr_low",
    "pvc_couplet",
    "bigeminy",
    "trigeminy",
    "r_on_t",
    "pvc_per_minute",
    "lead_off",
    "no_signal",
    "artefact",
    "gap",
    "battery",
    "device",
    "atrial_fibrillation_end",
    "two_senders",
    "restart",
    "input_refused",
    "state_lost",
    "store_away",
    "processor_down",
    "ventricular_rhythm_end",
]


def sample_offset_ns(sample: int, fs_hz: float) -> int:
    """Nanoseconds from a stream's sample 0 to the given sample: the one rounding rule for every
    time in the system."""
    return round(sample * 1e9 / fs_hz)
