"""Every query of every board against a real InfluxDB that the pipeline filled: the answers are what
the sink was given, value by value.

Two simulated patients go through a Ward into an InfluxSink and, beside it, into a MemorySink, from
which the answers are worked out again in Python. Grafana itself cannot be had here: `asked`
replaces variables and macros as its backend does (pkg/tsdb/influxdb/flux/macros.go).
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import urllib.request
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

import msgspec
import numpy as np
import pytest

from dashboards.grafana import alerts, files
from dashboards.grafana.patient import MARKS_S
from ingest.clock import ManualClock
from ingest.messages import (
    Action,
    Alarm,
    Beat,
    Delivery,
    Edit,
    Rhythm,
    SampleChunk,
    Score,
    Stored,
    Strip,
    Vitals,
    sample_offset_ns,
)
from ingest.packing import MISSING, unpack
from ingest.replay import merge, stream
from ingest.simulator.scenario import load
from ingest.sources.simulated import SimulatedSource
from stream_processor.sinks import influx_lines
from stream_processor.sinks.base import KINDS
from stream_processor.sinks.influx import InfluxSink
from stream_processor.sinks.memory import MemorySink
from stream_processor.ward import build_ward
from stream_processor.worker.counters import Counters
from stream_processor.worker.telemetry import ADDED
from stream_processor.worker.telemetry import line as telemetry_line
from tools.services import Influxdb

S = 10**9
START_NS = 1_767_225_600 * S
SIGNAL_S, WINDOW_S = (
    240,
    10,
)  # long enough for the variability of PATIENT, which has AF for half of it
STOP_NS = START_NS + SIGNAL_S * S
CAST = {"bed 1": "vt", 'bed "2", left': "afib"}  # ids as people give them
PATIENT = 'bed "2", left'
WORKERS = ("a-1", "b-1")
BOARDS = files.boards()
T = TypeVar("T", bound=Stored)
Row = dict[str, Any]


@dataclass
class Filled:
    """The store, and what it was given."""

    influxdb: Influxdb
    truth: MemorySink
    figures: dict[str, list[tuple[int, dict[str, float]]]]  # by worker: time and what it said

    def of(self, kind: type[T], patient: str | None = None) -> list[T]:
        """The events of a kind, of one patient or of all, in the order of their time."""
        return [
            e
            for p in ([patient] if patient else sorted(CAST))
            for e in self.truth.read(kind, p, START_NS, STOP_NS)
        ]

    def ask(
        self, flux: str, start_ns: int = START_NS, stop_ns: int = STOP_NS, **variables: str
    ) -> list[Row]:
        """The rows of a query's answer."""
        return answer(
            self.influxdb, asked(flux, start_ns, stop_ns, self.influxdb.bucket, variables)
        )


@pytest.fixture(scope="module")
def filled(influxdb: Influxdb) -> Filled:
    """The store after 240 s of two patients, and what people and programs did about them."""
    influxdb.clear()
    truth = MemorySink()
    sink = InfluxSink(influxdb.url, influxdb.token, influxdb.org, influxdb.bucket)
    sources = [
        (SimulatedSource(load(name), seed=1, duration_s=SIGNAL_S, name=name), patient)
        for patient, name in CAST.items()
    ]
    items = merge([stream(source, patient, START_NS) for source, patient in sources])
    events: list[Stored] = list(
        build_ward(ManualClock(START_NS)).push(
            [item.message for item in items if isinstance(item.message, SampleChunk)]
        )
    )
    for event in [*events, *around(events)]:
        truth.add(event)
        sink.add(event)
    truth.flush()
    sink.flush()
    sink.close()
    figures = {worker: list(reports(i)) for i, worker in enumerate(WORKERS)}
    points = [
        telemetry_line(worker, said, at)
        for worker, reported in figures.items()
        for at, said in reported
    ]
    write(influxdb, points)
    return Filled(influxdb, truth, figures)


