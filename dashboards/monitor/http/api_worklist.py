"""Endpoints for the worklist: the alarms of the whole ward, as a list and as a table."""

from __future__ import annotations

from starlette.responses import Response

from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_request import HOUR_NS, ApiRequest, json_answer
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec
from dashboards.monitor.live.views import View
from dashboards.monitor.store.worklist import People, as_csv, row, worklist
from ingest.bounds import MAX_TIME_NS
from ingest.errors import RefusedError

_LONGEST_H = 7 * 24
_HOURS = (
    "hours",
    False,
    {"type": "integer", "minimum": 1, "maximum": _LONGEST_H, "default": 24},
    "alarms that began in the last hours",
)


async def _list(ask: ApiRequest) -> Response:
    rows = await _rows(ask)
    people = _people(ask, rows)
    return json_answer(
        {
            "alarms": [
                {**line, "bed": people[line["patient"]][0], "name": people[line["patient"]][1]}
                for line in rows
            ]
        }
    )


async def _table(ask: ApiRequest) -> Response:
    rows = await _rows(ask)
    return Response(
        as_csv(rows, _people(ask, rows)),
        headers={"Content-Disposition": 'attachment; filename="alarms.csv"'},
        media_type="text/csv; charset=utf-8",
    )


async def _rows(ask: ApiRequest) -> list[View]:
    """The stored alarms, and over them what the live link knows better: an alarm that stands is in
    the list however old it is, and even if the store cannot be read."""
    hours = ask.whole("hours", 24, _LONGEST_H, 1)
    start_ns = max(0, ask.parts.clock.now_ns() - hours * HOUR_NS)
    board = ask.parts.hub.board
    live = {
        alarm.id: row(bed.patient_id, alarm, None)
        for bed in board.page(0, len(board))[1]
        for alarm in bed.alarms.all()
        if alarm.announced and (alarm.onset_ns >= start_ns or alarm.standing)
    }
    try:
        stored = await ask.parts.history.ask(worklist, start_ns, MAX_TIME_NS)
    except RefusedError as refused:
        if not live or refused.status != 503:
            raise
        stored = []
    rows = {line["id"]: line for line in stored}
    for id_, line in live.items():
        if id_ not in rows:
            rows[id_] = line
        elif line["changed"] >= rows[id_]["changed"]:
            reviewed = ("verdict", "verdict_label", "reviewed_by", "note")
            rows[id_] = line | {key: rows[id_][key] for key in reviewed}
    return sorted(rows.values(), key=lambda line: -line["onset"])


def _people(ask: ApiRequest, rows: list[View]) -> People:
    people = {line["patient"]: ask.parts.hub.board.person(line["patient"]) for line in rows}
    return {id_: (who.bed, who.name) if who else ("", "") for id_, who in people.items()}


_ROW = schemas.object_schema(
    {
        "patient": schemas.TEXT,
        "bed": schemas.TEXT,
        "name": schemas.TEXT,
        **schemas.ALARM["properties"],
        "verdict": {"enum": ["confirmed", "rejected", "relabelled", ""]},
        "verdict_label": schemas.TEXT,
        "reviewed_by": schemas.TEXT,
        "note": schemas.TEXT,
    }
)
ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/alarms",
        "view",
        _list,
        "The announced alarms of all patients, newest first, each with its newest review",
        ResponseSpec("the alarms", schemas.object_schema({"alarms": schemas.many(_ROW)})),
        query=(_HOURS,),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/alarms.csv",
        "view",
        _table,
        "The same as a table, for the hand-over",
        ResponseSpec("one row per alarm", media="text/csv"),
        query=(_HOURS,),
        errors=(503,),
    ),
)
