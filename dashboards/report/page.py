"""The report as one self-contained HTML page that prints well."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup

from dashboards.paper import Mark, millivolts, strip_svg
from dashboards.report.beats import BeatArrays
from dashboards.report.figures import overview, poincare
from dashboards.report.findings import Findings
from dashboards.report.signal import Signal
from dashboards.words import RHYTHMS
from ingest.messages import Edit
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.pipeline.stages.variability import NN_MS

ROW_S = 7.0  # 175 mm of paper, which fits onto A4
_PRESSED_NS = 200_000_000  # width of the shading where the wearer pressed the button
TEMPLATE = Path(__file__).with_name("report.html")
MARKS = {"high": "***", "medium": "**", "low": "*"}
_COLOURS = {"V": "#b34700", "S": "#6b2fa0", "F": "#b34700"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def report_html(findings: Findings, made_ns: int) -> str:
    """Build the page; `made_ns` is the time of making. Text from people and devices is escaped."""
    # in order of time, so that the newest stays
    verdicts = {edit.target_id: edit for edit in findings.edits if edit.target == "alarm"}
    strips = [
        (alarm, _drawn(Signal.of(strip), findings.beats, alarm.onset_ns, alarm.end_ns))
        for alarm, strip in findings.strips
    ]
    felt = [
        (one, _drawn(signal, findings.beats, one.entry.time_ns, one.entry.time_ns + _PRESSED_NS))
        for one, signal in findings.felt_strips
    ]
    counts = Counter(findings.beats.label.tolist())
    af = next((share for share in findings.shares if share.label == "AFIB"), None)
    held_back = sum(not alarm.announced for alarm in findings.alarms)
    return _template().render(
        f=findings,
        made_ns=made_ns,
        verdicts=verdicts,
        strips=strips,
        felt=felt,
        counts=counts,
        af=af,
        held_back=held_back,
        announced=[alarm for alarm in findings.alarms if alarm.announced],
        nn_ms=NN_MS,
        overview=overview(findings.beats, findings.rhythm, findings.start_ns, findings.end_ns),
        poincare=poincare(findings.beats),
        named={alarm.id: alarm for alarm in findings.alarms},
    )


def _drawn(signal: Signal, beats: BeatArrays, from_ns: int, to_ns: int | None) -> list[Markup]:
    """Draw the signal on paper, in rows that fit onto a page at true scale, with beat letters and
    a stretch shaded; None: it goes on to the end."""
    return [_row(row, beats, from_ns, to_ns) for row in signal.rows(ROW_S)]


def _row(signal: Signal, beats: BeatArrays, from_ns: int, to_ns: int | None) -> Markup:
    mv = millivolts(signal.samples, signal.counts_per_mv)
    start_ns, end_ns = signal.start_ns, signal.end_ns
    within = slice(*np.searchsorted(beats.time_ns, [start_ns, end_ns]).tolist())
    marks: list[Mark] = [
        ((t - start_ns) / 1e9, label, _COLOURS.get(label, "#555555"))
        for t, label in zip(
            beats.time_ns[within].tolist(), beats.label[within].tolist(), strict=True
        )
    ]
    begin_ns, over_ns = max(from_ns, start_ns), min(end_ns if to_ns is None else to_ns, end_ns)
    span = ((begin_ns - start_ns) / 1e9, (over_ns - start_ns) / 1e9) if begin_ns < over_ns else None
    return Markup(strip_svg(mv, signal.fs_hz, start_label=when(start_ns), marks=marks, span=span))


def when(time_ns: int, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Date and time in UTC, which the page says once."""
    return (_EPOCH + timedelta(microseconds=time_ns // 1000)).strftime(form)


def clock(time_ns: int) -> str:
    """The time of day."""
    return when(time_ns, "%H:%M:%S")


def lasting(seconds: float) -> str:
    """A duration in words: 2 h 05 min, 3 min 20 s, 4.2 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return (
        f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
    )


def percent(part: float) -> str:
    """A percentage with one decimal; a positive share is never shown as 0."""
    return "< 0.1 %" if 0 < part < 0.0005 else f"{100 * part:.1f} %"


def verdict(edit: Edit) -> str:
    """A person's verdict in words."""
    return f"{edit.verdict} as {edit.label}" if edit.label else edit.verdict


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        when=when, clock=clock, lasting=lasting, percent=percent, verdict=verdict
    )
    names = {label: name.full for label, name in RHYTHMS.items()}
    environment.globals.update(RHYTHMS=names, MARKS=MARKS, ALARMS=CATALOGUE)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
