"""The processor's own figures as InfluxDB points, for the board on the pipeline's health and its
alert rules.

Measurement `pipeline`, tag `worker`, a point every 15 s by the wall clock. They are no events:
nothing waits for them, and what cannot be written is dropped.
"""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Mapping

import httpx

from ingest.clock import Clock
from ingest.redact import redacted
from stream_processor.sinks.influx_lines import quoted
from stream_processor.worker.counters import Counters

log = logging.getLogger(__name__)
TIMEOUT_S = 3.0
MIN_RATE = 1.0  # messages per second: below it, lag in seconds would be a division by nothing
NETWORKS = ("beat network", "rhythm network")
ADDED = ("lag_s", "network_s", "stages_s")  # fields beside the counters
_ESCAPED = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})


class InfluxTelemetry:
    """Writes the counters of one worker. `timings`: CPU seconds of the ward per step; `ca`: PEM text
    of who signed the store's certificate."""

    def __init__(
        self,
        url: str,
        token: str,
        org: str,
        bucket: str,
        worker: str,
        timings: Mapping[str, float],
        clock: Clock,
        ca: str = "",
    ) -> None:
        self._url, self._token, self._place = (
            url.rstrip("/"),
            token,
            {"org": org, "bucket": bucket, "precision": "ns"},
        )
        self._worker, self._timings, self._clock = worker, timings, clock
        self._before = (0, clock.steady_s())
        self._verify = ssl.create_default_context(cadata=ca) if ca else True
        self._quiet = False

    def __call__(self, counters: Counters) -> None:
        """Write a point. Blocks for TIMEOUT_S at most, never raises for a store that is away."""
        point = line(self._worker, self._figures(counters), self._clock.now_ns())
        try:
            headers = {"Authorization": f"Token {self._token}"}
            answer = httpx.post(
                f"{self._url}/api/v2/write",
                params=self._place,
                headers=headers,
                content=point,
                timeout=TIMEOUT_S,
                verify=self._verify,
            )
            answer.raise_for_status()
            self._quiet = False
        except httpx.HTTPError as error:
            if not self._quiet:
                log.warning("figures for the dashboards are not written: %s", redacted(str(error)))
            self._quiet = True

    def _figures(self, counters: Counters) -> dict[str, float]:
        messages, at_s = self._before
        now_s = self._clock.steady_s()
        self._before = (counters.messages, now_s)
        rate = (counters.messages - messages) / max(now_s - at_s, 1e-3)
        timings = dict(self._timings)
        added = (
            counters.lag / max(rate, MIN_RATE),
            sum(timings.get(name, 0.0) for name in NETWORKS),
            sum(timings.values()),
        )
        return {**counters.as_dict(), **dict(zip(ADDED, added, strict=True))}


def line(worker: str, figures: Mapping[str, float], now_ns: int) -> str:
    """Line protocol of a point. All fields are floats; what is not a number is left out."""
    fields = ",".join(
        f"{name}={float(value)}" for name, value in figures.items() if math.isfinite(value)
    )
    return f"pipeline,worker={quoted(worker).translate(_ESCAPED)} {fields} {now_ns}"
