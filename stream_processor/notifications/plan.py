"""The notifications file: which recipients are notified of which alarms. It is validated as it is
read (docs/notifications.md shows one)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from ingest.errors import BadInputError
from ingest.messages import Alarm, AlarmKind, Priority
from stream_processor.notifications.moments import AlarmMoment, is_silenced

REMEDY = "docs/notifications.md shows the whole file; `ecgwatch notify --file FILE --check` reads it without sending anything."
_QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class Recipient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recipient of notifications, at one address."""

    url: str  # Apprise's; ${NAME} stands for a secret from the environment


class Escalation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Recipients added once an alarm has re-alarmed `level` times."""

    level: int
    recipients: tuple[str, ...]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule: which alarms of which patients go to which recipients."""

    recipients: tuple[str, ...]
    patients: tuple[str, ...] = ("*",)  # glob patterns, or @GROUP
    priorities: tuple[Priority, ...] = ("high", "medium", "low")
    kinds: tuple[AlarmKind, ...] = ()  # empty: all
    quiet: str = ""  # "22:00-07:00" in the file's time zone: only high alarms are sent
    escalation: tuple[Escalation, ...] = ()
    also: tuple[
        Literal["end", "acknowledged"], ...
    ] = ()  # moments sent besides onset and escalated


class NotificationPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole notifications file."""

    recipients: dict[str, Recipient]
    rules: tuple[Rule, ...]
    groups: dict[str, tuple[str, ...]] = {}  # glob patterns of patients
    timezone: str = "UTC"  # IANA name
    monitor: str = ""  # URL of the built-in monitor, for links

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of quiet hours and of the times in messages."""
        return ZoneInfo(self.timezone)


class PlannedNotice(NamedTuple):
    """A recipient of a moment, with the reason if the notification is suppressed."""

    recipient: str
    held_back: str = ""


def load(path: Path) -> NotificationPlan:
    """Read a notifications file. Raises BadInputError that names the file, the place in it and the
    reason."""
    try:
        plan = msgspec.toml.decode(path.read_text(), type=NotificationPlan)
    # ValidationError is a DecodeError
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise BadInputError(f"notifications file {path}: {error}", REMEDY) from error
    if problems := list(_problems(plan)):
        raise BadInputError(f"notifications file {path}: {'; '.join(problems)}", REMEDY)
    return plan


def planned_notices(
    plan: NotificationPlan, alarm: Alarm, moment: AlarmMoment, now_ns: int
) -> list[PlannedNotice]:
    """Return the recipients of a moment of an announced alarm, each once. A notification is
    suppressed only if every rule that sends it suppresses it."""
    local = datetime.fromtimestamp(now_ns / 1e9, UTC).astimezone(plan.zone).time()
    silenced = "silenced" if is_silenced(alarm) else ""
    found: dict[str, PlannedNotice] = {}
    for rule in plan.rules:
        if _matches(plan, rule, alarm) and (
            moment.step in ("onset", "escalated", "late") or moment.step in rule.also
        ):
            quiet = (
                f"quiet hours {rule.quiet}"
                if alarm.priority != "high" and rule.quiet and _within(rule.quiet, local)
                else ""
            )
            added = [
                name for e in rule.escalation if e.level <= moment.level for name in e.recipients
            ]
            for name in (*rule.recipients, *added):
                reason = silenced or quiet
                if not reason or name not in found:
                    found[name] = PlannedNotice(name, reason)
    return list(found.values())


def _matches(plan: NotificationPlan, rule: Rule, alarm: Alarm) -> bool:
    patterns = [
        p
        for name in rule.patients
        for p in (plan.groups[name[1:]] if name.startswith("@") else (name,))
    ]
    return (
        alarm.priority in rule.priorities
        and (not rule.kinds or alarm.kind in rule.kinds)
        and any(fnmatchcase(alarm.patient_id, pattern) for pattern in patterns)
    )


def _within(quiet: str, local: time) -> bool:
    begin, end = (time.fromisoformat(part) for part in quiet.split("-"))
    return begin <= local < end if begin < end else local >= begin or local < end


def _problems(plan: NotificationPlan) -> list[str]:
    found = [
        f"recipient {name!r} has no url"
        for name, who in plan.recipients.items()
        if not who.url.strip()
    ]
    if not plan.rules:
        found.append("no [[rules]], so nobody would ever be notified")
    if plan.monitor and not re.match(r"https?://[^/]", plan.monitor):
        found.append(f"monitor = {plan.monitor!r} is no http:// or https:// address")
    try:
        plan.zone  # noqa: B018
    except (ZoneInfoNotFoundError, ValueError, OSError):
        found.append(f"timezone = {plan.timezone!r} is no zone's name, such as Europe/Berlin")
    for number, rule in enumerate(plan.rules, start=1):
        found += [f"rule {number}: {text}" for text in _rule_problems(plan, rule)]
    return found


def _rule_problems(plan: NotificationPlan, rule: Rule) -> list[str]:
    named = [*rule.recipients, *(name for e in rule.escalation for name in e.recipients)]
    found = [
        f"no recipient {name!r} is in the file"
        for name in dict.fromkeys(named)
        if name not in plan.recipients
    ]
    groups = [name[1:] for name in rule.patients if name.startswith("@")]
    found += [f"no group {name!r} is in the file" for name in groups if name not in plan.groups]
    empty = [name for name in ("recipients", "patients", "priorities") if not getattr(rule, name)]
    found += [f"{name} is empty, so it would never apply" for name in empty]
    if rule.quiet and not _QUIET.fullmatch(rule.quiet):
        found.append(f"quiet = {rule.quiet!r} is not written HH:MM-HH:MM")
    elif rule.quiet and rule.quiet[:5] == rule.quiet[6:]:
        found.append(f"quiet = {rule.quiet!r} has no length")
    found += [f"escalation level {e.level} is below 1" for e in rule.escalation if e.level < 1]
    return found
