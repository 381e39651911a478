"""`ecgwatch alarms`: the monitor's alarm list for people without a browser, and the proof that no
alarm is missing."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from ecgwatch import options, settings
from ecgwatch.alarming.acting import act, check_silenceable, seconds_of
from ecgwatch.alarming.alarm_lines import described, show
from ecgwatch.alarming.limits_command import profile
from ecgwatch.alarming.patient_store import (
    opened_store,
    unanswered,
    warn,
    warn_if_unknown,
    warn_in_store_if_unknown,
)
from ecgwatch.commands.services.notify import notifications_file
from ecgwatch.times import parse_when
from ingest.clock import SystemClock
from ingest.errors import BadInputError
from ingest.messages import Alarm, AlarmKind
from stream_processor.sinks.base import FOREVER_NS

DEFAULT_HOURS = 24.0

app = typer.Typer(
    no_args_is_help=True,
    help="Alarms: list, acknowledge, silence, follow, set limits, prove that none is missing.",
)

app.command()(profile)

Patient = Annotated[str, typer.Argument(metavar="PATIENT", help="The patient's name.")]


@app.command("list")
def list_alarms(
    patient: Annotated[
        str | None,
        typer.Argument(metavar="[PATIENT]", help="Only this patient's alarms (default: of all)."),
    ] = None,
    standing: Annotated[
        bool, typer.Option("--standing", help="Only standing alarms, however old.")
    ] = False,
    hours: Annotated[
        float | None,
        typer.Option("--hours", min=0, help="How far back (default 24, with --standing no limit)."),
    ] = None,
    sink: options.Sink = None,
) -> None:
    """List stored alarms, the newest last, each with its state and its id."""
    chosen, _ = settings.load({"sink": sink})
    if hours is None and not standing:
        hours = DEFAULT_HOURS
    start_ns = 0 if hours is None else max(0, SystemClock().now_ns() - round(hours * 3600e9))
    with opened_store(chosen) as store:
        names = store.patients() if patient is None else [patient]
        if patient is not None:
            warn_if_unknown(store, patient)
        found = [
            alarm
            for name in names
            for alarm in store.read(Alarm, name, start_ns)
            if alarm.standing or not standing
        ]
    for alarm in sorted(found, key=lambda a: a.onset_ns):
        show(described(alarm))
    if not found:
        typer.echo(
            f"no alarm {'stands' if standing else 'is stored'}"
            + ("" if hours is None else f" of the last {hours:g} h")
        )


@app.command()
def ack(
    patient: Patient,
    alarm: Annotated[
        str | None,
        typer.Argument(
            metavar="[ALARM]", help="The alarm's id, or a kind: the newest one that stands."
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All of the patient's standing alarms.")
    ] = False,
    by: options.By = None,
    note: options.Note = "",
    broker: options.Broker = None,
    sink: options.Sink = None,
) -> None:
    """Acknowledge an alarm, or all alarms of a patient."""
    chosen, _ = settings.load({"broker": broker, "sink": sink})
    alarm_id = ""
    with opened_store(chosen, needed=False) as store:
        found = unanswered(store, patient)
    if every == (alarm is not None):
        known = (
            "".join(f"\n  {a.id}  {a.text}" for a in found) or " none, as far as the store knows"
        )
        raise BadInputError(
            "which alarm?", f"Give its id, its kind or --all. Standing and not acknowledged:{known}"
        )
    if alarm is not None:
        alarm_id = _standing_id(patient, alarm, found)
    act(chosen.kafka, patient, by, note, action="acknowledge", alarm_id=alarm_id)
    typer.echo(f"acknowledgement of {alarm_id or f'all standing alarms of {patient}'} sent")


@app.command()
def escalate(
    patient: Patient,
    alarm: Annotated[
        str,
        typer.Argument(
            metavar="ALARM", help="The alarm's id, or a kind: the newest one that stands."
        ),
    ],
    by: options.By = None,
    note: options.Note = "",
    broker: options.Broker = None,
    sink: options.Sink = None,
) -> None:
    """Call the next person about an alarm now, as the page's Escalate does: the alarm is raised
    again, and the notifier tells its next recipients."""
    chosen, _ = settings.load({"broker": broker, "sink": sink})
    with opened_store(chosen, needed=False) as store:
        alarm_id = _standing_id(patient, alarm, unanswered(store, patient))
    act(chosen.kafka, patient, by, note, action="escalate", alarm_id=alarm_id)
    typer.echo(f"escalation of {alarm_id} sent")


def _standing_id(patient: str, alarm: str, standing: list[Alarm]) -> str:
    """Return the id of the alarm that is meant: `alarm` is an id or a kind. Raises BadParameter for
    a kind of which none stands."""
    alarm_id = next((a.id for a in reversed(standing) if alarm in (a.id, a.kind)), alarm)
    if alarm_id == alarm and ":" not in alarm:  # a kind, known or mistyped
        raise _none_stands(patient, alarm, standing)
    if alarm_id not in [a.id for a in standing]:
        warn(
            f"the store has no alarm {alarm_id!r} that stands and is not acknowledged; sent all the same"
        )
    return alarm_id


def _none_stands(patient: str, kind: str, standing: list[Alarm]) -> typer.BadParameter:
    """The error for a kind of which no alarm stands; it names those that do."""
    kinds = list(dict.fromkeys(alarm.kind for alarm in standing))
    stand = (
        f"What stands: {', '.join(kinds)}."
        if kinds
        else "Nothing of this patient stands, as far as the store knows."
    )
    what = (
        f"No {kind}"
        if kind in get_args(AlarmKind)
        else f"There is no kind of alarm {kind!r}; no alarm"
    )
    return typer.BadParameter(
        f"{what} of {patient!r} stands that nobody has acknowledged. {stand}", param_hint="ALARM"
    )


@app.command()
def silence(
    patient: Patient,
    duration: Annotated[
        str, typer.Option("--for", metavar="10m", help="How long: 90s, 10m, 2h; at most 24h.")
    ],
    kind: Annotated[
        str,
        typer.Option(
            "--kind", metavar="KIND", help="Only alarms of this kind (default: any but high ones)."
        ),
    ] = "",
    by: options.By = None,
    note: options.Note = "",
    broker: options.Broker = None,
    sink: options.Sink = None,
) -> None:
    """Silence a patient's medium and low alarms for a time. High ones break through."""
    chosen, _ = settings.load({"broker": broker, "sink": sink})
    if kind:
        check_silenceable(patient, kind)
    seconds = seconds_of(duration)
    warn_in_store_if_unknown(chosen, patient)
    act(chosen.kafka, patient, by, note, action="silence", kind=kind, seconds=seconds)
    typer.echo(f"{kind or 'medium and low alarms'} of {patient} silenced for {duration}")


