"""A patient's alarm limits, as the processor has told that they hold."""

from __future__ import annotations

from dashboards.monitor.live.views import View, ms
from ingest.messages import Orders
from stream_processor.pipeline.alarms.profiles import LIMITS, Profile


def limits_view(orders: Orders | None, profile: Profile) -> list[View]:
    """Every limit that can be set. `profile` holds for a patient of whom the processor has told
    nothing: nobody has changed anything."""
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
    """Those that people have set."""
    return {name: change.value for name, change in orders.changed.items()} if orders else {}
