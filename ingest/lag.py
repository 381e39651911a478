"""How far behind a consumer group is, for Prometheus."""

from __future__ import annotations

import math
from collections.abc import Iterable

from confluent_kafka import KafkaException

from ingest.consumers import lag
from ingest.health import Metric

_TIMEOUT_S = 2.0  # who scrapes waits ten seconds at most, and wants the other metrics


def lag_metric(broker: str, group: str, names: Iterable[str]) -> Metric:
    """Messages of these topics that the group has not committed; not a number, and so left out, if
    the broker does not answer."""
    try:
        left = float(lag(broker, group, names, _TIMEOUT_S))
    except KafkaException:
        left = math.nan
    return Metric("lag_messages", "gauge", f"messages that the group {group} has left", left)
