"""The patient board: the trace, beats, trends, HRV, quality and alarms of one patient."""

from __future__ import annotations

from typing import Any

from dashboards.grafana import flux, layout, parts
from dashboards.grafana.flux import PATIENT, START, STOP, WINDOW
from dashboards.grafana.parts import Json
from dashboards.grafana.ward import HEART_RATE, MONITOR, NOW

LIVE_STREAM, LIVE_S = "ecgwatch", 8
MARKS_S = 120  # beats are marked if the range is no longer than this
PATIENTS = f"""import "influxdata/influxdb/schema"
schema.tagValues(bucket: v.defaultBucket, tag: "patient", predicate: (r) => r._measurement == "vitals", start: {START}, stop: {STOP})"""


def board() -> Json:
    """Build the board."""
    words = {"N": "normal", "S": "supraventricular", "V": "ventricular"}
    marks = [
        layout.annotation(f"Beats {label} ({word})", parts.BEATS[label], _beats(label))
        for label, word in words.items()
    ]
    return layout.board(
        "ecgwatch-patient",
        "Patient",
        f"One patient. Beats are marked where the range is {MARKS_S} s or less.",
        [*_numbers(), _live(), _stored(), _rhythm(), *_trends(), _alarms()],
        variables=[layout.variable("patient", "Patient", PATIENTS), MONITOR],
        annotations=[*marks, layout.annotation("Alarms", parts.HIGH, _spans())],
        links=[
            layout.board_link(
                "This patient in the built-in monitor",
                url="${monitor}/patient?id=${patient:percentencode}",
            )
        ],
        since="now-15m",
        live=True,
    )


def _numbers() -> list[Json]:
    def last(column: str) -> str:
        keep = (
            ""
            if column == "quality"
            else f'\n  |> filter(fn: (r) => given(r: r, field: "{column}"))'
        )
        return flux.query(
            flux.rows("vitals", column, "none", start=flux.before(STOP, NOW), patient=PATIENT)
            + keep,
            f'  |> group()\n  |> sort(columns: ["_time"])\n  |> last(column: "{column}")\n  |> keep(columns: ["_time", "{column}"])',
        )

    rhythm = flux.query(
        flux.rows("rhythm", "label", "end_ns", start=flux.before(STOP, flux.BACK), patient=PATIENT),
        f"  |> group()\n  |> filter(fn: (r) => r.end_ns > int(v: {flux.before(STOP, '1m')}))",
        '  |> sort(columns: ["_time"])\n  |> last(column: "label")\n  |> keep(columns: ["_time", "label"])',
    )
    unknown: Any = {
        "description": f"Of the last {NOW}; empty where there is none or it is not to be trusted."
    }
    return [
        parts.stat(
            "Heart rate", last("hr_bpm"), unit="none", decimals=0, thresholds=HEART_RATE, **unknown
        ),
        parts.stat("Rhythm", rhythm, text=True, mappings=parts.states(parts.RHYTHMS)),
        parts.stat("SDNN, 5 min", last("sdnn_ms"), unit="ms", decimals=0, **unknown),
        parts.stat("RMSSD, 5 min", last("rmssd_ms"), unit="ms", decimals=0, **unknown),
        parts.stat("Readable, 10 s", last("quality"), unit="percentunit", decimals=0),
        parts.stat("No heart rate because", last("reason"), text=True),
    ]


def _live() -> Json:
    live = {
        "refId": "A",
        "datasource": parts.GRAFANA,
        "queryType": "measurements",
        "channel": f"stream/{LIVE_STREAM}/${{patient}}",
        "buffer": LIVE_S * 1000,
    }
    return parts.curve(
        "ECG, live",
        [live],
        (24, 7),
        description="While `ecgwatch dashboards live PATIENT` runs. About a second late; to watch a patient, use the monitor.",
        name="mV",
        colour="#73bf69",
        legend=parts.legend(show=False),
        extra={
            "datasource": parts.GRAFANA,
            "timeFrom": f"{LIVE_S}s",
            "hideTimeOverride": True,
            "maxDataPoints": 2000,
        },
    )


def _stored() -> Json:
    strips = flux.query(flux.extremes(flux.points("ecg", "mv", patient=PATIENT), "_value", "lead"))
    return parts.curve(
        "ECG, strips around alarms",
        strips,
        (24, 7),
        name="${__field.labels.lead}",
        colour="#73bf69",
        axis="mV",
        description="From 10 s before each alarm's onset to 10 s after. The whole trace is in the built-in monitor.",
        extra={"maxDataPoints": 5000},
    )


