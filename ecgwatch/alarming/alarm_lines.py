"""Alarms and limits as lines and tables for the terminal: always marks and words, and colours if it
has them."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dashboards.monitor.live.limits import off_alarms
from ecgwatch.times import show_time
from ingest.messages import Alarm, Orders, Priority
from stream_processor.notifications.moments import is_silenced
from stream_processor.notifications.text import MARKS
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.pipeline.alarms.profiles import ADULT, LIMITS, SHARES, Profile

STYLES: dict[Priority, str] = {"high": "bold red", "medium": "yellow", "low": "cyan"}
_WIDTH = 240  # a table is as wide as it needs to be; narrower terminals fold it themselves


def show(what: Text | Table) -> None:
    """Print without folding; a file or pipe gets no colours."""
    Console(highlight=False, soft_wrap=True, emoji=False, markup=False, width=_WIDTH).print(what)


def described(alarm: Alarm, *, step: bool = False) -> Text:
    """Return an alarm as one line: time, patient, marks and text, state, id. With `step`, time and
    state are those of the step."""
    at_ns, state = (alarm.changed_ns, _step(alarm)) if step else (alarm.onset_ns, _state(alarm))
    line = Text(f"{show_time(at_ns)}  {alarm.patient_id}  ")
    line.append(
        f"{MARKS[alarm.priority]:<3} {alarm.text or alarm.kind}",
        STYLES[alarm.priority] if alarm.announced else "dim",
    )
    line.append(f"  {state}  ")
    return line.append(alarm.id, "dim")


def limits_table(name: str, base: Profile, orders: Orders | None) -> Table:
    """Make a table of every limit: value, range and origin. `base`: the patient's profile;
    `orders`: the orders that hold, as the processor reports them."""
    held, changes = (orders.limits, orders.changed) if orders else ({}, {})
    table = Table(box=None, pad_edge=False)
    for heading in ("limit", "value", "may be", "from", "meaning"):
        table.add_column(
            heading, justify="right" if heading == "value" else "left", no_wrap=heading != "meaning"
        )
    for field, limit in LIMITS.items():
        change = changes.get(field)
        origin = f"{change.by}, {show_time(change.time_ns)}" if change else f"profile {name}"
        if change is None and getattr(base, field) != getattr(ADULT, field):
            origin += " (profiles file)" if name == "adult" else ""
        share = field in SHARES
        factor, unit = (100, "%") if share else (1, limit.unit)
        value = f"{held.get(field, getattr(base, field)) * factor:g}{' %' if share else ''}"
        table.add_row(
            field,
            value,
            f"{limit.low * factor:g} to {limit.high * factor:g} {unit}".rstrip(),
            origin,
            limit.label,
        )
    off = off_alarms(orders, base)
    for kind in off:
        switch = orders.switched.get(kind) if orders else None
        origin = f"{switch.by}, {show_time(switch.time_ns)}" if switch else f"profile {name}"
        table.add_row(kind, "off", "", origin, f"{CATALOGUE[kind].name}: not raised")
    if not off:
        table.add_row("", "", "", "", "No alarm is switched off.")
    return table


def _state(alarm: Alarm) -> str:
    if not alarm.announced:
        return "not announced"
    called = f", called {alarm.level + 1} times" if alarm.level else ""
    if alarm.acknowledged_ns is not None:
        return f"{'over' if alarm.end_ns is not None else 'holds'}, acknowledged by {alarm.acknowledged_by}{called}"
    if not alarm.standing:
        return "over"
    silenced = (
        f", silenced until {show_time(alarm.silenced_until_ns)}"
        if is_silenced(alarm) and alarm.silenced_until_ns
        else ""
    )
    return (
        f"{'stands until acknowledged' if alarm.end_ns is not None else 'holds'}{called}{silenced}"
    )


def _step(alarm: Alarm) -> str:
    if not alarm.announced:
        return f"{alarm.step}, not announced"
    if alarm.step == "acknowledged":
        return f"acknowledged by {alarm.acknowledged_by}"
    if alarm.step == "escalated":
        return f"re-alarm ({alarm.level + 1})"
    if alarm.step == "silenced" and alarm.silenced_until_ns is not None:
        return f"silenced until {show_time(alarm.silenced_until_ns)}"
    return alarm.step
