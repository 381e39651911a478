"""Endpoints for people's actions on alarms: each is sent to ecg.acks, and its effect comes back
from the processor through ecg.alarms."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from starlette.responses import Response

from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_limits import base_profile
from dashboards.monitor.http.api_request import DAY_NS, ApiRequest, json_answer, onset_of
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec, require
from dashboards.monitor.live.limits import own_limits, own_switches
from dashboards.monitor.live.views import action_view
from dashboards.monitor.store import questions
from ingest.errors import EcgwatchError, RefusedError
from ingest.messages import Action, Alarm, AlarmKind, Edit, JournalEntry
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.pipeline.alarms.profiles import LIMITS, with_limits

LONGEST_SILENCE_S = 24 * 3600.0
_TAKES = {
    "acknowledge": {"alarm"},
    "silence": {"kind", "seconds"},
    "resume": {"kind"},
    "escalate": {"alarm"},
    "limits": {"limits", "switches"},
}


class _Body(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    action: Literal["acknowledge", "silence", "resume", "escalate", "limits"]
    by: str
    alarm: str = ""
    kind: AlarmKind | Literal[""] = ""
    seconds: float | None = None
    limits: dict[str, float | None] = {}
    switches: dict[AlarmKind, bool | None] = {}
    note: str = ""


async def _act(ask: ApiRequest) -> Response:
    body = await ask.body(_Body)
    who = signed(ask, body.by, body.note)
    given = set(msgspec.to_builtins(body)) - {"action", "by", "note"}
    if extra := given - _TAKES[body.action]:
        raise RefusedError(400, f"{body.action} takes no {', '.join(sorted(extra))}")
    await _CHECKS[body.action](ask, body)
    action = Action(
        patient_id=ask.patient,
        time_ns=ask.parts.clock.now_ns(),
        id=secrets.token_hex(12),
        by=who,
        action=body.action,
        alarm_id=body.alarm,
        kind=body.kind,
        seconds=body.seconds,
        limits=body.limits,
        switches=body.switches,
        note=body.note,
    )
    return await sent(ask, action)


def signed(ask: ApiRequest, by: str, note: str) -> str:
    """The name under which an action is recorded. A visitor who is signed in cannot sign under
    another name."""
    name = by.strip()
    if not 0 < len(name) <= 64 or not name.isprintable():
        raise RefusedError(400, "by must say who does it, in 1 to 64 characters")
    if len(note) > 500:
        raise RefusedError(400, "note is longer than 500 characters")
    if ask.visitor.user and name != ask.visitor.user:
        raise RefusedError(
            403, f"{ask.visitor.user!r} is signed in, not {name!r}", "Sign in with your own token."
        )
    return name


async def sent(ask: ApiRequest, message: Action | Edit | JournalEntry) -> Response:
    """Answer 202 once the broker has the action. The monitor's own state changes only with the
    processor's answer."""
    try:
        await asyncio.to_thread(ask.parts.send, message)
    except EcgwatchError as error:
        raise RefusedError(503, error.problem, error.remedy) from error
    return json_answer({"id": message.id}, 202)


async def known_patient(ask: ApiRequest) -> None:
    """Refuse actions on an unknown patient: a misspelt name must not look as if the action had
    worked."""
    if ask.bed is None and not await ask.parts.history.ask(questions.known, ask.patient):
        raise RefusedError(
            404,
            f"nothing is known of a patient {ask.patient!r}",
            "GET /api/patients names those on the ward.",
        )


async def find_alarm(ask: ApiRequest, alarm_id: str) -> Alarm:
    """Find the patient's alarm of this id, among recent messages or in the store."""
    found = ask.bed.alarms.get(alarm_id) if ask.bed else None
    if found is None and (onset_ns := onset_of(alarm_id)) is not None:
        found = await ask.parts.history.ask(questions.alarm, ask.patient, onset_ns, alarm_id)
    if found is None:
        raise RefusedError(
            404,
            f"{ask.patient!r} has no alarm {alarm_id[:120]!r}",
            "It may have gone: load the list of alarms again.",
        )
    return found


async def _check_acknowledge(ask: ApiRequest, body: _Body) -> None:
    if not body.alarm:
        await known_patient(ask)
        return
    alarm = await find_alarm(ask, body.alarm)
    if alarm.acknowledged_ns is not None:
        raise RefusedError(
            409,
            f"{alarm.acknowledged_by or 'somebody'} has acknowledged it already",
            "Nothing is left to do.",
        )
    if not (ask.bed.alarms.stands(alarm.id) if ask.bed else alarm.standing):
        raise RefusedError(409, "this alarm does not stand", "Nothing is left to do.")


