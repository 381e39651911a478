"""Endpoints for the patients on the ward and each patient's alarms."""

from __future__ import annotations

from typing import get_args

from starlette.responses import Response

from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_request import DAY_NS, HOUR_NS, ApiRequest, json_answer
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec
from dashboards.monitor.live.board import BoardSelection
from dashboards.monitor.live.views import View, loudness
from dashboards.monitor.store.questions import alarm_list
from ingest.messages import RhythmLabel

MAX_PAGE = 128
_LOUDNESS = ("high", "medium", "low", "technical", "any")
_ORDERS = ("bed", "urgency")
_ONLY = ("pinned",)


async def _patients(ask: ApiRequest) -> Response:
    query = ask.request.query_params
    wanted = BoardSelection(
        search=query.get("search", ""),
        alarm=ask.choice("alarm", _LOUDNESS),
        rhythm=ask.choice("rhythm", get_args(RhythmLabel)),
        urgent_first=ask.choice("order", _ORDERS) == "urgency",
        pinned=frozenset(query.getlist("pinned")),
        only_pinned=ask.choice("only", _ONLY) == "pinned",
    )
    offset, limit = ask.whole("offset", 0, 10**9), ask.whole("limit", 64, MAX_PAGE)
    total, beds = ask.parts.hub.board.page(offset, limit, wanted)
    patients: list[View] = []
    for bed in beds:
        worst = bed.alarms.worst()
        rhythm = bed.rhythm.label if bed.rhythm else None
        person = ask.parts.hub.board.person(bed.patient_id)
        patients.append(
            {
                "id": bed.patient_id,
                "name": person.name if person else "",
                "bed": person.bed if person else "",
                "rhythm": rhythm,
                "alarm": loudness(worst) if worst else None,
            }
        )
    return json_answer({"total": total, "offset": offset, "patients": patients})


async def _alarms(ask: ApiRequest) -> Response:
    if "from" in ask.request.query_params or "to" in ask.request.query_params:
        start_ns, end_ns = ask.period(31 * DAY_NS)
    else:
        start_ns, end_ns = _last_hours(ask)
    return json_answer(await ask.parts.history.ask(alarm_list, ask.patient, start_ns, end_ns))


def _last_hours(ask: ApiRequest) -> tuple[int, int]:
    """The last hours in stream time: a replay does not follow the wall clock."""
    hours = ask.whole("hours", 24, 24 * 366)
    bed = ask.bed
    end_ns = (bed.newest_ns if bed else 0) or ask.parts.clock.now_ns()
    return max(0, end_ns - hours * HOUR_NS), end_ns + 1


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/patients",
        "view",
        _patients,
        "Patients that the monitor knows now",
        ResponseSpec(
            "a page of them",
            schemas.object_schema(
                {
                    "total": {"type": "integer"},
                    "offset": {"type": "integer"},
                    "patients": schemas.many(
                        schemas.object_schema(
                            {
                                "id": schemas.TEXT,
                                "name": schemas.TEXT,
                                "bed": schemas.TEXT,
                                "rhythm": {"type": ["string", "null"]},
                                "alarm": {"enum": [*_LOUDNESS[:-1], None]},
                            }
                        )
                    ),
                }
            ),
        ),
        query=(
            (
                "offset",
                False,
                {"type": "integer", "minimum": 0, "default": 0},
                "how many to leave out",
            ),
            (
                "limit",
                False,
                {"type": "integer", "minimum": 0, "maximum": MAX_PAGE, "default": 64},
                "how many at most",
            ),
            ("search", False, schemas.TEXT, "part of the name, in any case"),
            ("alarm", False, {"enum": [*_LOUDNESS]}, "with such an alarm standing"),
            ("rhythm", False, {"enum": [*get_args(RhythmLabel)]}, "in this rhythm now"),
            (
                "order",
                False,
                {"enum": [*_ORDERS], "default": "bed"},
                "by name, or the worst alarm first",
            ),
            (
                "pinned",
                False,
                {"type": "array", "items": schemas.TEXT},
                "patients that come first; may be given several times",
            ),
            ("only", False, {"enum": [*_ONLY]}, "leave out the patients that are not pinned"),
        ),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/alarms",
        "view",
        _alarms,
        "A patient's stored alarms, newest first, also those not announced",
        ResponseSpec("the alarms", schemas.object_schema({"alarms": schemas.many(schemas.ALARM)})),
        query=(
            *(
                (name, False, schema, f"{text}; or give hours")
                for name, _, schema, text in schemas.period("31 days")
            ),
            (
                "hours",
                False,
                {"type": "integer", "minimum": 0, "default": 24},
                "the last hours of the patient's stream",
            ),
        ),
        errors=(503,),
    ),
)
