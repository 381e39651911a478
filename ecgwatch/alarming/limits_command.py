"""`ecgwatch alarms profile`: shows and changes a patient's alarm limits, and switches alarms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from ecgwatch import options, settings
from ecgwatch.alarming.acting import act, check_limits, limits_of, switches_of
from ecgwatch.alarming.alarm_lines import limits_table, show
from ecgwatch.alarming.orders import read_orders
from ecgwatch.alarming.patient_store import warn_in_store_if_unknown
from ecgwatch.stores import load_profiles
from ingest.errors import BadInputError
from ingest.messages import AlarmKind
from stream_processor.pipeline.alarms.profiles import LIMITS, Profiles


def profile(
    patient: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATIENT]", help="The patient (default: patients that no profile names)."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Set a limit (may be repeated)."),
    ] = None,
    unset: Annotated[
        list[str] | None,
        typer.Option(
            "--unset",
            metavar="NAME",
            help="Return a limit or an alarm to what the profile says (may be repeated).",
        ),
    ] = None,
    off: Annotated[
        list[str] | None,
        typer.Option("--off", metavar="KIND", help="Switch an alarm off (may be repeated)."),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option("--on", metavar="KIND", help="Switch an alarm on (may be repeated)."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check", metavar="FILE", help="Only check that a profiles file can be used."
        ),
    ] = None,
    by: options.By = None,
    note: options.Note = "",
    broker: options.Broker = None,
    sink: options.Sink = None,
) -> None:
    """Show a patient's alarm limits, with the range and the origin of each, and the alarms that are
    off; or change some."""
    if check is not None:
        Profiles.load(check)
        typer.echo(f"{check}: can be used")
        return
    chosen, _ = settings.load({"broker": broker, "sink": sink})
    profiles = load_profiles(chosen)
    kinds = set(get_args(AlarmKind))
    limits = limits_of(
        set_ or [], [name for name in unset or [] if name in LIMITS or name not in kinds]
    )
    # the limit and the alarm of the battery have one name: both go back
    switches = switches_of(on or [], off or [], [name for name in unset or [] if name in kinds])
    if (limits or switches) and patient is None:
        raise BadInputError(
            "whose limits?", "Name the patient: ecgwatch alarms profile PATIENT --set ..."
        )
    orders = None if patient is None else read_orders(chosen.kafka, patient)
    given = orders.profile if orders else ""
    base = profiles.of(patient or "", given)
    if not limits and not switches:
        show(limits_table(given or profiles.name_of(patient or ""), base, orders))
        return
    assert patient is not None
    check_limits(base, orders, limits, switches)
    warn_in_store_if_unknown(chosen, patient)
    act(chosen.kafka, patient, by, note, action="limits", limits=limits, switches=switches)
    changes = [
        f"{name} {'as in the profile' if value is None else f'= {value:g}'}"
        for name, value in limits.items()
    ] + [
        f"{kind} {'as in the profile' if value is None else 'on' if value else 'off'}"
        for kind, value in switches.items()
    ]
    typer.echo(f"limits of {patient}: {', '.join(changes)}")