def _rhythm() -> Json:
    return parts.timeline(
        "Rhythm", flux.episodes(PATIENT), (24, 4), mappings=parts.states(parts.RHYTHMS)
    )


def _trends() -> list[Json]:
    def vitals(*columns: str) -> str:
        """Means of the existing values in each window."""

        def one(column: str) -> str:
            return flux.rows("vitals", column, "none", patient=PATIENT) + (
                f'\n  |> filter(fn: (r) => given(r: r, field: "{column}"))\n  |> group()\n  |> sort(columns: ["_time"])\n'
                f'  |> aggregateWindow(every: {WINDOW}, fn: mean, column: "{column}", createEmpty: true)\n'
                f'  |> keep(columns: ["_time", "{column}"])\n  |> yield(name: "{column}")'
            )

        return flux.query(*(one(column) for column in columns))

    given = (
        flux.rows("beat", "rr_ms", "label", "none", patient=PATIENT)
        + '\n  |> filter(fn: (r) => given(r: r, field: "rr_ms"))'
    )
    beats = flux.query(flux.extremes(given, "rr_ms", "label"))
    ectopic = flux.query(
        flux.points("beat", "label", patient=PATIENT),
        '  |> filter(fn: (r) => r._value == "V" or r._value == "S")\n  |> map(fn: (r) => ({r with label: r._value, _value: 1}))',
        '  |> group(columns: ["label"])\n  |> aggregateWindow(every: 1m, fn: sum, createEmpty: true)',
        '  |> keep(columns: ["_time", "_value", "label"])',
    )
    by_class = [
        parts.field(label, color={"mode": "fixed", "fixedColor": colour})
        for label, colour in parts.BEATS.items()
    ]
    shown: Any = {"name": "${__field.labels.label}", "overrides": by_class}
    return [
        parts.curve(
            "Heart rate", vitals("hr_bpm"), unit="none", axis="/min", name="HR", colour="#73bf69"
        ),
        parts.curve(
            "RR interval", beats, draw="points", unit="ms", extra={"maxDataPoints": 5000}, **shown
        ),
        parts.curve("HRV over 5 min", vitals("sdnn_ms", "rmssd_ms"), unit="ms"),
        parts.curve("Ectopic beats per minute", ectopic, draw="bars", unit="none", **shown),
        parts.curve(
            "Readable share of the signal",
            vitals("quality"),
            unit="percentunit",
            minimum=0,
            maximum=1,
            name="readable",
        ),
        parts.curve(
            "Probability of the rhythm",
            _probability(),
            draw="steps",
            unit="percentunit",
            minimum=0,
            maximum=1,
            name="rhythm",
        ),
    ]


def _probability() -> str:
    return flux.query(
        flux.points("rhythm", "probability", patient=PATIENT),
        '  |> group()\n  |> sort(columns: ["_time"])\n  |> keep(columns: ["_time", "_value"])',
    )


def _alarms() -> Json:
    listed = flux.query(
        flux.standing(PATIENT),
        f"alarms\n  |> group()\n  |> filter(fn: (r) => r.onset_ns >= int(v: {START}))",
        "  |> map(fn: (r) => ({onset: time(v: r.onset_ns), priority: r.priority, kind: r.kind,",
        '      text: if given(r: r, field: "text") then r.text else "", stands: r.end == 0}))\n  |> sort(columns: ["onset"], desc: true)',
    )
    review = parts.link(
        "Review", "/d/ecgwatch-alarms?var-patient=${patient:percentencode}&${__url_time_range}"
    )
    overrides = [parts.field("kind", links=[review]), parts.coloured("priority", parts.PRIORITIES)]
    return parts.table("Alarms", listed, (24, 8), overrides=overrides)


def _beats(label: str) -> str:
    short = f"int(v: {STOP}) - int(v: {START}) <= {MARKS_S * 10**9}"
    return flux.query(
        f"short = {short}",
        flux.points("beat", "label", patient=PATIENT),
        f'  |> filter(fn: (r) => short and r._value == "{label}")\n  |> group()',
        "  |> map(fn: (r) => ({time: r._time, text: r._value}))",
    )


def _spans() -> str:
    return flux.query(
        flux.standing(PATIENT),
        "alarms\n  |> group()",
        '  |> map(fn: (r) => ({time: time(v: r.onset_ns), timeEnd: time(v: if given(r: r, field: "end_ns") then r.end_ns else r.onset_ns),',
        '      text: if given(r: r, field: "text") then r.text else r.kind}))',
    )
