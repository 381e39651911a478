"""The ingest server's parts put together, for a process of its own and for the monitor's."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from starlette.routing import BaseRoute

from dashboards.monitor.http.phone import routes as phone_routes
from ecgwatch.settings import Settings
from ingest.clock import Clock
from ingest.server import app
from ingest.server.mqtt import MqttSubscriber
from ingest.server.service import IngestService


class Ingest:
    """The service, what runs beside it, and the routes of both API and phone page."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.service = IngestService(settings.kafka, clock)
        self._beside = [MqttSubscriber(settings.mqtt, self.service)] if settings.mqtt else []

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """For an application that has others."""
        return [*app.routes(self.service), *phone_routes()]

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Between start and stop. Raises UnreachableError."""
        return app.running(self.service, self._beside)
