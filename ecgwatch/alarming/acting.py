"""Checks an order from the command line about a patient's alarms, and sends it as an Action."""

from __future__ import annotations

import getpass
import re
import secrets
import shlex
from collections.abc import Iterable
from typing import Any

from dashboards.monitor.live.limits import ALARMS, own_limits, own_switches
from ingest.clock import SystemClock
from ingest.errors import BadInputError
from ingest.messages import Action, AlarmKind, Orders
from ingest.operator import send
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.pipeline.alarms.profiles import Profile, with_limits

LONGEST_SILENCE_S = 24 * 3600.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def act(broker: str, patient: str, by: str | None, note: str, **fields: Any) -> None:
    """Send an Action; `by` defaults to the login name. Raises BadInputError and UnreachableError."""
    if not patient.strip():
        raise BadInputError(
            "the patient's name is empty", "`ecgwatch alarms list` shows the patients."
        )
    now_ns = SystemClock().now_ns()
    send(
        broker,
        Action(
            patient_id=patient,
            time_ns=now_ns,
            id=secrets.token_hex(12),
            by=person_name(by),
            note=note,
            **fields,
        ),
    )


def check_silenceable(patient: str, kind: str) -> None:
    """Check that a kind of alarm may be silenced. Raises BadInputError if it is unknown or of high
    priority."""
    priority = next((CATALOGUE[known].priority for known in CATALOGUE if known == kind), None)
    if priority is None:
        raise BadInputError(
            f"no alarm is of the kind {kind!r}", f"There are: {', '.join(CATALOGUE)}."
        )
    if priority == "high":
        problem = f"{kind} is of high priority and cannot be silenced"
        raise BadInputError(
            problem, f"Acknowledge it: ecgwatch alarms ack {shlex.quote(patient)} {kind}"
        )


def seconds_of(text: str) -> float:
    """Convert a duration such as 90s, 10m or 2h to seconds. Raises BadInputError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    seconds = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not 1 <= seconds <= LONGEST_SILENCE_S:
        raise BadInputError(f"--for {text}", "Write 90s, 10m or 2h; from a second to 24h.")
    return seconds


def limits_of(assignments: Iterable[str], unset: Iterable[str]) -> dict[str, float | None]:
    """Parse limits given as NAME=NUMBER; names in `unset` return to the profile's limit (None).
    Raises BadInputError."""
    found: dict[str, float | None] = dict.fromkeys(unset)
    for text in assignments:
        name, _, value = text.partition("=")
        number, percent, _ = value.strip().partition("%")
        try:
            found[name.strip()] = float(number) / (100 if percent else 1)
        except ValueError:
            raise BadInputError(
                f"--set {text}", "Write it as NAME=NUMBER, such as hr_high_bpm=130 or battery=20%."
            ) from None
    return found


def switches_of(
    on: Iterable[str], off: Iterable[str], unset: Iterable[str]
) -> dict[AlarmKind, bool | None]:
    """Return the alarms to switch on, off, or back to what the profile says (None). Raises
    BadInputError for a kind that does not exist or cannot be switched off."""
    wanted = {**dict.fromkeys(unset), **dict.fromkeys(on, True), **dict.fromkeys(off, False)}
    kinds: dict[str, AlarmKind] = {kind: kind for group in ALARMS.values() for kind in group}
    if unknown := [kind for kind in wanted if kind not in kinds]:
        raise BadInputError(
            f"no alarm of a patient is of the kind {unknown[0]!r}",
            f"There are: {', '.join(kinds)}.",
        )
    return {kinds[kind]: value for kind, value in wanted.items()}


def check_limits(
    base: Profile,
    orders: Orders | None,
    limits: dict[str, float | None],
    switches: dict[AlarmKind, bool | None],
) -> None:
    """Check that limits and switches agree with the profile and with earlier changes. Raises
    BadInputError."""
    try:
        with_limits(base, own_limits(orders) | limits, base, own_switches(orders) | switches)
    except ValueError as error:
        raise BadInputError(
            str(error), "`ecgwatch alarms profile PATIENT` shows every limit and what it may be."
        ) from error


def person_name(by: str | None) -> str:
    """Return the name to record for an action; by default the login name. Raises BadInputError."""
    try:
        name = getpass.getuser() if by is None else by.strip()
    except (OSError, KeyError):
        name = ""
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise BadInputError("nobody is named who does it", "Give --by NAME, of 1 to 64 characters.")
    return name
