"""Prometheus metrics of the stream processor: every counter of counters.py, in one list with its
meaning."""

from __future__ import annotations

from ingest.health import Metric
from stream_processor.worker.counters import Counters

# counter, name, kind, meaning
NAMES = (
    ("messages", "messages_total", "counter", "messages taken from ecg.samples"),
    ("chunks", "chunks_total", "counter", "chunks handed to the ward"),
    ("dead_letters", "dead_letters_total", "counter", "inputs that could not be decoded"),
    ("refused", "inputs_refused_total", "counter", "inputs that would have broken the ward"),
    ("rebuilds", "ward_rebuilds_total", "counter", "times that the ward broke down"),
    ("states_lost", "states_lost_total", "counter", "snapshots that could not be used"),
    ("beats", "beats_total", "counter", "beats found"),
    ("alarms", "alarms_total", "counter", "alarms raised"),
    ("commits", "commits_total", "counter", "commits of the input"),
    ("store_refusals", "store_busy_total", "counter", "times that the store was busy"),
    ("unfit", "events_refused_total", "counter", "events that the store will never take"),
    ("slices", "slices_total", "counter", "slices through the ward"),
    ("slice_s", "slice_seconds_total", "counter", "seconds spent in slices"),
    ("slowest_slice_s", "slowest_slice_seconds", "gauge", "slowest slice of the last 15 s"),
    ("patients", "patients", "gauge", "patients that are remembered"),
    ("lag", "lag_messages", "gauge", "messages behind the end of ecg.samples"),
    ("pending", "pending_messages", "gauge", "messages fetched and not yet processed"),
    ("unstored", "unstored_messages", "gauge", "messages that the store does not have yet"),
    ("latency_p50_s", "latency_p50_seconds", "gauge", "from a live beat to its event, median"),
    ("latency_p99_s", "latency_p99_seconds", "gauge", "from a live beat to its event, 99 %"),
)


def metrics_of(counters: Counters, restarts: int) -> list[Metric]:
    """Return the present values of all metrics; `restarts`: how often a worker broke down and was
    started again."""
    found = [
        Metric(name, kind, meaning, float(getattr(counters, field)))  # type: ignore[arg-type]
        for field, name, kind, meaning in NAMES
    ]
    meaning = "workers that broke down and were started again"
    return [*found, Metric("worker_restarts_total", "counter", meaning, float(restarts))]
