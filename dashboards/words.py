"""Names of rhythms and alarms for people, used alike by the page, reports and the API."""

from __future__ import annotations

from typing import NamedTuple

from ingest.messages import RhythmLabel
from stream_processor.pipeline.alarms.catalogue import CATALOGUE


class RhythmName(NamedTuple):
    """The names of a rhythm."""

    short: str  # fits a tile of the ward
    full: str


RHYTHMS: dict[RhythmLabel, RhythmName] = {
    "N": RhythmName("Sinus", "Sinus rhythm"),
    "SBR": RhythmName("Sinus brady", "Sinus bradycardia"),
    "STACH": RhythmName("Sinus tachy", "Sinus tachycardia"),
    "SARR": RhythmName("Sinus arrhyt", "Sinus arrhythmia"),
    "AFIB": RhythmName("Atrial fib", "Atrial fibrillation"),
    "SVTA": RhythmName("SVT", "Supraventricular tachycardia"),
    "IVR": RhythmName("V rhythm", "Ventricular rhythm"),
    "VT": RhythmName("V-tach", "Ventricular tachycardia"),
    "VFL": RhythmName("V-flutter", "Ventricular flutter"),
    "VF": RhythmName("V-fib", "Ventricular fibrillation"),
    "ASYS": RhythmName("Asystole", "Asystole"),
    "B": RhythmName("Bigeminy", "Ventricular bigeminy"),
    "T": RhythmName("Trigeminy", "Ventricular trigeminy"),
    "P": RhythmName("Paced", "Paced rhythm"),
    "PAUSE": RhythmName("Pause", "Pause"),
    "U": RhythmName("Unclassified", "Unclassified rhythm"),
    "O": RhythmName("Unclassified", "Unclassified rhythm"),  # stored by earlier versions
    "~": RhythmName("Unreadable", "Unreadable"),
}

# the answer of GET /api/words, which a page asks for once
WORDS = {
    "rhythms": {label: name._asdict() for label, name in RHYTHMS.items()},
    "alarms": {
        kind: {"name": row.name, "priority": row.priority, "remedy": row.remedy}
        for kind, row in CATALOGUE.items()
    },
}
