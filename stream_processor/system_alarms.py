"""Alarms of the system itself, which are no patient's: the store is away, say.

They go through ecg.alarms as every alarm does, under an id that no patient can have, so that the
page, the notifier, the store and reconciliation need no second way. Their times are the wall
clock's.
"""

from __future__ import annotations

from ingest.bounds import SYSTEM
from ingest.messages import Alarm, AlarmKind
from stream_processor.pipeline.alarms.catalogue import CATALOGUE


def system_alarm(
    kind: AlarmKind, onset_ns: int, now_ns: int, text: str, *, ended: bool = False
) -> Alarm:
    """A step of such an alarm: its onset, or its end."""
    return Alarm(
        patient_id=SYSTEM,
        device_id="",
        lead="",
        fs_hz=1.0,
        id=f"{SYSTEM}:{kind}:{onset_ns}",
        kind=kind,
        priority=CATALOGUE[kind].priority,
        step="end" if ended else "onset",
        changed_ns=now_ns,
        onset_ns=onset_ns,
        raised_ns=now_ns,
        end_ns=now_ns if ended else None,
        onset_sample=0,
        raised_sample=0,
        end_sample=0 if ended else None,
        text=text,
    )
