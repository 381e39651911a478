"""Where a worker's own figures go, as the settings say."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping

from ecgwatch.settings import Settings
from ecgwatch.stores import influx_ca
from ingest.clock import Clock
from stream_processor.worker.counters import Counters


def publisher(
    settings: Settings, supervisor: int, timings: Mapping[str, float], clock: Clock
) -> Callable[[Counters], None]:
    """What a worker calls with its counters every 15 s: into InfluxDB where that is the store, else
    nothing (the log has them).

    A worker is named by its machine and its supervisor, so that one that is started again goes on
    under the same name.
    """
    scheme, _, url = settings.sink.partition(":")
    if scheme != "influxdb":
        return lambda _: None
    from stream_processor.worker.telemetry import InfluxTelemetry

    worker = f"{platform.node()}-{supervisor}"
    return InfluxTelemetry(
        url,
        settings.influx_token,
        settings.influx_org,
        settings.influx_bucket,
        worker,
        timings,
        clock,
        influx_ca(settings),
    )
