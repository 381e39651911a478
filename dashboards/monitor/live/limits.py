"""A patient's alarm limits in force, and the alarms that are off, as the processor publishes them."""

from __future__ import annotations

from dashboards.monitor.live.views import View, ms
from ingest.messages import AlarmKind, Orders
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.pipeline.alarms.profiles import ALWAYS_ON, LIMITS, ORDER, Profile

# The order in which people look for limits: those that are changed most come first.
GROUPS: dict[str, tuple[str, ...]] = {
    "Heart rate": (
        "hr_high_bpm",
        "hr_low_bpm",
        "extreme_tachycardia_bpm",
        "extreme_tachycardia_beats",
        "extreme_bradycardia_bpm",
        "extreme_bradycardia_beats",
    ),
    "Pauses": ("asystole_s", "pause_s", "missed_beat_ratio"),
    "Ventricular": (
        "vt_beats",
        "vt_bpm",
        "fibrillation_s",
        "ventricular_rhythm_bpm",
        "pvc_per_minute",
    ),
    "Supraventricular": ("af_s", "af_end_s", "svt_beats", "svt_bpm"),
    "Signal and device": ("artefact_s", "no_signal_s", "battery"),
    "Repetition": ("refractory_s", "escalate_s"),
}
# The alarms of the same groups. Those of the system itself are no patient's, and are always on.
ALARMS: dict[str, tuple[AlarmKind, ...]] = {
    "Heart rate": ("hr_high", "hr_low", "extreme_tachycardia", "extreme_bradycardia"),
    "Pauses": ("asystole", "pause", "missed_beat"),
    "Ventricular": (
        "ventricular_fibrillation",
        "ventricular_tachycardia",
        "nonsustained_vt",
        "ventricular_rhythm",
        "ventricular_rhythm_end",
        "ventricular_bradycardia",
        "pvc_couplet",
        "bigeminy",
        "trigeminy",
        "r_on_t",
        "pvc_per_minute",
    ),
    "Supraventricular": ("atrial_fibrillation", "atrial_fibrillation_end", "svt"),
    "Signal and device": ("lead_off", "artefact", "no_signal", "gap", "battery", "device"),
}


def limits_view(orders: Orders | None, profile: Profile) -> list[View]:
    """Every limit that can be set, with its value, its group and the limits it must be above and
    below. `profile` applies to a patient for whom the processor has published no orders, because
    nobody has changed anything."""
    held = orders.limits if orders else {}
    defaults = orders.defaults if orders else {}
    changed = orders.changed if orders else {}
    return [
        {
            "name": name,
            "group": group,
            "label": LIMITS[name].label,
            "unit": LIMITS[name].unit,
            "low": LIMITS[name].low,
            "high": LIMITS[name].high,
            "above": [low for low, high in ORDER if high == name],
            "below": [high for low, high in ORDER if low == name],
            "value": held.get(name, getattr(profile, name)),
            "default": defaults.get(name, getattr(profile, name)),
            "changed": ms(changed[name].time_ns) if name in changed else None,
            "by": changed[name].by if name in changed else "",
        }
        for group, names in GROUPS.items()
        for name in names
    ]


def switches_view(orders: Orders | None, profile: Profile) -> list[View]:
    """Every alarm with its group, whether it is on, and who switched it."""
    off, default_off = off_alarms(orders, profile), profile.off
    if orders and orders.default_off is not None:
        default_off = orders.default_off
    switched = orders.switched if orders else {}
    return [
        {
            "kind": kind,
            "group": group,
            "name": CATALOGUE[kind].name,
            "priority": CATALOGUE[kind].priority,
            "on": kind not in off,
            "default": kind not in default_off,
            "always": kind in ALWAYS_ON,
            "changed": ms(switched[kind].time_ns) if kind in switched else None,
            "by": switched[kind].by if kind in switched else "",
        }
        for group, kinds in ALARMS.items()
        for kind in kinds
    ]


def off_alarms(orders: Orders | None, profile: Profile) -> tuple[AlarmKind, ...]:
    """The alarms that are not raised."""
    return orders.off if orders and orders.off is not None else profile.off


def own_limits(orders: Orders | None) -> dict[str, float | None]:
    """The limits that people have set."""
    return {name: change.value for name, change in orders.changed.items()} if orders else {}


def own_switches(orders: Orders | None) -> dict[AlarmKind, bool | None]:
    """The alarms that people have switched on or off."""
    return {kind: switch.on for kind, switch in orders.switched.items()} if orders else {}
