"""The ingest server as an application: its own, or routes for another that runs in the same process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ingest.health import TEXT, Metric, prometheus
from ingest.server import describe, http, socket
from ingest.server.refusals import IngestRefusedError
from ingest.server.service import IngestService
from ingest.wire import JSON


class BackgroundService(Protocol):
    """Something that runs while the server does (the MQTT subscriber)."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


def routes(service: IngestService) -> list[BaseRoute]:
    """All calls below /api/ingest."""
    return [*http.routes(service), socket.route(service), *describe.routes()]


@contextlib.asynccontextmanager
async def running(
    service: IngestService, beside: Sequence[BackgroundService] = ()
) -> AsyncIterator[None]:
    """The service between its start and its stop."""
    await service.start()
    started: list[BackgroundService] = []
    try:
        for part in beside:
            await part.start()
            started.append(part)
        yield
    finally:
        for part in reversed(started):
            await part.stop()
        await service.stop()


def create_app(service: IngestService, more: Sequence[BaseRoute] = ()) -> Starlette:
    """An application of its own, for use while the service is `running`. `more` are other routes
    that it serves."""

    async def health(request: Request) -> Response:
        away = service.outlet.away
        content = {
            "broker": not away,
            "waiting": service.outlet.waiting,
            "streams": len(service.book.streams),
        }
        return Response(msgspec.json.encode(content), 503 if away else 200, media_type=JSON)

    async def metrics(request: Request) -> Response:
        outlet = service.outlet
        found = [
            Metric("broker_up", "gauge", "1 while the broker answers", float(not outlet.away)),
            Metric(
                "waiting_chunks", "gauge", "chunks that Kafka does not have yet", outlet.waiting
            ),
            Metric("streams", "gauge", "streams that are remembered", len(service.book.streams)),
            Metric("inputs_refused_total", "counter", "calls refused", service.refusals.count),
        ]
        return Response(prometheus(found), media_type=TEXT)

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return http.refusal(
            IngestRefusedError(
                error.status_code, f"{request.method} {request.url.path}: {error.detail}"
            )
        )

    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/readyz", health),
            Route("/metrics", metrics),
            *routes(service),
            *more,
        ],
        exception_handlers={HTTPException: refuse},
    )
