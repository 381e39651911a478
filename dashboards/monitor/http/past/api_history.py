"""Endpoints for a patient's stored signal and the events found in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from starlette.responses import Response

from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_request import DAY_NS, HOUR_NS, ApiRequest, json_answer, onset_of
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec
from dashboards.monitor.store import questions
from dashboards.monitor.store.reasons import QUESTIONS, explanation
from ingest.errors import RefusedError

if TYPE_CHECKING:
    from stream_processor.pipeline.explaining import Question

MOST_COLUMNS = 4000
_BLOCKS = "application/octet-stream"


async def _rhythm(ask: ApiRequest) -> Response:
    return json_answer(
        await ask.parts.history.ask(questions.rhythm, ask.patient, *ask.period(31 * DAY_NS))
    )


async def _beats(ask: ApiRequest) -> Response:
    return json_answer(
        await ask.parts.history.ask(questions.beats, ask.patient, *ask.period(HOUR_NS))
    )


async def _journal(ask: ApiRequest) -> Response:
    return json_answer(
        await ask.parts.history.ask(questions.journal, ask.patient, *ask.period(366 * DAY_NS))
    )


async def _findings(ask: ApiRequest) -> Response:
    return json_answer(
        await ask.parts.history.ask(questions.findings, ask.patient, *ask.period(31 * DAY_NS))
    )


async def _trend(ask: ApiRequest) -> Response:
    columns = ask.whole("points", 600, MOST_COLUMNS, least=1)
    return json_answer(
        await ask.parts.history.ask(questions.trend, ask.patient, *ask.period(DAY_NS), columns)
    )


async def _waveform(ask: ApiRequest) -> Response:
    history = ask.parts.history
    if "points" in ask.request.query_params:
        columns = ask.whole("points", 0, MOST_COLUMNS, least=1)
        data = await history.ask(questions.envelope, ask.patient, *ask.period(DAY_NS), columns)
    else:
        data = await history.ask(questions.samples, ask.patient, *ask.period(HOUR_NS))
    return Response(data, media_type=_BLOCKS)


async def _strip(ask: ApiRequest) -> Response:
    alarm_id = ask.request.query_params.get("alarm", "")
    onset_ns = onset_of(alarm_id)
    if onset_ns is None:
        raise RefusedError(
            400,
            f"alarm must be the id of an alarm, not {alarm_id[:80]!r}",
            "It is in the list of the patient's alarms.",
        )
    strip = await ask.parts.history.ask(questions.strip, ask.patient, onset_ns, alarm_id)
    # none yet: it is kept some 20 s after the alarm's onset
    return Response(strip or b"", media_type=_BLOCKS)


async def _reasons(ask: ApiRequest) -> Response:
    question = cast("Question", ask.choice("what", QUESTIONS) or "beat")
    found = await ask.parts.history.ask(explanation, ask.patient, ask.time("at"), question)
    if found is None:
        raise RefusedError(
            404,
            f"the model says nothing of a {question} there",
            "Ask at the time of a stored beat, or some seconds into the signal.",
        )
    return json_answer(found)


_NUMBERS = schemas.many(schemas.NUMBER_OR_NULL)
ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/patients/{patient}/rhythm",
        "view",
        _rhythm,
        "Rhythm episodes that reach into the period",
        ResponseSpec(
            "the episodes", schemas.object_schema({"episodes": schemas.many(schemas.EPISODE)})
        ),
        query=schemas.period("31 days"),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/beats",
        "view",
        _beats,
        "Beats of the period",
        ResponseSpec("the beats", schemas.object_schema({"beats": schemas.many(schemas.BEAT)})),
        query=schemas.period("an hour"),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/journal",
        "view",
        _journal,
        "What the wearer said, and what people did with bed and device",
        ResponseSpec(
            "the entries, oldest first",
            schemas.object_schema({"journal": schemas.many(schemas.JOURNAL_ENTRY)}),
        ),
        query=schemas.period("366 days"),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/findings",
        "view",
        _findings,
        "What tasks said that the model learned in the field",
        ResponseSpec(
            "the findings told in the period",
            schemas.object_schema({"findings": schemas.many(schemas.FINDING)}),
        ),
        query=schemas.period("31 days"),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/trend",
        "view",
        _trend,
        "Vitals in columns; a column without any is left out",
        ResponseSpec(
            "one array per figure, all of one length",
            schemas.object_schema(
                {
                    "t": schemas.many(schemas.TIME),
                    **dict.fromkeys(("hr", "hr_min", "hr_max", "quality", "rmssd"), _NUMBERS),
                }
            ),
        ),
        query=(
            *schemas.period("24 h"),
            (
                "points",
                False,
                {"type": "integer", "minimum": 1, "maximum": MOST_COLUMNS, "default": 600},
                "columns at most",
            ),
        ),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/waveform",
        "view",
        _waveform,
        "The signal: as sampled, at most an hour, or as lowest and highest value per column, at most a day",
        ResponseSpec("blocks as docs/monitor-api.md describes them", media=_BLOCKS),
        query=(
            *schemas.period("an hour, with points 24 h"),
            (
                "points",
                False,
                {"type": "integer", "minimum": 1, "maximum": MOST_COLUMNS},
                "columns; samples come where these are fewer",
            ),
        ),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/strip",
        "view",
        _strip,
        "The signal from 10 s before an alarm's onset to 10 s after",
        ResponseSpec(
            "one block as docs/monitor-api.md describes it; empty until stored", media=_BLOCKS
        ),
        query=(("alarm", True, schemas.TEXT, "the alarm's id"),),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/reasons",
        "view",
        _reasons,
        "What the model's answer hangs on: how much less likely it is without each part of the signal",
        ResponseSpec(
            "the answer, and a weight per part from t0 on",
            schemas.object_schema(
                {
                    "label": schemas.TEXT,
                    "probability": {"type": "number"},
                    "t0": schemas.TIME,
                    "step_ms": {"type": "number"},
                    "weights": schemas.many({"type": "number"}),
                }
            ),
        ),
        query=(
            ("at", True, schemas.TIME, "a beat's R peak, or the end of what is asked about"),
            ("what", False, {"enum": [*QUESTIONS]}, "default: beat"),
        ),
        errors=(404, 503),
    ),
)
