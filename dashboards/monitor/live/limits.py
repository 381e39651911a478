"""A patient's alarm limits in force, as the processor publishes them."""

from __future__ import annotations

from dashboards.monitor.live.views import View, ms
from ingest.messages import Orders
from stream_processor.pipeline.alarms.profiles import LIMITS, Profile


def limits_view(orders: Orders | None, profile: Profile) -> list[View]:
    """Every limit that can be set, with its value. `profile` applies to a patient for whom the
    processor has published no orders, because nobody has changed anything."""
    held = orders.limits if orders else {}
    defaults = orders.defaults if orders else {}
    changed = orders.changed if orders else {}
    return [
        {
            "name": name,
            "label": limit.label,
            "unit": limit.unit,
            "low": limit.low,
            "high": limit.high,
            "value": held.get(name, getattr(profile, name)),
            "default": defaults.get(name, getattr(profile, name)),
            "changed": ms(changed[name].time_ns) if name in changed else None,
            "by": changed[name].by if name in changed else "",
        }
        for name, limit in LIMITS.items()
    ]


def own_limits(orders: Orders | None) -> dict[str, float | None]:
    """The limits that people have set."""
    return {name: change.value for name, change in orders.changed.items()} if orders else {}
