"""`ecgwatch patients`: admissions, beds and devices of patients."""

from __future__ import annotations

from typing import Annotated

import typer

from ecgwatch import options, settings
from ecgwatch.registering import Author, Notes, Patient, take
from ecgwatch.times import show_time
from ingest.registry import steps

app = typer.Typer(no_args_is_help=True, help="Patients: admit, transfer, discharge.")

Name = Annotated[
    str, typer.Option("--name", metavar="TEXT", help="Name of the person on the page.")
]
Bed = Annotated[str, typer.Option("--bed", metavar="BED", help="The bed; it must be free.")]
Worn = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="A device that the patient wears.")
]
Profile = Annotated[
    str,
    typer.Option(
        "--profile", metavar="PROFILE", help="Alarm profile: adult, paediatric, or one of yours."
    ),
]


@app.command()
def admit(
    patient: Patient,
    name: Name = "",
    bed: Bed = "",
    device: Worn = "",
    profile: Profile = "",
    notes: Notes = "",
    by: Author = None,
    broker: options.Broker = None,
) -> None:
    """Admit a patient; a returning patient keeps name, profile and alarm limits."""
    from ecgwatch.stores import load_profiles

    chosen, _ = settings.load({"broker": broker})
    if profile:
        load_profiles(chosen).check(profile)
    take(
        chosen.kafka,
        by,
        lambda registry, who: steps.admit(
            registry,
            patient,
            who,
            name=name,
            bed=bed,
            profile=profile,
            notes=notes,
            device_id=device,
        ),
    )
    typer.echo(
        f"{patient} is admitted"
        + (f" to bed {bed}" if bed else "")
        + (f", wears {device}" if device else "")
    )


@app.command()
def transfer(
    patient: Patient,
    bed: Annotated[str | None, typer.Option("--bed", metavar="BED", help="The new bed.")] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="DEVICE", help="The new device.")
    ] = None,
    by: Author = None,
    broker: options.Broker = None,
) -> None:
    """Move a patient to another bed, another device, or both; limits and profile go along."""
    from ingest.errors import BadInputError

    if bed is None and device is None:
        raise BadInputError(
            "neither --bed nor --device",
            "Say where the patient goes, or what the patient wears now.",
        )
    chosen, _ = settings.load({"broker": broker})
    if bed is not None:
        take(chosen.kafka, by, lambda registry, who: steps.transfer(registry, patient, bed, who))
        typer.echo(f"{patient} is in bed {bed}")
    if device is not None:
        take(chosen.kafka, by, lambda registry, who: steps.assign(registry, device, patient, who))
        typer.echo(f"{patient} wears {device}")


@app.command()
def discharge(patient: Patient, by: Author = None, broker: options.Broker = None) -> None:
    """End a patient's stay: stream and alarms end, bed and devices are free, the record is kept."""
    chosen, _ = settings.load({"broker": broker})
    take(chosen.kafka, by, lambda registry, who: steps.discharge(registry, patient, who))
    typer.echo(f"{patient} is discharged")


@app.command("list")
def list_patients(
    every: Annotated[bool, typer.Option("--all", help="Also list discharged patients.")] = False,
    broker: options.Broker = None,
) -> None:
    """List admitted patients, by bed."""
    from ingest.registry.reader import read_registry

    chosen, _ = settings.load({"broker": broker})
    registry = read_registry(chosen.kafka)
    found = [p for p in registry.people.values() if p.present or every]
    for person in sorted(found, key=lambda p: (not p.present, p.bed, p.patient_id)):
        device = registry.holder(person.patient_id)
        parts = [
            f"bed {person.bed}" if person.bed else "no bed",
            person.name,
            f"wears {device.device_id}" if device else "wears nothing",
            f"profile {person.profile}" if person.profile else "",
            f"since {show_time(person.admitted_ns)}",
            f"discharged {show_time(person.discharged_ns)}"
            if person.discharged_ns is not None
            else "",
            person.notes,
        ]
        typer.echo(f"{person.patient_id}: " + ", ".join(part for part in parts if part))
    if not found:
        typer.echo("nobody is admitted; patients of `simulate` and `replay` need not be")
