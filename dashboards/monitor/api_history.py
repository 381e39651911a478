"""What is stored of a patient's signal and of what was found in it."""

from __future__ import annotations

from itertools import islice

from starlette.responses import Response

from dashboards.report.rhythm import reaching_into
from ingest.messages import Beat, Strip, Vitals
from stream_processor.sinks.base import Sink

from . import schemas
from .asking import DAY_NS, HOUR_NS, MOST, Asking, RefusedError, bounded, json_answer
from .endpoint import Answer, Endpoint
from .trends import trend
from .views import beat_view, rhythm_view
from .waveforms import blocks, encode_block, envelope, strip_block

MOST_COLUMNS = 4000
_BLOCKS = "application/octet-stream"


async def _rhythm(ask: Asking) -> Response:
    patient, (start_ns, end_ns) = ask.patient, ask.period(31 * DAY_NS)
    found = await ask.stored(lambda sink: bounded(list(islice(reaching_into(sink, patient, start_ns, end_ns), MOST + 1))))
    return json_answer({"episodes": [{"id": str(r.start_ns), **rhythm_view(r)} for r in found]})


async def _beats(ask: Asking) -> Response:
    patient, (start_ns, end_ns) = ask.patient, ask.period(HOUR_NS)
    found = await ask.stored(lambda sink: bounded(list(islice(sink.read(Beat, patient, start_ns, end_ns), MOST + 1))))
    views = [{"id": str(b.time_ns), **beat_view(b), "confidence": b.confidence, "probability": b.label_probability} for b in found]
    return json_answer({"beats": views})


async def _trend(ask: Asking) -> Response:
    patient, (start_ns, end_ns) = ask.patient, ask.period(DAY_NS)
    columns = ask.whole("points", 600, MOST_COLUMNS, least=1)
    return json_answer(await ask.stored(lambda sink: trend(sink.read(Vitals, patient, start_ns, end_ns), start_ns, end_ns, columns)))


async def _waveform(ask: Asking) -> Response:
    if "points" in ask.request.query_params:
        columns = ask.whole("points", 0, MOST_COLUMNS, least=1)
        patient, (start_ns, end_ns) = ask.patient, ask.period(DAY_NS)
        data = await ask.stored(lambda sink: envelope(sink, patient, start_ns, end_ns, columns))
    else:
        patient, (start_ns, end_ns) = ask.patient, ask.period(HOUR_NS)
        data = await ask.stored(lambda sink: b"".join(encode_block(b) for b in blocks(sink, patient, start_ns, end_ns)))
    return Response(data, media_type=_BLOCKS)


async def _strip(ask: Asking) -> Response:
    patient, alarm_id = ask.patient, ask.request.query_params.get("alarm", "")
    onset = alarm_id.rpartition(":")[2]
    if not (onset.isascii() and onset.isdecimal() and len(onset) <= 19):
        raise RefusedError(400, f"alarm must be the id of an alarm, not {alarm_id[:80]!r}", "It is in the list of the patient's alarms.")
    onset_ns = int(onset)

    def find(sink: Sink) -> Strip | None:
        return next((s for s in sink.read(Strip, patient, onset_ns, onset_ns + 1) if s.alarm_id == alarm_id), None)

    strip = await ask.stored(find)
    if strip is None:
        raise RefusedError(404, "no strip of this alarm is stored", "It is kept some 20 s after the alarm's onset: ask again then.")
    return Response(encode_block(strip_block(strip)), media_type=_BLOCKS)


_NUMBERS = schemas.many(schemas.NUMBER_OR_NULL)
ENDPOINTS = (
    Endpoint(
        "GET", "/api/patients/{patient}/rhythm", "view", _rhythm, "Rhythm episodes that reach into the period",
        Answer("the episodes", schemas.thing({"episodes": schemas.many(schemas.EPISODE)})), query=schemas.period("31 days"), errors=(503,),
    ),
    Endpoint(
        "GET", "/api/patients/{patient}/beats", "view", _beats, "Beats of the period",
        Answer("the beats", schemas.thing({"beats": schemas.many(schemas.BEAT)})), query=schemas.period("an hour"), errors=(503,),
    ),
    Endpoint(
        "GET", "/api/patients/{patient}/trend", "view", _trend, "Vitals in columns; a column without any is left out",
        Answer("one array per figure, all of one length", schemas.thing({
            "t": schemas.many(schemas.TIME), **dict.fromkeys(("hr", "hr_min", "hr_max", "quality", "rmssd"), _NUMBERS),
        })),
        query=(
            *schemas.period("24 h"),
            ("points", False, {"type": "integer", "minimum": 1, "maximum": MOST_COLUMNS, "default": 600}, "columns at most"),
        ),
        errors=(503,),
    ),
    Endpoint(
        "GET", "/api/patients/{patient}/waveform", "view", _waveform,
        "The signal: as sampled, at most an hour, or as lowest and highest value per column, at most a day",
        Answer("blocks as docs/monitor-api.md describes them", media=_BLOCKS),
        query=(
            *schemas.period("an hour, with points 24 h"),
            ("points", False, {"type": "integer", "minimum": 1, "maximum": MOST_COLUMNS}, "columns; samples come where these are fewer"),
        ),
        errors=(503,),
    ),
    Endpoint(
        "GET", "/api/patients/{patient}/strip", "view", _strip, "The signal from 10 s before an alarm's onset to 10 s after",
        Answer("one block as docs/monitor-api.md describes it", media=_BLOCKS),
        query=(("alarm", True, schemas.TEXT, "the alarm's id"),), errors=(404, 503),
    ),
)  # fmt: skip