async def _check_escalate(ask: ApiRequest, body: _Body) -> None:
    if not body.alarm:
        raise RefusedError(400, "escalate must name an alarm")
    await _check_acknowledge(ask, body)


async def _check_silence(ask: ApiRequest, body: _Body) -> None:
    if body.seconds is None or not 1 <= body.seconds <= LONGEST_SILENCE_S:
        raise RefusedError(400, "seconds must be from 1 to 86400, that is 24 h")
    await _check_resume(ask, body)


async def _check_resume(ask: ApiRequest, body: _Body) -> None:
    if body.kind and (body.kind not in CATALOGUE or CATALOGUE[body.kind].priority == "high"):
        raise RefusedError(
            400,
            f"{body.kind} alarms cannot be silenced",
            "Those of high priority always break through.",
        )
    await known_patient(ask)


async def _check_limits(ask: ApiRequest, body: _Body) -> None:
    require(ask.visitor, "admin")
    if not body.limits and not body.switches:
        raise RefusedError(400, "limits must name at least one limit, or switches one alarm")
    await known_patient(ask)
    orders = ask.parts.hub.board.orders(ask.patient)
    base = base_profile(ask, orders)
    try:
        switches = own_switches(orders) | body.switches
        with_limits(base, own_limits(orders) | body.limits, base, switches)
    except ValueError as error:
        raise RefusedError(
            400, str(error), "GET /api/patients/ID/limits says what each limit may be."
        ) from error


_CHECKS = {
    "acknowledge": _check_acknowledge,
    "silence": _check_silence,
    "resume": _check_resume,
    "escalate": _check_escalate,
    "limits": _check_limits,
}


async def _actions_so_far(ask: ApiRequest) -> Sequence[Action]:
    """All actions in the store and those that arrived since, oldest first."""
    stored = await ask.parts.history.ask(questions.actions, ask.patient)
    live = ask.bed.actions.all() if ask.bed else []
    return [
        action for _, action in sorted({(a.time_ns, a.id): a for a in [*stored, *live]}.items())
    ]


async def _actions(ask: ApiRequest) -> Response:
    start_ns, end_ns = ask.period(366 * DAY_NS)
    found = [a for a in await _actions_so_far(ask) if start_ns <= a.time_ns < end_ns]
    return json_answer({"actions": [action_view(action) for action in found]})


_ACTION: dict[str, Any] = schemas.object_schema(
    {
        "action": {"enum": [*_TAKES]},
        "by": schemas.BY,
        "note": schemas.NOTE,
        "alarm": {
            "type": "string",
            "description": "acknowledge: this alarm; without it all that stand. escalate: this alarm",
        },
        "kind": {
            "enum": [*schemas.KIND["enum"], ""],
            "description": "silence, resume: of this kind, not high; without it of any",
        },
        "seconds": {
            "type": "number",
            "minimum": 1,
            "maximum": LONGEST_SILENCE_S,
            "description": "silence: for so long",
        },
        "limits": {
            "type": "object",
            "additionalProperties": schemas.NUMBER_OR_NULL,
            "propertyNames": {"enum": [*LIMITS]},
            "description": "limits: new values; null goes back to the profile's. Needs the role admin",
        },
        "switches": {
            "type": "object",
            "additionalProperties": {"type": ["boolean", "null"]},
            "propertyNames": schemas.KIND,
            "description": "limits: alarms switched on (true) or off (false); null goes back to the profile's. Needs the role admin",
        },
    },
    ("action", "by"),
)
SENT = ResponseSpec(
    "the id of what is on its way to the processor",
    schemas.object_schema({"id": schemas.TEXT}),
    status=202,
)
ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/patients/{patient}/actions",
        "acknowledge",
        _act,
        "Acknowledge, silence, resume, escalate, set limits, or switch alarms on and off",
        SENT,
        body=_ACTION,
        errors=(404, 409, 503),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/actions",
        "view",
        _actions,
        "Who did what, oldest first",
        ResponseSpec(
            "the actions", schemas.object_schema({"actions": schemas.many(schemas.ACTION)})
        ),
        query=schemas.period("366 days"),
        errors=(503,),
    ),
)
