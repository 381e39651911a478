"""A patient's alarm limits in force, as the processor publishes them."""

from __future__ import annotations

from dashboards.monitor.live.views import View, ms
from ingest.messages import Orders
from stream_processor.pipeline.alarms.profiles import LIMITS, ORDER, Profile

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


def own_limits(orders: Orders | None) -> dict[str, float | None]:
    """The limits that people have set."""
    return {name: change.value for name, change in orders.changed.items()} if orders else {}
