"""Endpoints for people's edits of the model's answers: kept beside the answers, never in their
place."""

from __future__ import annotations

import secrets
from typing import Literal, get_args

import msgspec
from starlette.responses import Response

from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_actions import SENT, find_alarm, sent, signed
from dashboards.monitor.http.api_request import DAY_NS, ApiRequest, json_answer, whole_number
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec
from dashboards.monitor.store import questions
from ingest.bounds import MAX_TIME_NS
from ingest.errors import RefusedError
from ingest.messages import Alarm, AlarmKind, Beat, BeatLabel, Edit, Rhythm, RhythmLabel, Verdict

LABELS = {
    "alarm": get_args(AlarmKind),
    "beat": get_args(BeatLabel),
    "rhythm": get_args(RhythmLabel),
}


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    target: Literal["alarm", "beat", "rhythm"]
    target_id: str
    at: float
    said: str
    verdict: Verdict
    by: str
    label: str = ""
    note: str = ""


async def _edit(ask: ApiRequest) -> Response:
    body = await ask.body(_Body)
    who = signed(ask, body.by, body.note)
    _check_label(body)
    if not 0 <= body.at * 1e6 < MAX_TIME_NS:
        raise RefusedError(400, "at must be milliseconds since the Unix epoch")
    said = "" if inserted(body) else _answer_of(await _target(ask, body))
    if said != body.said:
        raise RefusedError(
            409,
            f"the model says {said!r} here, not {body.said!r}",
            "Load it again: it has changed since.",
        )
    edit = Edit(
        patient_id=ask.patient,
        time_ns=ask.parts.clock.now_ns(),
        id=secrets.token_hex(12),
        by=who,
        target=body.target,
        target_id=body.target_id,
        at_ns=round(body.at * 1e6),
        said=said,
        verdict=body.verdict,
        label=body.label,
        note=body.note,
    )
    return await sent(ask, edit)


def inserted(body: _Body) -> bool:
    """True if the beat is a person's own: inserted now, or before and now moved, relabelled or
    taken back."""
    return (
        body.target == "beat"
        and body.said == ""
        and body.verdict in ("inserted", "rejected")
        and whole_number(body.target_id) is not None
    )


def _check_label(body: _Body) -> None:
    if body.verdict in ("moved", "inserted"):
        if body.target != "beat" or (body.verdict == "inserted") != inserted(body):
            raise RefusedError(
                400, "only a beat is moved or inserted; one that is inserted has no `said`"
            )
        if body.label not in LABELS["beat"]:
            raise RefusedError(400, f"label must be one of {', '.join(LABELS['beat'])}")
    elif body.verdict != "relabelled":
        if body.label:
            raise RefusedError(400, f"{body.verdict} takes no label")
    elif body.label not in LABELS[body.target] or body.label == body.said:
        known = ", ".join(label for label in LABELS[body.target] if label != body.said)
        raise RefusedError(400, f"label must be one of {known}")


async def _target(ask: ApiRequest, body: _Body) -> Alarm | Beat | Rhythm:
    if body.target == "alarm":
        return await find_alarm(ask, body.target_id)
    found = ask.bed.find(body.target, body.target_id) if ask.bed else None
    if found is None and (at_ns := whole_number(body.target_id)) is not None:
        kind: type[Beat] | type[Rhythm] = Beat if body.target == "beat" else Rhythm
        found = await ask.parts.history.ask(questions.found_at, kind, ask.patient, at_ns)
    if found is None:
        raise RefusedError(
            404,
            f"{ask.patient!r} has no {body.target} {body.target_id[:60]!r}",
            "Load the page again.",
        )
    return found


def _answer_of(target: Alarm | Beat | Rhythm) -> str:
    return target.kind if isinstance(target, Alarm) else target.label


async def _edits(ask: ApiRequest) -> Response:
    return json_answer(
        await ask.parts.history.ask(questions.edits, ask.patient, *ask.period(366 * DAY_NS))
    )


async def _csv(ask: ApiRequest) -> Response:
    table = await ask.parts.history.ask(questions.edits_csv, *ask.period(366 * DAY_NS))
    return Response(
        table,
        headers={"Content-Disposition": 'attachment; filename="edits.csv"'},
        media_type="text/csv; charset=utf-8",
    )


_EDIT = schemas.object_schema(
    {
        "target": {"enum": [*LABELS]},
        "target_id": {
            "type": "string",
            "description": "the id of the alarm, beat or rhythm episode",
        },
        "at": schemas.TIME,
        "said": {"type": "string", "description": "what the model said, as the page showed it"},
        "verdict": {"enum": [*get_args(Verdict)]},
        "label": {"type": "string", "description": "where relabelled, moved or inserted"},
        "note": schemas.NOTE,
        "by": schemas.BY,
    },
    ("target", "target_id", "at", "said", "verdict", "by"),
)
ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/patients/{patient}/edits",
        "acknowledge",
        _edit,
        "Confirm, reject or relabel what the model said; move a beat, or insert one",
        SENT,
        body=_EDIT,
        errors=(404, 409, 503),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/edits",
        "view",
        _edits,
        "What people said, oldest first",
        ResponseSpec("the edits", schemas.object_schema({"edits": schemas.many(schemas.EDIT)})),
        query=schemas.period("366 days"),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/edits.csv",
        "view",
        _csv,
        "All patients' edits, for retraining",
        ResponseSpec("one row per edit", media="text/csv"),
        query=schemas.period("366 days"),
        errors=(503,),
    ),
)