def around(events: Sequence[Stored]) -> Iterator[Stored]:
    """What does not come from the ward: an acknowledgement, deliveries, scores, edits."""
    alarms = {e.id: e for e in events if isinstance(e, Alarm)}
    latched = next(
        alarm for alarm in alarms.values() if alarm.latching and alarm.end_ns is not None
    )
    yield msgspec.structs.replace(
        latched,
        step="acknowledged",
        level=1,
        acknowledged_ns=(latched.end_ns or 0) + 3 * S,
        acknowledged_by='Ann "the" O, MD',
    )
    for i, alarm in enumerate(alarms.values()):
        outcome = ("delivered", "failed", "held back")[i % 3]
        yield Delivery(
            patient_id=alarm.patient_id,
            time_ns=alarm.raised_ns,
            id=f"{alarm.id}:x",
            alarm_id=alarm.id,
            kind=alarm.kind,
            priority=alarm.priority,
            step=alarm.step,
            recipient="nurse",
            attempt=1,
            outcome=outcome,  # type: ignore[arg-type]
        )
        yield Edit(
            patient_id=alarm.patient_id,
            time_ns=alarm.raised_ns + 1,
            id=f"e{i}",
            by="ann",
            target="alarm",
            target_id=alarm.id,
            at_ns=alarm.onset_ns,
            said=alarm.kind,
            verdict="rejected" if i % 2 else "confirmed",
        )
    for n in range(1, SIGNAL_S // 10):
        for p, patient in enumerate(CAST):
            yield Score(
                patient_id=patient,
                device_id="x",
                lead="I",
                time_ns=START_NS + n * 10 * S,
                qrs_tp=10 * n,
                qrs_fn=p,
                qrs_fp=n,
                v_tp=p * n,
                v_fn=p,
                v_fp=0,
                s_tp=0,
                s_fn=0,
                s_fp=0,
                rhythm_s=10.0 * n * p,
                rhythm_agreed_s=8.0 * n * p,
                episodes=2,
                episodes_alarmed=p,
                worst_delay_s=4.5 if p else None,
            )


def reports(i: int) -> Iterator[tuple[int, dict[str, float]]]:
    """What a worker says every 15 s; it is started again after 60 s."""
    for n in range(SIGNAL_S // 15):
        k = n % 5 + 1
        counters = Counters(
            messages=300 * k,
            beats=150 * k,
            alarms=k,
            commits=3 * k,
            dead_letters=(k if i else 0),
            store_refusals=k // 2,
            patients=20 + i,
            lag=7 * n + i,
            unstored=n,
            slowest_slice_s=0.01 * k,
            latency_p50_s=1.1,
            latency_p99_s=1.5 + i + 0.1 * n,
        )
        added = dict(zip(ADDED, (0.5 * n, 0.6 * k, 1.5 * k), strict=True))
        yield START_NS + (n * 15 + 5) * S, {**counters.as_dict(), **added}


def write(influxdb: Influxdb, points: Sequence[str]) -> None:
    """Write lines of line protocol."""
    call = urllib.request.Request(
        f"{influxdb.url}/api/v2/write?org={influxdb.org}&bucket={influxdb.bucket}&precision=ns",
        "\n".join(points).encode(),
        {"Authorization": f"Token {influxdb.token}"},
    )
    urllib.request.urlopen(call, timeout=30).close()


def asked(flux: str, start_ns: int, stop_ns: int, bucket: str, variables: dict[str, str]) -> str:
    """A query as Grafana sends it: its variables in the format that they name, then the macros."""

    def value(found: re.Match[str]) -> str:
        name, form = found.groups()
        assert form == "doublequote", found.group()
        if variables[name] == "$__all":
            return '""'  # the variable's allValue, which is never formatted
        return '"' + variables[name].replace('"', '\\"') + '"'

    flux = re.sub(r"\$\{(\w+):(\w+)\}", value, flux)
    for name, text in (
        ("v.timeRangeStart", rfc3339(start_ns)),
        ("v.timeRangeStop", rfc3339(stop_ns)),
        ("v.windowPeriod", f"{WINDOW_S}s"),
        ("v.defaultBucket", f'"{bucket}"'),
    ):
        flux = flux.replace(name, text)
    return flux


def rfc3339(ns: int) -> str:
    return str(np.datetime64(ns, "ns")) + "Z"


def answer(influxdb: Influxdb, flux: str) -> list[Row]:
    """The rows of all tables, with values of their types; columns that belong to the answer and not
    to the data are left out."""
    body = {
        "query": flux,
        "type": "flux",
        "dialect": {"annotations": ["datatype"], "dateTimeFormat": "RFC3339Nano"},
    }
    call = urllib.request.Request(
        f"{influxdb.url}/api/v2/query?org={influxdb.org}",
        json.dumps(body).encode(),
        {
            "Authorization": f"Token {influxdb.token}",
            "Content-Type": "application/json",
            "Accept": "application/csv",
        },
    )
    try:
        with urllib.request.urlopen(call, timeout=30) as response:
            text = response.read().decode()
    except urllib.error.HTTPError as error:
        pytest.fail(f"{error.read().decode()}\n{flux}")
    rows: list[Row] = []
    types: list[str] = []
    header: list[str] = []
    for line in csv.reader(io.StringIO(text)):
        if not line or line == [""]:
            header = []
        elif line[0] == "#datatype":
            types, header = line, []
        elif not header:
            header = line
        else:
            rows.append(
                {
                    n: typed(t, v)
                    for n, t, v in zip(header, types, line, strict=True)
                    if n not in {"", "result", "table"}
                }
            )
    assert not any("error" in row for row in rows), rows
    return rows


def typed(kind: str, value: str) -> Any:
    if value == "" and kind != "string":
        return None
    if kind.startswith("dateTime"):
        return influx_lines.nanoseconds(value)
    return {"double": float, "long": int, "unsignedLong": int, "boolean": "true".__eq__}.get(
        kind, str
    )(value)  # type: ignore[operator]


def sorted_rows(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows in an order that does not depend on Flux, floats rounded to what two ways of adding up
    agree in; no value is ""."""
    return sorted((tuple(_plain(v) for v in row) for row in rows), key=repr)


def _plain(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return float(f"{value:.9g}") if isinstance(value, float) else value


def columns(rows: Iterable[Row], *names: str) -> list[tuple[Any, ...]]:
    return sorted_rows([row.get(name) for name in names] for row in rows)


def windows(
    values: Iterable[tuple[int, Any]],
    every_s: int,
    fold: Callable[[list[Any]], Any],
    *,
    empty: bool,
) -> list[tuple[int, Any]]:
    """What aggregateWindow makes of (time, value): the end of each window, cut at the range's, and
    its value."""
    inside: dict[int, list[Any]] = defaultdict(list)
    for at, value in values:
        inside[(at - START_NS) // (every_s * S)].append(value)
    ends = {
        n: min(START_NS + (n + 1) * every_s * S, STOP_NS)
        for n in range(math.ceil(SIGNAL_S / every_s))
    }
    return [
        (end, fold(inside[n]) if inside[n] else None)
        for n, end in ends.items()
        if inside[n] or empty
    ]


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def stops(alarm: Alarm) -> float:
    """When an alarm stopped asking for somebody."""
    if alarm.end_ns is None or (alarm.latching and alarm.acknowledged_ns is None):
        return math.inf
    return max(alarm.end_ns, alarm.acknowledged_ns or 0) if alarm.latching else alarm.end_ns


# What each query must answer: (columns, rows). By board, panel and refId.
Expected = Callable[[Filled], tuple[tuple[str, ...], Iterable[Sequence[Any]]]]
EXPECTED: dict[tuple[str, str, str], Expected] = {}


def expect(board: str, panel: str, ref: str = "A") -> Callable[[Expected], Expected]:
    def keep(worked_out: Expected) -> Expected:
        EXPECTED[board, panel, ref] = worked_out
        return worked_out

    return keep


@expect("ward", "Now", "A")
def _(f: Filled) -> Any:
    last = {v.patient_id: v for v in f.of(Vitals) if v.time_ns >= STOP_NS - 20 * S}
    return ("patient", "hr", "why", "quality", "seen"), [
        (p, v.hr_bpm, v.reason, v.quality, v.time_ns) for p, v in last.items()
    ]


@expect("ward", "Now", "B")
def _(f: Filled) -> Any:
    last = {r.patient_id: r for r in f.of(Rhythm)}
    return ("patient", "rhythm"), [
        (p, r.label) for p, r in last.items() if r.end_ns > STOP_NS - 60 * S
    ]


@expect("ward", "Now", "C")
def _(f: Filled) -> Any:
    rank = {"low": 1, "medium": 2, "high": 3}
    worst = {
        a.patient_id: a
        for a in sorted(f.of(Alarm), key=lambda a: (rank[a.priority], influx_lines.point_time(a)))
        if a.standing
    }
    return ("patient", "priority", "alarm"), [
        (p, a.priority, a.text or a.kind) for p, a in worst.items()
    ]


def _episodes(f: Filled, patient: str | None = None) -> Any:
    begins = [(r.patient_id, max(r.start_ns, START_NS), r.label) for r in f.of(Rhythm, patient)]
    return ("patient", "_time", "_value"), [
        *begins,
        *((r.patient_id, r.end_ns, None) for r in f.of(Rhythm, patient)),
    ]


expect("ward", "Rhythm")(_episodes)
expect("patient", "Rhythm", "timeline")(lambda f: _episodes(f, PATIENT))


@expect("ward", "Heart rate")
def _(f: Filled) -> Any:
    rows = []
    for patient in CAST:
        rates = [(v.time_ns, v.hr_bpm) for v in f.of(Vitals, patient) if v.hr_bpm is not None]
        rows += [(patient, at, value) for at, value in windows(rates, WINDOW_S, mean, empty=True)]
    return ("patient", "_time", "_value"), rows


def _last(f: Filled, column: str) -> Any:
    given = [
        v
        for v in f.of(Vitals, PATIENT)
        if v.time_ns >= STOP_NS - 20 * S and getattr(v, column) not in (None, "")
    ]
    return ("_time", column), [(v.time_ns, getattr(v, column)) for v in given[-1:]]


for _title, _column in {
    "Heart rate": "hr_bpm",
    "SDNN, 5 min": "sdnn_ms",
    "RMSSD, 5 min": "rmssd_ms",
    "Readable, 10 s": "quality",
    "No heart rate because": "reason",
}.items():
    expect("patient", _title, "stat")(lambda f, column=_column: _last(f, column))  # type: ignore[misc]


@expect("patient", "Rhythm", "stat")
def _(f: Filled) -> Any:
    return ("_time", "label"), [(r.start_ns, r.label) for r in f.of(Rhythm, PATIENT)[-1:]]


def samples(f: Filled, patient: str) -> list[tuple[int, float]]:
    """The samples of a patient's strips, each once."""
    found = {}
    for strip in f.of(Strip, patient):
        start_ns = strip.start_ns - sample_offset_ns(strip.start_sample, strip.fs_hz)
        for i, count in enumerate(unpack(strip.packed).tolist()):
            if count != MISSING:
                found[start_ns + sample_offset_ns(strip.start_sample + i, strip.fs_hz)] = round(
                    count / strip.counts_per_mv, 4
                )
    return sorted(found.items())


def extremes(values: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """Of each window the first of the least and the first of the greatest, once where they are the
    same."""
    inside: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for at, value in values:
        inside[(at - START_NS) // (WINDOW_S * S)].append((at, value))
    return [
        row
        for rows in inside.values()
        for row in sorted({min(rows, key=itemgetter(1)), max(rows, key=itemgetter(1))})
    ]


@expect("patient", "ECG, strips around alarms")
def _(f: Filled) -> Any:
    return ("_time", "_value"), extremes(
        row for row in samples(f, PATIENT) if START_NS <= row[0] < STOP_NS
    )


def _trend(f: Filled, *names: str) -> Any:
    rows = []
    for i, name in enumerate(names):
        values = [
            (v.time_ns, getattr(v, name))
            for v in f.of(Vitals, PATIENT)
            if getattr(v, name) is not None
        ]
        rows += [
            (at, *(value if n == i else None for n in range(len(names))))
            for at, value in windows(values, WINDOW_S, mean, empty=True)
        ]
    return ("_time", *names), rows


expect("patient", "Heart rate", "timeseries")(lambda f: _trend(f, "hr_bpm"))
expect("patient", "HRV over 5 min")(lambda f: _trend(f, "sdnn_ms", "rmssd_ms"))
expect("patient", "Readable share of the signal")(lambda f: _trend(f, "quality"))


@expect("patient", "RR interval")
def _(f: Filled) -> Any:
    rows = []
    for label in {b.label for b in f.of(Beat, PATIENT)}:
        found = extremes(
            (b.time_ns, b.rr_ms)
            for b in f.of(Beat, PATIENT)
            if b.label == label and b.rr_ms is not None
        )
        rows += [(at, rr_ms, label) for at, rr_ms in found]
    return ("_time", "rr_ms", "label"), rows


@expect("patient", "Ectopic beats per minute")
def _(f: Filled) -> Any:
    rows: list[Any] = []
    for label in {b.label for b in f.of(Beat, PATIENT)} & {"S", "V"}:
        counted = windows(
            [(b.time_ns, 1) for b in f.of(Beat, PATIENT) if b.label == label], 60, sum, empty=True
        )
        rows += [(at, value, label) for at, value in counted]
    return ("_time", "_value", "label"), rows


@expect("patient", "Probability of the rhythm")
def _(f: Filled) -> Any:
    return ("_time", "_value"), [(r.start_ns, r.probability) for r in f.of(Rhythm, PATIENT)]


@expect("patient", "Alarms")
def _(f: Filled) -> Any:
    announced = [a for a in f.of(Alarm, PATIENT) if a.announced]
    return ("onset", "priority", "kind", "text", "stands"), [
        (a.onset_ns, a.priority, a.kind, a.text, a.standing) for a in announced
    ]


@expect("alarms", "Alarms")
def _(f: Filled) -> Any:
    rows = [
        (
            a.onset_ns,
            a.patient_id,
            a.priority,
            a.kind,
            a.text,
            None if a.end_ns is None else (a.end_ns - a.onset_ns) / 1e9,
            (a.raised_ns - a.onset_ns) / 1e9,
            a.announced,
            a.level,
            a.acknowledged_by,
            a.id,
        )
        for a in f.of(Alarm)
    ]
    return (
        "onset",
        "patient",
        "priority",
        "kind",
        "text",
        "seconds",
        "delay",
        "announced",
        "level",
        "by",
        "id",
    ), rows


def chosen(f: Filled) -> Alarm:
    return next(a for a in f.of(Alarm, PATIENT) if a.onset_ns > START_NS + 10 * S)


@expect("alarms", "Strip of ${alarm}")
def _(f: Filled) -> Any:
    onset = chosen(f).onset_ns
    near = [(at, mv) for at, mv in samples(f, PATIENT) if onset - 10 * S <= at < onset + 10 * S]
    return ("seconds", "mV"), [((at - onset) / 1e9, mv) for at, mv in near]


@expect("alarms", "Announced alarms by kind")
def _(f: Filled) -> Any:
    return ("kind", "alarms"), Tally(a.kind for a in f.of(Alarm) if a.announced).items()


@expect("alarms", "Announced alarms per hour")
def _(f: Filled) -> Any:
    return ("_time", "_value", "priority"), [
        (STOP_NS, n, p) for p, n in Tally(a.priority for a in f.of(Alarm) if a.announced).items()
    ]


@expect("alarms", "From onset to raised, by kind")
def _(f: Filled) -> Any:
    delays: dict[str, list[float]] = defaultdict(list)
    for a in f.of(Alarm):
        delays[a.kind].append((a.raised_ns - a.onset_ns) / 1e9)
    rows = [
        (kind, len(found), float(np.median(found)), sorted(found)[math.ceil(0.99 * len(found)) - 1])
        for kind, found in delays.items()
    ]
    return ("kind", "alarms", "median", "p99"), rows


@expect("alarms", "High priority: seconds from onset to raised")
def _(f: Filled) -> Any:
    return ("delay",), [
        ((a.raised_ns - a.onset_ns) / 1e9,) for a in f.of(Alarm) if a.priority == "high"
    ]


def _figures(f: Filled, name: str) -> dict[str, list[tuple[int, float]]]:
    return {
        worker: [(at, said[name]) for at, said in reported]
        for worker, reported in f.figures.items()
    }


def _now(name: str) -> Expected:
    return lambda f: (("_value",), [(sum(values[-1][1] for values in _figures(f, name).values()),)])


def _gained(name: str) -> Expected:
    def grown(values: list[tuple[int, float]]) -> float:
        return sum(b - a if b >= a else b for (_, a), (_, b) in itertools.pairwise(values))

    return lambda f: (("_value",), [(sum(grown(values) for values in _figures(f, name).values()),)])


def _latest(*names: str) -> Expected:
    def rows(f: Filled) -> Iterator[Sequence[Any]]:
        for name in names:
            for worker, values in _figures(f, name).items():
                for at, value in windows(values, WINDOW_S, max, empty=False):
                    yield (at, value, worker, name) if len(names) > 1 else (at, value, worker)

    return lambda f: (
        ("_time", "_value", "worker", *(("_field",) if len(names) > 1 else ())),
        rows(f),
    )


def _steps(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """What is added from point to point, where nothing began anew."""
    return [(at, b - a) for (_, a), (at, b) in itertools.pairwise(values) if b >= a]


def _rate(name: str) -> Expected:
    def rows(f: Filled) -> Iterator[Sequence[Any]]:
        for worker, values in _figures(f, name).items():
            for at, value in windows(
                [(at, step / 15) for at, step in _steps(values)], WINDOW_S, mean, empty=False
            ):
                yield at, value, worker

    return lambda f: (("_time", "_value", "worker"), rows(f))


@expect("pipeline", "CPU of the networks per 1,000 messages")
def _(f: Filled) -> Any:
    rows = []
    for worker in WORKERS:
        spent, messages = (
            dict(_steps(_figures(f, "network_s")[worker])),
            dict(_steps(_figures(f, "messages")[worker])),
        )
        shares = [(at, 1000 * spent[at] / messages[at]) for at in messages]
        rows += [(at, value, worker) for at, value in windows(shares, WINDOW_S, mean, empty=False)]
    return ("_time", "_value", "worker"), rows


for _title, _expected in {
    "Patients": _now("patients"),
    "Lag": _now("lag_s"),
    "Dead letters": _gained("dead_letters"),
    "Store was busy": _gained("store_refusals"),
    "Not stored yet": _now("unstored"),
    "Alarms raised": _gained("alarms"),
    "Messages behind": _latest("lag"),
    "From a beat to its event": _latest("latency_p50_s", "latency_p99_s"),
    "Messages per second": _rate("messages"),
    "Beats per second": _rate("beats"),
    "CPU of all stages": _rate("stages_s"),
    "Slowest slice": _latest("slowest_slice_s"),
    "Commits per second": _rate("commits"),
    "Store was busy, per second": _rate("store_refusals"),
    "Dead letters per second": _rate("dead_letters"),
}.items():
    expect("pipeline", _title)(_expected)


@expect("pipeline", "Notifications")
def _(f: Filled) -> Any:
    rows: list[Any] = []
    for outcome in ("delivered", "failed", "held back"):
        sent = [(d.time_ns, 1) for d in f.of(Delivery) if d.outcome == outcome]
        rows += [
            (at, value or 0, outcome) for at, value in windows(sent, WINDOW_S, sum, empty=True)
        ]
    return ("_time", "_value", "outcome"), rows


def share(hit: float, missed: float) -> float | None:
    return hit / (hit + missed) if hit + missed else None


@expect("quality", "Agreement with the reference, since each stream began")
def _(f: Filled) -> Any:
    rows = [
        (
            s.patient_id,
            s.qrs_tp + s.qrs_fn,
            share(s.qrs_tp, s.qrs_fn),
            share(s.qrs_tp, s.qrs_fp),
            share(s.v_tp, s.v_fn),
            share(s.v_tp, s.v_fp),
            share(s.s_tp, s.s_fn),
            share(s.rhythm_agreed_s, s.rhythm_s - s.rhythm_agreed_s),
            s.episodes,
            s.episodes_alarmed,
            s.worst_delay_s,
        )
        for s in {s.patient_id: s for s in f.of(Score)}.values()
    ]
    names = (
        "patient",
        "beats",
        "qrs_se",
        "qrs_ppv",
        "v_se",
        "v_ppv",
        "s_se",
        "rhythm",
        "episodes",
        "alarmed",
        "worst_delay",
    )
    return names, rows


def _running(missed: str) -> Expected:
    def rows(f: Filled) -> Iterator[Sequence[Any]]:
        for s in f.of(Score):
            yield (
                s.time_ns,
                s.patient_id,
                *(
                    share(getattr(s, f"{n}_tp"), getattr(s, f"{n}_{missed}"))
                    for n in ("qrs", "v", "s")
                ),
            )

    return lambda f: (("_time", "patient", "QRS", "V", "S"), rows(f))


expect("quality", "Sensitivity so far")(_running("fn"))
expect("quality", "Positive predictivity so far")(_running("fp"))


@expect("quality", "Mean confidence: a QRS, and its class")
def _(f: Filled) -> Any:
    rows = []
    for name in ("confidence", "label_probability"):
        values = [(b.time_ns, getattr(b, name)) for b in f.of(Beat)]
        rows += [(at, value, name) for at, value in windows(values, WINDOW_S, mean, empty=False)]
    return ("_time", "_value", "_field"), rows


@expect("quality", "Share of beats with a class probability below 0.8")
def _(f: Filled) -> Any:
    values = [(b.time_ns, float(b.label_probability < 0.8)) for b in f.of(Beat)]
    return ("_time", "_value"), windows(values, WINDOW_S, mean, empty=False)


@expect("quality", "Beats by class, share per patient")
def _(f: Filled) -> Any:
    labels = sorted({b.label for b in f.of(Beat)})
    found = {patient: Tally(b.label for b in f.of(Beat, patient)) for patient in CAST}
    return ("patient", *labels), [
        (patient, *(tally.get(label) for label in labels)) for patient, tally in found.items()
    ]


@expect("quality", "Rhythm, share of the time per patient")
def _(f: Filled) -> Any:
    labels = sorted({r.label for r in f.of(Rhythm)})
    hours: dict[str, dict[str, float]] = {patient: defaultdict(float) for patient in CAST}
    for r in f.of(Rhythm):
        hours[r.patient_id][r.label] += (r.end_ns - r.start_ns) / 3.6e12
    return ("patient", *labels), [
        (patient, *(found.get(label) for label in labels)) for patient, found in hours.items()
    ]


@expect("quality", "What people said of it")
def _(f: Filled) -> Any:
    found = Tally((e.target, e.said, e.verdict) for e in f.of(Edit))
    return ("target", "said", "verdict", "times"), [(*what, times) for what, times in found.items()]


def queries() -> Iterator[Any]:
    """Every Flux query of every panel: board, title, what EXPECTED knows it by, text."""
    for board, made in BOARDS.items():
        titles = Tally(panel["title"] for panel in made["panels"])
        for panel in made["panels"]:
            for target in panel["targets"]:
                if "query" in target:
                    ref = (
                        panel["type"].removeprefix("state-")
                        if titles[panel["title"]] > 1 or panel["type"] == "stat"
                        else target["refId"]
                    )
                    ref = "A" if board == "pipeline" else ref
                    yield pytest.param(
                        board,
                        panel["title"],
                        ref,
                        target["query"],
                        id=f"{board}: {panel['title']} {ref}",
                    )


SWEPT = ("ward", "Worst alarm", "A")


def test_every_query_has_an_expected_answer() -> None:
    assert {param.values[:3] for param in queries()} == set(EXPECTED) | {SWEPT}


@pytest.mark.parametrize(
    ("board", "title", "ref", "flux"), [q for q in queries() if q.values[:3] != SWEPT]
)
def test_query_answers_what_the_sink_was_given(
    filled: Filled, board: str, title: str, ref: str, flux: str
) -> None:
    names, rows = EXPECTED[board, title, ref](filled)
    everybody = board == "alarms"
    variables = {"patient": "$__all" if everybody else PATIENT, "alarm": chosen(filled).id}
    found = filled.ask(flux, **variables)
    wanted = sorted_rows(rows)
    assert columns(found, *names) == wanted
    assert wanted or title == "No heart rate because"  # an empty answer would prove nothing


def test_worst_alarm_is_the_worst_that_stands_at_each_moment(filled: Filled) -> None:
    (flux,) = (q.values[3] for q in queries() if q.values[:3] == SWEPT)
    states: dict[str, dict[int, Any]] = defaultdict(dict)
    for row in filled.ask(flux):
        # of several at a time, Grafana draws the last
        states[row["patient"]][row["_time"]] = row["_value"] or None
    for patient in CAST:
        alarms = [a for a in filled.of(Alarm, patient) if a.announced]
        assert set(states[patient]) == {a.onset_ns for a in alarms} | {
            int(stops(a)) for a in alarms if stops(a) < math.inf
        }
        for at, state in states[patient].items():
            stand = {a.priority for a in alarms if a.onset_ns <= at < stops(a)}
            assert state == next((p for p in ("high", "medium", "low") if p in stand), None)


def test_beats_are_marked_in_short_ranges_only(filled: Filled) -> None:
    marks = {
        one["name"]: one["target"]["query"] for one in BOARDS["patient"]["annotations"]["list"]
    }
    stop_ns = START_NS + MARKS_S * S
    for label in ("N", "S", "V"):
        flux = next(text for name, text in marks.items() if name.startswith(f"Beats {label}"))
        beats = [b for b in filled.of(Beat, PATIENT) if b.label == label and b.time_ns < stop_ns]
        assert columns(
            filled.ask(flux, stop_ns=stop_ns, patient=PATIENT), "time", "text"
        ) == sorted_rows([b.time_ns, label] for b in beats)
        assert filled.ask(flux, stop_ns=stop_ns + S, patient=PATIENT) == []
    spans = filled.ask(marks["Alarms"], patient=PATIENT)
    alarms = [a for a in filled.of(Alarm, PATIENT) if a.announced]
    wanted = [
        (a.onset_ns, a.onset_ns if a.end_ns is None else a.end_ns, a.text or a.kind) for a in alarms
    ]
    assert columns(spans, "time", "timeEnd", "text") == sorted_rows(wanted)


def test_variables_offer_the_patients(filled: Filled) -> None:
    for board in ("patient", "alarms"):
        (variable,) = (v for v in BOARDS[board]["templating"]["list"] if v["name"] == "patient")
        assert [row["_value"] for row in filled.ask(variable["query"]["query"])] == sorted(CAST)


def test_short_ranges_show_every_sample_and_every_beat(filled: Filled) -> None:
    (strips,) = (
        q.values[3] for q in queries() if q.values[:2] == ("patient", "ECG, strips around alarms")
    )
    found = filled.ask(strips.replace("v.windowPeriod", "2ms"), patient=PATIENT)
    assert columns(found, "_time", "_value") == sorted_rows(
        row for row in samples(filled, PATIENT) if START_NS <= row[0] < STOP_NS
    )
    (beats,) = (q.values[3] for q in queries() if q.values[:2] == ("patient", "RR interval"))
    found = filled.ask(beats.replace("v.windowPeriod", "2ms"), patient=PATIENT)
    assert columns(found, "_time", "rr_ms") == sorted_rows(
        [b.time_ns, b.rr_ms] for b in filled.of(Beat, PATIENT) if b.rr_ms is not None
    )


def test_no_strip_while_no_alarm_is_chosen(filled: Filled) -> None:
    (flux,) = (q.values[3] for q in queries() if q.values[1].startswith("Strip of"))
    assert filled.ask(flux, alarm="") == []


def test_one_patient_of_the_review(filled: Filled) -> None:
    (flux,) = (q.values[3] for q in queries() if q.values[:2] == ("alarms", "Alarms"))
    found = filled.ask(flux, patient=PATIENT, alarm="")
    assert columns(found, "id") == sorted_rows([a.id] for a in filled.of(Alarm, PATIENT))


def test_alert_rules_ask_for_what_they_say(filled: Filled) -> None:
    said = {}
    for rule in alerts.rules():
        span_s = rule["data"][0]["relativeTimeRange"]["from"]
        ((said[rule["uid"]],),) = columns(
            filled.ask(rule["data"][0]["model"]["query"], STOP_NS - span_s * S, STOP_NS), "_value"
        )
    recent = [
        [(at, v) for at, v in values if at >= STOP_NS - 120 * S]
        for values in _figures(filled, "messages").values()
    ]
    grown = sum(
        b - a if b >= a else b for values in recent for (_, a), (_, b) in itertools.pairwise(values)
    )
    (letters,) = _gained("dead_letters")(filled)[1]
    assert said == {
        "ecgwatch-no-data": grown,
        "ecgwatch-lag": SIGNAL_S // 15 - 1.0,
        "ecgwatch-dead-letters": letters[0],
    }  # type: ignore[index]


def test_values_that_were_withdrawn_are_not_shown(filled: Filled) -> None:
    """A point that is written again without a field keeps the old one in the store: the boards must
    not show it."""
    sink = InfluxSink(
        filled.influxdb.url, filled.influxdb.token, filled.influxdb.org, filled.influxdb.bucket
    )
    day_ns = START_NS - 48 * 3600 * S  # out of the others' sight
    alarm = msgspec.structs.replace(
        filled.of(Alarm, PATIENT)[0],
        patient_id="other",
        id=f"other:x:{day_ns}",
        onset_ns=day_ns,
        raised_ns=day_ns + 4 * S,
        announced=True,
        priority="high",
        latching=False,
        end_ns=day_ns + 5 * S,
        text="was here",
    )
    vitals = msgspec.structs.replace(
        filled.of(Vitals, PATIENT)[-1],
        patient_id="other",
        time_ns=day_ns + 8 * S,
        hr_bpm=999.0,
        sdnn_ms=9.0,
    )
    for event in (
        alarm,
        vitals,
        msgspec.structs.replace(alarm, end_ns=None, text=""),
        msgspec.structs.replace(vitals, hr_bpm=None),
    ):
        sink.add(event)
        sink.flush()
    sink.close()

    def ask(board: str, title: str, ref: str) -> list[Row]:
        (flux,) = (q.values[3] for q in queries() if q.values[:3] == (board, title, ref))
        return filled.ask(flux, day_ns, day_ns + 10 * S, patient="other", alarm="")

    assert columns(ask("ward", "Now", "A"), "patient", "hr") == [("other", "")]
    assert columns(ask("ward", "Now", "C"), "alarm") == [(alarm.kind,)]
    assert ask("patient", "Heart rate", "stat") == []
    assert all(row.get("hr_bpm") is None for row in ask("patient", "Heart rate", "timeseries"))
    assert columns(ask("patient", "SDNN, 5 min", "stat"), "sdnn_ms") == [(9.0,)]
    assert columns(ask("patient", "Alarms", "A"), "text", "stands") == [("", True)]
    assert columns(ask("alarms", "Alarms", "A"), "seconds", "text") == [("", "")]
    assert {row["_value"] or None for row in ask("ward", "Worst alarm", "A")} == {"high"}


def declared(filled: Filled) -> dict[str, set[str]]:
    """The fields of each measurement, from the lines that the sinks write."""
    found: dict[str, set[str]] = defaultdict(set)
    action = Action(patient_id="p", time_ns=1, id="a", by="ann", action="acknowledge")
    for kind in KINDS:
        for event in filled.of(kind) or ([action] if kind is Action else []):
            for line in influx_lines.lines(event):
                measurement, fields = (
                    re.split(r"(?<!\\) ", line, maxsplit=1)[0].split(",")[0],
                    re.split(r"(?<!\\) ", line, maxsplit=1)[1],
                )
                found[measurement] |= set(
                    re.findall(r'(?:^|,)(\w+)=(?:"(?:[^"\\]|\\.)*"|[^,"]+)', fields)
                )
                none = re.search(r'none="([^"]*)"', fields)
                found[measurement] |= set(none.group(1).split(",")) - {"-"} if none else set()
    found["pipeline"] = {*Counters().as_dict(), *ADDED}
    return found


def test_queries_name_only_what_the_sinks_declare(filled: Filled) -> None:
    fields = declared(filled)
    tags = {*influx_lines.TAGS, "worker", "_time", "_value", "_field", "_measurement", "none"}
    texts = [param.values[3] for param in queries()] + [
        rule["data"][0]["model"]["query"] for rule in alerts.rules()
    ]
    texts += [one["target"]["query"] for one in BOARDS["patient"]["annotations"]["list"]]
    assert len(texts) > 50
    for flux in texts:
        known = set(tags)
        for part in flux.split("from(bucket:")[1:]:
            (measurement,) = re.findall(r'_measurement == "(\w+)"', part)
            named = set(re.findall(r'_field == "(\w+)"', part))
            assert named, "every query says which fields it wants"
            assert named <= fields[measurement], measurement
            known |= named
        made = set(re.findall(r"(\w+):", flux))  # by map, rename and functions
        assert set(re.findall(r"\br\.(\w+)", flux)) <= known | made
        assert set(re.findall(r'field: "(\w+)"', flux)) <= known
