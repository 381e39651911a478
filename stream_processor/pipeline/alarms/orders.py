"""Orders of people about a patient's alarms (acknowledgement, silence, limits), as published and as
resumed after a crash.

The life cycle decides, publishes it as a message of its own at once (ecg.orders), and goes on with the
newest of these when it starts again. An order thus outlives a crash between it and the next
snapshot, and a page needs to work nothing out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ingest.messages import Acknowledgement, Alarm, Orders
from stream_processor.pipeline.alarms.profiles import LIMITS, Profile
from stream_processor.pipeline.alarms.standing import PatientAlarms, Standing

KEPT = 30  # acknowledgements


def orders_of(
    patient_id: str, patient: PatientAlarms, holding: Profile, profile: Profile
) -> Orders:
    """Return the orders in force now; `profile` has the limits without those that people set."""
    return Orders(
        patient_id=patient_id,
        now_ns=patient.now_ns,
        silenced={
            kind: (until - patient.now_ns) / 1e9
            for kind, until in patient.silenced.items()
            if until > patient.now_ns
        },
        limits=_values(holding),
        defaults=_values(profile),
        changed=dict(patient.changed),
        off=holding.off,
        default_off=profile.off,
        switched=dict(patient.switched),
        profile=patient.profile,
        acknowledged=dict(patient.acknowledged),
        acted=dict(patient.acted),
    )


def resumed_after(patient: PatientAlarms, orders: Orders) -> list[Alarm]:
    """Make the patient's memory, of an earlier moment, hold what these orders say. Returns the steps
    of alarms that were acknowledged in between."""
    if not _is_newer(orders.acted, patient.acted):
        return []
    patient.now_ns = patient.now_ns or orders.now_ns
    patient.silenced = {
        kind: patient.now_ns + round(left_s * 1e9) for kind, left_s in orders.silenced.items()
    }
    patient.changed = dict(orders.changed)
    patient.switched = dict(orders.switched)
    patient.profile = orders.profile
    patient.limits = {name: change.value for name, change in orders.changed.items()}
    patient.acknowledged = dict(orders.acknowledged)
    patient.acted = dict(orders.acted)
    found: list[Alarm] = []
    for id_, given in patient.acknowledged.items():
        standing = patient.standing.get(id_)
        if standing is not None and given.at_ns >= standing.alarm.changed_ns:
            found += acknowledge(patient, [standing], given)
    return found


def acknowledge(
    patient: PatientAlarms, standing: Iterable[Standing], given: Acknowledgement
) -> list[Alarm]:
    """Acknowledge those of the alarms that nobody had acknowledged; return their steps."""
    found: list[Alarm] = []
    for s in list(standing):
        if s.alarm.acknowledged_ns is not None:
            continue
        # one that came before its alarm was raised again counts from there
        s.called_ns = at_ns = max(given.at_ns, s.alarm.changed_ns)
        s.alarm = msgspec.structs.replace(
            s.alarm,
            step="acknowledged",
            changed_ns=at_ns,
            acknowledged_ns=given.time_ns,
            acknowledged_by=given.by,
        )
        if s.over:
            patient.standing.pop(s.alarm.id, None)
        note_acknowledged(patient, s.alarm.id, given)
        found.append(s.alarm)
    return found


def note_acknowledged(patient: PatientAlarms, alarm_id: str, given: Acknowledgement) -> None:
    """Remember an acknowledgement, and forget the oldest beyond KEPT."""
    patient.acknowledged.pop(alarm_id, None)
    patient.acknowledged[alarm_id] = given
    while len(patient.acknowledged) > KEPT:
        del patient.acknowledged[next(iter(patient.acknowledged))]


def _is_newer(places: Mapping[int, int], than: Mapping[int, int]) -> bool:
    """Whether `places` are at or past those of `than` in every partition."""
    return all(places.get(partition, 0) >= place for partition, place in than.items())


def _values(profile: Profile) -> dict[str, float]:
    return {name: float(getattr(profile, name)) for name in LIMITS}
