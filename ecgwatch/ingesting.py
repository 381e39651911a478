"""Assembles the ingest server, for a process of its own or within the monitor."""

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
    """The ingest service, the MQTT subscriber if one is set, and the routes of API and phone
    page."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.service = IngestService(settings.kafka, clock)
        self._beside = [MqttSubscriber(settings.mqtt, self.service)] if settings.mqtt else []

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Routes to mount in an application."""
        return [*app.routes(self.service), *phone_routes()]

    def running(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Run the service and the subscriber while the context is open. Raises UnreachableError."""
        return app.running(self.service, self._beside)
