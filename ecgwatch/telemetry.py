"""Destination of a worker's own figures, by the settings."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping

from ecgwatch.settings import Settings
from ecgwatch.stores import influx_ca
from ingest.clock import Clock
from stream_processor.worker.counters import Counters


def publisher(
    settings: Settings, worker: str, timings: Mapping[str, float], clock: Clock
) -> Callable[[Counters], None]:
    """Return the function that a worker calls with its counters every 15 s. It writes to InfluxDB
    if that is the store, otherwise it does nothing (the log has the counters).

    `worker` names its supervisor and its place there, so that a restarted worker keeps the name.
    """
    scheme, _, url = settings.sink.partition(":")
    if scheme != "influxdb":
        return lambda _: None
    from stream_processor.worker.telemetry import InfluxTelemetry

    return InfluxTelemetry(
        url,
        settings.influx_token,
        settings.influx_org,
        settings.influx_bucket,
        f"{platform.node()}-{worker}",
        timings,
        clock,
        influx_ca(settings),
    )
