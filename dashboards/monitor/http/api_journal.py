"""Endpoint for what people write into a patient's journal: notes, and events that the signal does
not show. They come back through ecg.journal, as what the wearer says does."""

from __future__ import annotations

import secrets
from typing import Literal, get_args

import msgspec
from starlette.responses import Response

from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_actions import SENT, known_patient, sent, signed
from dashboards.monitor.http.api_request import ApiRequest
from dashboards.monitor.http.endpoint import Endpoint
from ingest.bounds import MAX_TIME_NS
from ingest.errors import RefusedError
from ingest.messages import JournalEntry

Written = Literal["note", "event", "symptom"]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    at: float
    kind: Written
    text: str
    by: str


async def _write(ask: ApiRequest) -> Response:
    body = await ask.body(_Body)
    who = signed(ask, body.by, body.text)
    text = body.text.strip()
    if not text:
        raise RefusedError(400, "text must say something")
    if not 0 <= body.at * 1e6 < MAX_TIME_NS:
        raise RefusedError(400, "at must be milliseconds since the Unix epoch")
    await known_patient(ask)
    entry = JournalEntry(
        patient_id=ask.patient,
        time_ns=round(body.at * 1e6),
        id=secrets.token_hex(12),
        by=who,
        kind=body.kind,
        text=text,
    )
    return await sent(ask, entry)


_ENTRY = schemas.object_schema(
    {
        "at": schemas.TIME,
        "kind": {"enum": [*get_args(Written)]},
        "text": {"type": "string", "minLength": 1, "maxLength": 500},
        "by": schemas.BY,
    }
)
ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/patients/{patient}/journal",
        "acknowledge",
        _write,
        "Write a note, an event or a symptom of a moment into the journal",
        SENT,
        body=_ENTRY,
        errors=(404, 503),
    ),
)
