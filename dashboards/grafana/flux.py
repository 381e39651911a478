"""Pieces of Flux from which the boards' queries are composed, in Grafana's dialect
(v.timeRangeStart and so on).

A point's field `none` names the fields that have no value, whatever an earlier version of the point
left in the store (stream_processor/sinks/influx_lines.py): `given` reads this field, which costs a
pivot, 0.1 s for 3,600 points on one core; trends of a whole ward skip it and average what is stored
(docs/grafana.md).
"""

from __future__ import annotations

START, STOP, WINDOW = "v.timeRangeStart", "v.timeRangeStop", "v.windowPeriod"
PATIENT = "${patient:doublequote}"  # the board's variable as a Flux string
NULL, NULL_FLOAT = 'debug.null(type: "string")', 'debug.null(type: "float")'
GIVEN = 'given = (r, field) => not strings.containsStr(v: "," + r.none + ",", substr: "," + field + ",")'
# how long before the board's range an alarm or an episode that still holds may have begun
BACK = "24h"


def before(moment: str, duration: str) -> str:
    """The Flux expression of a time this long before another."""
    return f"date.sub(d: {duration}, from: {moment})"


def points(
    measurement: str,
    *fields: str,
    start: str = START,
    stop: str = STOP,
    patient: str = "",
    every_field: bool = False,
) -> str:
    """The points of a measurement in a range of time, one table per series; a row per field."""
    one = f" and r.patient == {patient}" if patient else ""
    named = (
        ""
        if every_field
        else "\n  |> filter(fn: (r) => "
        + " or ".join(f'r._field == "{field}"' for field in fields)
        + ")"
    )
    return (
        f"from(bucket: v.defaultBucket)\n  |> range(start: {start}, stop: {stop})\n"
        f'  |> filter(fn: (r) => r._measurement == "{measurement}"{one}){named}'
    )


def rows(
    measurement: str, *fields: str, start: str = START, stop: str = STOP, patient: str = ""
) -> str:
    """The same with a row per point: one column per field."""
    pivot = '\n  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
    return points(measurement, *fields, start=start, stop=stop, patient=patient) + pivot


def query(*parts: str) -> str:
    """A whole query: the packages that its parts import, then each part on its own line."""
    text = "\n".join(parts)
    text = f"{GIVEN}\n{text}" if "given(" in text else text
    packages = {
        "strings.": "strings",
        "date.": "date",
        "debug.": "internal/debug",
        "regexp.": "regexp",
    }
    return "\n".join(
        [*(f'import "{path}"' for used, path in packages.items() if used in text), text]
    )


def extremes(source: str, column: str, by: str) -> str:
    """Keep the smallest and the largest row of each window, at their own times: for a panel with
    fewer pixels than points."""
    return (
        f"every = {source}\n"
        f'few = (fn) => every\n  |> group(columns: ["{by}"])\n  |> window(every: {WINDOW})\n  |> fn(column: "{column}")\n'
        f'  |> group(columns: ["{by}"])\n'
        "union(tables: [few(fn: min), few(fn: max)])\n"
        f'  |> unique(column: "_time")\n  |> sort(columns: ["_time"])\n  |> keep(columns: ["_time", "{column}", "{by}"])'
    )


def episodes(patient: str = "") -> str:
    """Rhythm as a state per patient: each label from its start, no state after an episode that no
    other follows."""
    return query(
        "episodes = "
        + rows("rhythm", "label", "end_ns", start=before(START, BACK), patient=patient)
        + f'\n  |> group(columns: ["patient"])\n  |> filter(fn: (r) => r.end_ns > int(v: {START}))',
        f"begin = (r) => if r._time < {START} then {START} else r._time",
        "begins = episodes |> map(fn: (r) => ({patient: r.patient, _time: begin(r: r), _value: r.label, order: 1}))",
        f"ends = episodes |> map(fn: (r) => ({{patient: r.patient, _time: time(v: r.end_ns), _value: {NULL}, order: 0}}))",
        'union(tables: [ends, begins])\n  |> sort(columns: ["_time", "order"])\n  |> drop(columns: ["order"])',
    )


def standing(patient: str = "", stop: str = STOP) -> str:
    """Define `alarms`: the announced alarms, with `end`, the time at which each stopped standing
    (0: it still stands), as in Alarm.standing."""
    fields = (
        "kind",
        "priority",
        "announced",
        "latching",
        "onset_ns",
        "end_ns",
        "acknowledged_ns",
        "text",
        "none",
    )
    return (
        "alarms = "
        + rows("alarm", *fields, start=before(START, BACK), stop=stop, patient=patient)
        + "\n"
        '  |> filter(fn: (r) => r.announced)\n  |> group(columns: ["patient"])\n'
        "  |> map(fn: (r) => ({r with\n"
        '      end: if not given(r: r, field: "end_ns") then 0\n'
        "        else if not r.latching then r.end_ns\n"
        '        else if not given(r: r, field: "acknowledged_ns") then 0\n'
        "        else if r.acknowledged_ns > r.end_ns then r.acknowledged_ns else r.end_ns}))"
    )


def worst_alarm(patient: str = "") -> str:
    """The highest standing priority as a state per patient: alarms are counted up at their onset
    and down at their end."""
    return query(
        standing(patient),
        f"begin = (at) => time(v: if at > int(v: {START}) then at else int(v: {START}))",
        "step = (r, at, by) => ({patient: r.patient, _time: begin(at: at),\n"
        + ",\n".join(
            f'  {p}: if r.priority == "{p}" then by else 0' for p in ("high", "medium", "low")
        )
        + "})",
        "begins = alarms |> map(fn: (r) => step(r: r, at: r.onset_ns, by: 1))",
        "ends = alarms |> filter(fn: (r) => r.end > 0) |> map(fn: (r) => step(r: r, at: r.end, by: -1))",
        'union(tables: [begins, ends])\n  |> sort(columns: ["_time"])\n  |> cumulativeSum(columns: ["high", "medium", "low"])',
        '  |> map(fn: (r) => ({patient: r.patient, _time: r._time, _value: if r.high > 0 then "high" else if r.medium > 0 then "medium"\n'
        f'      else if r.low > 0 then "low" else {NULL}}}))',
    )
