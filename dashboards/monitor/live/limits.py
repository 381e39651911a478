"""A patient's alarm limits that hold: the profile's, and what people changed since."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dashboards.monitor.live.views import View, ms
from ingest.messages import Action
from stream_processor.pipeline.alarms.profiles import LIMITS, Profile, with_limits


class Change(NamedTuple):
    """Who changed a limit, and when."""

    time_ns: int
    by: str


def given_profile(actions: Iterable[Action]) -> str:
    """The name of the profile that people gave the patient, actions oldest first; "" for none."""
    names = [action.profile for action in actions if action.action == "profile"]
    return names[-1] if names else ""


def effective(base: Profile, actions: Iterable[Action]) -> tuple[Profile, dict[str, Change]]:
    """The profile with the changes, oldest first, and who made those that hold. One that the
    profile cannot take is left out, whole."""
    profile, changes = base, dict[str, Change]()
    for action in actions:
        if action.action != "limits":
            continue
        try:
            profile = with_limits(profile, action.limits, base)
        except ValueError:
            continue
        for name, value in action.limits.items():
            if value is None:
                changes.pop(name, None)
            else:
                changes[name] = Change(action.time_ns, action.by)
    return profile, changes


def limits_view(base: Profile, actions: Iterable[Action]) -> list[View]:
    """Every limit that can be set."""
    profile, changes = effective(base, actions)
    return [
        {
            "name": name,
            "label": limit.label,
            "unit": limit.unit,
            "low": limit.low,
            "high": limit.high,
            "value": getattr(profile, name),
            "default": getattr(base, name),
            "changed": ms(changes[name].time_ns) if name in changes else None,
            "by": changes[name].by if name in changes else "",
        }
        for name, limit in LIMITS.items()
    ]
