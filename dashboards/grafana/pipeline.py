"""The board on the pipeline's health, from the figures that each worker of the processor reports
(stream_processor/worker/telemetry.py)."""

from __future__ import annotations

from typing import Any

from dashboards.grafana import flux, layout, parts
from dashboards.grafana.flux import START, STOP, WINDOW
from dashboards.grafana.parts import Json

EVERY_S = 15  # interval of each worker's points
BY_WORKER = "${__field.labels.worker}"


def board() -> Json:
    """Build the board."""
    return layout.board(
        "ecgwatch-pipeline",
        "Pipeline health",
        "Lag, latency, throughput and trouble of the stream processor, a line per worker.",
        [*_numbers(), *_curves(), _notifications()],
        since="now-1h",
    )


def now(name: str, start: str = flux.before(STOP, "1m"), stop: str = STOP) -> str:
    """Newest value of a figure, summed over all workers."""
    return flux.query(
        flux.points("pipeline", name, start=start, stop=stop),
        "  |> last()\n  |> group()\n  |> sum()\n  |> map(fn: (r) => ({_time: "
        + stop
        + ", _value: r._value}))",
    )


def gained(name: str, start: str = START, stop: str = STOP) -> str:
    """Growth of a total, summed over all workers; a total that was reset counts from zero."""
    return flux.query(
        flux.points("pipeline", name, start=start, stop=stop),
        "  |> increase()\n  |> last()\n  |> group()\n  |> sum()\n  |> map(fn: (r) => ({_time: "
        + stop
        + ", _value: r._value}))",
    )


def _latest(name: str) -> str:
    return flux.query(
        flux.points("pipeline", name),
        f'  |> group(columns: ["worker"])\n  |> aggregateWindow(every: {WINDOW}, fn: max, createEmpty: false)',
        '  |> keep(columns: ["_time", "_value", "worker"])',
    )


def _rate(name: str) -> str:
    """Rate per second of a total."""
    return flux.query(
        flux.points("pipeline", name),
        '  |> group(columns: ["worker"])\n  |> derivative(unit: 1s, nonNegative: true)\n  |> filter(fn: (r) => exists r._value)',
        f'  |> aggregateWindow(every: {WINDOW}, fn: mean, createEmpty: false)\n  |> keep(columns: ["_time", "_value", "worker"])',
    )


def _share(part: str, whole: str, scale: str = "1.0") -> str:
    """Growth of one total divided by the growth of another."""
    return flux.query(
        flux.rows("pipeline", part, whole),
        f'  |> group(columns: ["worker"])\n  |> difference(nonNegative: true, columns: ["{part}", "{whole}"])',
        f"  |> filter(fn: (r) => r.{whole} > 0.0)",
        f"  |> map(fn: (r) => ({{_time: r._time, worker: r.worker, _value: {scale} * r.{part} / r.{whole}}}))",
        f'  |> aggregateWindow(every: {WINDOW}, fn: mean, createEmpty: false)\n  |> keep(columns: ["_time", "_value", "worker"])',
    )


def _numbers() -> list[Json]:
    trouble: Any = {
        "thresholds": parts.steps((None, parts.QUIET), (1, parts.HIGH)),
        "decimals": 0,
        "unit": "none",
    }
    late = parts.steps((None, parts.QUIET), (2, parts.MEDIUM), (10, parts.HIGH))
    return [
        parts.stat("Patients", now("patients"), unit="none", decimals=0),
        parts.stat("Lag", now("lag_s"), unit="s", decimals=1, thresholds=late),
        parts.stat("Dead letters", gained("dead_letters"), **trouble),
        parts.stat("Store was busy", gained("store_refusals"), **trouble),
        parts.stat("Not stored yet", now("unstored"), unit="none", decimals=0),
        parts.stat("Alarms raised", gained("alarms"), unit="none", decimals=0),
    ]


def _curves() -> list[Json]:
    lines: Any = {"name": BY_WORKER, "extra": {"interval": f"{EVERY_S}s"}}
    latency = flux.query(
        flux.points("pipeline", "latency_p50_s", "latency_p99_s"),
        f'  |> group(columns: ["worker", "_field"])\n  |> aggregateWindow(every: {WINDOW}, fn: max, createEmpty: false)',
        '  |> keep(columns: ["_time", "_value", "worker", "_field"])',
    )
    return [
        parts.curve("Messages behind", _latest("lag"), unit="none", **lines),
        parts.curve(
            "From a beat to its event",
            latency,
            unit="s",
            name=f"{BY_WORKER} ${{__field.name}}",
            extra=lines["extra"],
            description="Median and 99th percentile of beats that are no older than 10 min: with replayed times there is none.",
        ),
        parts.curve("Messages per second", _rate("messages"), unit="none", **lines),
        parts.curve("Beats per second", _rate("beats"), unit="none", **lines),
        parts.curve(
            "CPU of the networks per 1,000 messages",
            _share("network_s", "messages", "1000.0"),
            unit="s",
            **lines,
        ),
        parts.curve("CPU of all stages", _rate("stages_s"), unit="percentunit", **lines),
        parts.curve("Slowest slice", _latest("slowest_slice_s"), unit="s", **lines),
        parts.curve("Commits per second", _rate("commits"), unit="none", **lines),
        parts.curve("Store was busy, per second", _rate("store_refusals"), unit="none", **lines),
        parts.curve("Dead letters per second", _rate("dead_letters"), unit="none", **lines),
    ]


def _notifications() -> Json:
    counted = flux.query(
        flux.rows("delivery", "outcome", "recipient"),
        '  |> group(columns: ["outcome"])\n  |> sort(columns: ["_time"])',
        f'  |> aggregateWindow(every: {WINDOW}, fn: count, column: "recipient", createEmpty: true)',
        '  |> keep(columns: ["_time", "recipient", "outcome"])\n  |> rename(columns: {recipient: "_value"})',
    )
    colours = {"delivered": parts.QUIET, "failed": parts.HIGH, "held back": parts.UNREADABLE}
    overrides = [
        parts.field(name, color={"mode": "fixed", "fixedColor": colour})
        for name, colour in colours.items()
    ]
    return parts.curve(
        "Notifications",
        counted,
        (24, 8),
        draw="bars",
        unit="none",
        name="${__field.labels.outcome}",
        overrides=overrides,
        extra={"interval": "1m"},
    )
