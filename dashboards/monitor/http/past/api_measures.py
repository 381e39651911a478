"""Endpoints for measures of a patient's period: burden of atrial fibrillation, spectrum, average
beat."""

from __future__ import annotations

from starlette.responses import Response

from dashboards.measures.delineation import Marks
from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_request import DAY_NS, ApiRequest, json_answer
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec
from dashboards.monitor.store.measures import af_burden, measures

_MINUTE_NS = 60 * 10**9
_AHEAD = 24 * 60  # minutes; `offset` is this much more than the local clock is ahead of UTC


async def _burden(ask: ApiRequest) -> Response:
    offset_ns = (ask.whole("offset", _AHEAD, 2 * _AHEAD) - _AHEAD) * _MINUTE_NS
    return json_answer(
        await ask.parts.history.ask(af_burden, ask.patient, *ask.period(31 * DAY_NS), offset_ns)
    )


async def _measures(ask: ApiRequest) -> Response:
    return json_answer(await ask.parts.history.ask(measures, ask.patient, *ask.period(DAY_NS)))


_NUMBER = {"type": "number"}
_NUMBERS = schemas.many(_NUMBER)
_SPECTRUM = {
    **schemas.object_schema(
        {
            "lf_ms2": _NUMBER,
            "hf_ms2": _NUMBER,
            "ratio": schemas.NUMBER_OR_NULL,
            "lf_hz": _NUMBERS,
            "hf_hz": _NUMBERS,
            "stretches": {"type": "integer"},
            "intervals": {"type": "integer"},
            "frequency": _NUMBERS,
            "density": _NUMBERS,
        }
    ),
    "type": ["object", "null"],
}
_BEAT = {
    **schemas.object_schema(
        {
            "mv": _NUMBERS,
            "fs": _NUMBER,
            "r": {"type": "integer"},
            "beats": {"type": "integer"},
            "rr": _NUMBER,
            "marks": schemas.object_schema(
                {name: {"type": ["integer", "null"]} for name in Marks._fields}
            ),
            "unsure": schemas.many({"enum": [*Marks._fields]}),
            **dict.fromkeys(
                ("pr", "qrs", "qt", "qtc_fridericia", "qtc_bazett"), schemas.NUMBER_OR_NULL
            ),
        }
    ),
    "type": ["object", "null"],
}
ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/patients/{patient}/burden",
        "view",
        _burden,
        "Atrial fibrillation day by day",
        ResponseSpec(
            "the days",
            schemas.object_schema(
                {
                    "days": schemas.many(
                        schemas.object_schema(
                            {
                                "start": schemas.TIME,
                                "readable_s": _NUMBER,
                                "af_s": _NUMBER,
                                "longest_s": _NUMBER,
                                "share": schemas.NUMBER_OR_NULL,
                            }
                        )
                    )
                }
            ),
        ),
        query=(
            *schemas.period("31 days"),
            (
                "offset",
                False,
                {"type": "integer", "minimum": 0, "maximum": 2 * _AHEAD, "default": _AHEAD},
                "1440 plus the minutes that the local clock is ahead of UTC: when a day begins",
            ),
        ),
        errors=(503,),
    ),
    Endpoint(
        "GET",
        "/api/patients/{patient}/measures",
        "view",
        _measures,
        "Spectrum of the normal intervals, and the average normal beat of the period's last 90 s",
        ResponseSpec(
            "both, null if there is too little",
            schemas.object_schema({"spectrum": _SPECTRUM, "beat": _BEAT}),
        ),
        query=schemas.period("24 h"),
        errors=(503,),
    ),
)
