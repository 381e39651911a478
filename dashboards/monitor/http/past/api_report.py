"""The endpoint of the report: a period of a patient as a page to print."""

from __future__ import annotations

from starlette.responses import Response

from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_request import DAY_NS, ApiRequest
from dashboards.monitor.http.documents import document
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec
from dashboards.monitor.store import questions


async def _report(ask: ApiRequest) -> Response:
    now_ns = ask.parts.clock.now_ns()
    return document(
        await ask.parts.history.ask(questions.report, ask.patient, *ask.period(7 * DAY_NS), now_ns)
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/patients/{patient}/report",
        "view",
        _report,
        "A report of the period, to print",
        ResponseSpec("a page that needs nothing else", media="text/html"),
        query=schemas.period("7 days"),
        errors=(503,),
    ),
)
