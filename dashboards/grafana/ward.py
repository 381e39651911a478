"""The ward board: patients who need attention now, and the last hours of every patient."""

from __future__ import annotations

from dashboards.grafana import flux, layout, parts
from dashboards.grafana.flux import BACK, STOP, WINDOW
from dashboards.grafana.parts import Json

NOW = "20s"  # vitals come once a second; older ones are not current

HEART_RATE = parts.steps(
    (None, parts.HIGH),
    (40, parts.MEDIUM),
    (50, parts.QUIET),
    (120, parts.MEDIUM),
    (140, parts.HIGH),
)


def board() -> Json:
    """Build the board."""
    return layout.board(
        "ecgwatch-ward",
        "Ward",
        "Rhythm, heart rate and worst alarm of every patient. For alarms that must be seen at once, use the built-in monitor.",
        [_now(), _rhythm(), _heart_rate(), _alarms()],
        variables=[MONITOR],
        links=[layout.board_link("Built-in monitor", url="${monitor}")],
        since="now-30m",
    )


MONITOR = layout.constant("monitor", "http://localhost:8050", "Where the built-in monitor answers")
PATIENT_LINK = parts.link(
    "Patient", "/d/ecgwatch-patient?var-patient=${__value.text:percentencode}&${__url_time_range}"
)
MONITOR_LINK = parts.link(
    "Built-in monitor", "${monitor}/patient?id=${__value.text:percentencode}", new=True
)
LABEL_LINK = parts.link(
    "Patient",
    "/d/ecgwatch-patient?var-patient=${__field.labels.patient:percentencode}&${__url_time_range}",
)


def _now() -> Json:
    last = 'last(column: "_time")'
    vitals = flux.query(
        flux.rows("vitals", "hr_bpm", "quality", "reason", "none", start=flux.before(STOP, NOW)),
        f'  |> group(columns: ["patient"])\n  |> sort(columns: ["_time"])\n  |> {last}\n  |> group()',
        '  |> map(fn: (r) => ({patient: r.patient, hr: if given(r: r, field: "hr_bpm") then r.hr_bpm else '
        + flux.NULL_FLOAT
        + ",",
        '      why: if given(r: r, field: "reason") then r.reason else "", quality: r.quality, seen: r._time}))',
    )
    rhythm = flux.query(
        flux.rows("rhythm", "label", "end_ns", start=flux.before(STOP, BACK)),
        f'  |> group(columns: ["patient"])\n  |> sort(columns: ["_time"])\n  |> {last}\n  |> group()',
        f"  |> filter(fn: (r) => r.end_ns > int(v: {flux.before(STOP, '1m')}))",
        "  |> map(fn: (r) => ({patient: r.patient, rhythm: r.label}))",
    )
    alarm = flux.query(
        flux.standing(),
        'rank = (p) => if p == "high" then 3 else if p == "medium" then 2 else 1',
        "alarms\n  |> filter(fn: (r) => r.end == 0)\n  |> map(fn: (r) => ({r with rank: rank(p: r.priority)}))",
        '  |> sort(columns: ["rank", "_time"])\n  |> last(column: "_time")\n  |> group()',
        '  |> map(fn: (r) => ({patient: r.patient, priority: r.priority, alarm: if given(r: r, field: "text") then r.text else r.kind}))',
    )
    return parts.table(
        "Now",
        [parts.target(vitals, "A"), parts.target(rhythm, "B"), parts.target(alarm, "C")],
        (24, 9),
        description="Patients with data in the last 20 s, and whoever has an alarm that stands.",
        extra={
            "transformations": [
                {"id": "joinByField", "options": {"byField": "patient", "mode": "outer"}}
            ]
        },
        overrides=[
            parts.field("patient", displayName="Patient", links=[PATIENT_LINK, MONITOR_LINK]),
            parts.field(
                "hr",
                displayName="HR",
                unit="none",
                decimals=0,
                thresholds=HEART_RATE,
                custom_cellOptions={"type": "color-text"},
            ),
            parts.field("why", displayName="No HR because"),
            parts.field("quality", displayName="Quality", unit="percentunit", decimals=0),
            parts.field("seen", displayName="Last data", unit="dateTimeFromNow"),
            parts.coloured("rhythm", parts.RHYTHMS),
            parts.coloured("priority", parts.PRIORITIES),
        ],
    )


def _rhythm() -> Json:
    return parts.timeline(
        "Rhythm", flux.episodes(), (24, 8), mappings=parts.states(parts.RHYTHMS), links=[LABEL_LINK]
    )


def _heart_rate() -> Json:
    """Window means computed by the store's own engine, without the field `none`: an hour of 50
    patients takes 0.03 s, but 5 s with it."""
    means = flux.query(
        flux.points("vitals", "hr_bpm"),
        f'  |> aggregateWindow(every: {WINDOW}, fn: mean, createEmpty: true)\n  |> group(columns: ["patient"])',
        '  |> keep(columns: ["_time", "_value", "patient"])',
    )
    return parts.timeline(
        "Heart rate",
        means,
        (24, 8),
        thresholds=HEART_RATE,
        colour="thresholds",
        unit="none",
        decimals=0,
        links=[LABEL_LINK],
    )


def _alarms() -> Json:
    return parts.timeline(
        "Worst alarm",
        flux.worst_alarm(),
        (24, 8),
        mappings=parts.states(parts.PRIORITIES),
        links=[LABEL_LINK],
        description="Announced alarms: while they hold and, if they latch, until somebody acknowledges them.",
    )
