"""The board for the review of alarms: their list, counts by kind and time, durations, and the strip
of a chosen alarm."""

from __future__ import annotations

from dashboards.grafana import flux, layout, parts
from dashboards.grafana.flux import PATIENT
from dashboards.grafana.parts import Json
from dashboards.grafana.patient import PATIENTS
from dashboards.grafana.ward import MONITOR

CHOSEN = "${alarm:doublequote}"  # an alarm's id: patient:kind:onset_ns
STRIP_S = 10
# the variable is empty for all patients
ONE = f'  |> filter(fn: (r) => {PATIENT} == "" or r.patient == {PATIENT})'


def board() -> Json:
    """Build the board."""
    return layout.board(
        "ecgwatch-alarms",
        "Alarm review",
        "What was raised, when and how quickly. Choose an alarm in the list to see its strip.",
        [_list(), _strip(), _per_kind(), _per_hour(), _delays(), _delay_of_high()],
        variables=[
            layout.variable("patient", "Patient", PATIENTS, every=True),
            layout.textbox("alarm", "Alarm"),
            MONITOR,
        ],
        links=[layout.board_link("Built-in monitor", url="${monitor}")],
        since="now-24h",
        refresh="30s",
    )


def _alarms(*fields: str) -> str:
    return flux.rows("alarm", *fields) + "\n" + ONE + "\n  |> group()"


def _list() -> Json:
    fields = (
        "id",
        "kind",
        "priority",
        "announced",
        "onset_ns",
        "raised_ns",
        "end_ns",
        "text",
        "acknowledged_by",
        "level",
        "none",
    )

    def text(name: str) -> str:
        return f'if given(r: r, field: "{name}") then r.{name} else ""'

    listed = flux.query(
        _alarms(*fields),
        f"  |> map(fn: (r) => ({{onset: time(v: r.onset_ns), patient: r.patient, priority: r.priority, kind: r.kind, text: {text('text')},",
        f'      seconds: if given(r: r, field: "end_ns") then float(v: r.end_ns - r.onset_ns) / 1000000000.0 else {flux.NULL_FLOAT},',
        "      delay: float(v: r.raised_ns - r.onset_ns) / 1000000000.0, announced: r.announced, level: r.level,",
        f"      by: {text('acknowledged_by')}, id: {text('id')}}}))",
        '  |> sort(columns: ["onset"], desc: true)\n  |> limit(n: 1000)',
    )
    choose = parts.link(
        "Show its strip",
        "/d/ecgwatch-alarms?var-alarm=${__data.fields.id:percentencode}&${__url_time_range}",
    )
    patient = parts.link(
        "Patient",
        "/d/ecgwatch-patient?var-patient=${__data.fields.patient:percentencode}&${__url_time_range}",
    )
    monitor = parts.link(
        "Built-in monitor", "${monitor}/patient?id=${__data.fields.patient:percentencode}", new=True
    )
    return parts.table(
        "Alarms",
        listed,
        (24, 10),
        description="The newest 1,000 of the range, announced or not.",
        overrides=[
            parts.field("kind", links=[choose]),
            parts.field("patient", links=[patient, monitor]),
            parts.coloured("priority", parts.PRIORITIES),
            parts.field("seconds", displayName="lasted", unit="s", decimals=1),
            parts.field("delay", displayName="raised after", unit="s", decimals=1),
            parts.field("level", displayName="re-alarms"),
            parts.field("by", displayName="acknowledged by"),
        ],
    )


def _strip() -> Json:
    strip = flux.query(
        f"chosen = {CHOSEN}",
        'onset = if chosen == "" then 0 else int(v: regexp.replaceAllString(r: /^.*:/, v: chosen, t: ""))',
        'whose = regexp.replaceAllString(r: /:[a-z_]+:[0-9]+$/, v: chosen, t: "")',
        flux.points(
            "ecg",
            "mv",
            patient="whose",
            start=f"time(v: onset - {STRIP_S * 10**9})",
            stop=f"time(v: onset + {STRIP_S * 10**9})",
        ),
        '  |> group()\n  |> sort(columns: ["_time"])',
        "  |> map(fn: (r) => ({seconds: float(v: int(v: r._time) - onset) / 1000000000.0, mV: r._value}))",
    )
    return parts.trend(
        "Strip of ${alarm}",
        strip,
        (24, 7),
        across="seconds",
        axis="mV",
        colour="#73bf69",
        description=f"{STRIP_S} s on both sides of the onset, which is at 0. Choose an alarm in the list.",
        extra={"maxDataPoints": 5000},
        overrides=[parts.field("seconds", unit="s")],
    )


def _per_kind() -> Json:
    counted = flux.query(
        _alarms("kind", "priority", "announced"),
        '  |> filter(fn: (r) => r.announced)\n  |> group(columns: ["kind"])\n  |> count(column: "priority")',
        '  |> group()\n  |> rename(columns: {priority: "alarms"})\n  |> sort(columns: ["alarms"], desc: true)',
    )
    return parts.bars(
        "Announced alarms by kind",
        counted,
        (12, 10),
        across="kind",
        unit="none",
        decimals=0,
        colour="#8ab8ff",
    )


def _per_hour() -> Json:
    counted = flux.query(
        flux.rows("alarm", "priority", "announced"),
        ONE
        + '\n  |> filter(fn: (r) => r.announced)\n  |> group(columns: ["priority"])\n  |> sort(columns: ["_time"])',
        '  |> aggregateWindow(every: 1h, fn: count, column: "announced", createEmpty: true)',
        '  |> keep(columns: ["_time", "announced", "priority"])\n  |> rename(columns: {announced: "_value"})',
    )
    colours = [
        parts.field(name, color={"mode": "fixed", "fixedColor": colour})
        for name, colour in parts.PRIORITIES.items()
    ]
    return parts.curve(
        "Announced alarms per hour",
        counted,
        (12, 10),
        draw="bars",
        unit="none",
        name="${__field.labels.priority}",
        overrides=colours,
    )


def _delays() -> Json:
    folds = {
        "median": 'quantile(q: 0.5, method: "exact_mean")',
        "p99": 'quantile(q: 0.99, method: "exact_selector")',
        "alarms": "count()",
    }
    by_kind = flux.query(
        "delays = " + _alarms("kind", "onset_ns", "raised_ns"),
        '  |> map(fn: (r) => ({kind: r.kind, _value: float(v: r.raised_ns - r.onset_ns) / 1000000000.0}))\n  |> group(columns: ["kind"])',
        *(
            f'{name} = delays |> {fold} |> group() |> rename(columns: {{_value: "{name}"}})'
            for name, fold in folds.items()
        ),
        'join(tables: {a: join(tables: {median: median, p99: p99}, on: ["kind"]), b: alarms}, on: ["kind"])',
        '  |> keep(columns: ["kind", "alarms", "median", "p99"])\n  |> sort(columns: ["p99"], desc: true)',
    )
    overrides = [parts.field(name, unit="s", decimals=1) for name in ("median", "p99")]
    return parts.table("From onset to raised, by kind", by_kind, (12, 9), overrides=overrides)


def _delay_of_high() -> Json:
    high = flux.query(
        _alarms("priority", "onset_ns", "raised_ns"),
        '  |> filter(fn: (r) => r.priority == "high")',
        "  |> map(fn: (r) => ({delay: float(v: r.raised_ns - r.onset_ns) / 1000000000.0}))",
    )
    return parts.histogram(
        "High priority: seconds from onset to raised",
        high,
        (12, 9),
        bucket=1,
        unit="s",
        colour=parts.HIGH,
        description="At most 10 s is wanted.",
    )