@app.command()
def resume(
    patient: Patient,
    by: options.By = None,
    note: options.Note = "",
    broker: options.Broker = None,
    sink: options.Sink = None,
) -> None:
    """End every silence of a patient."""
    chosen, _ = settings.load({"broker": broker, "sink": sink})
    warn_in_store_if_unknown(chosen, patient)
    act(chosen.kafka, patient, by, note, action="resume")
    typer.echo(f"silences of {patient} ended")


@app.command()
def tail(
    patient: Annotated[
        str | None,
        typer.Argument(metavar="[PATIENT]", help="Only this patient's alarms (default: of all)."),
    ] = None,
    broker: options.Broker = None,
) -> None:
    """Show every step of every alarm as it happens, until Ctrl-C."""
    from ecgwatch.alarming.following import follow

    chosen, _ = settings.load({"broker": broker})
    try:
        for alarm in follow(
            chosen.kafka,
            lambda: typer.echo(
                f"following the alarms of {patient or 'everybody'} on {chosen.broker}: each step is"
                " printed as it comes; Ctrl-C ends it",
                err=True,
            ),
        ):
            if patient in (None, alarm.patient_id):
                show(described(alarm, step=True))
    except KeyboardInterrupt:
        pass


@app.command()
def reconcile(
    from_time: options.From = None,
    to_time: options.End = None,
    broker: options.Broker = None,
    sink: options.Sink = None,
) -> None:
    """Prove that every detected alarm is stored and that its recipients by the notifications file were
    notified; list what is missing and end with exit status 1."""
    from ecgwatch.alarming.reconciling import reconcile_period

    chosen, _ = settings.load({"broker": broker, "sink": sink})
    now_ns = SystemClock().now_ns()
    start_ns = 0 if from_time is None else parse_when("--from", from_time, now_ns)
    end_ns = FOREVER_NS if to_time is None else parse_when("--to", to_time, now_ns)
    file = notifications_file(chosen) if chosen.notifications else None
    with opened_store(chosen) as store:
        lines, holds = reconcile_period(chosen.kafka, store, file, start_ns, end_ns, SystemClock())
    for line in lines:
        typer.echo(line)
    if not holds:
        raise typer.Exit(1)
