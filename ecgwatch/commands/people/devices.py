"""`ecgwatch devices`: devices that may send, their tokens and their patients."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from ecgwatch import options, settings
from ecgwatch.called import called
from ecgwatch.registering import Author, Device, Notes, Patient, take
from ecgwatch.times import ago
from ingest.clock import SystemClock
from ingest.registry import steps
from ingest.registry.state import Registry
from ingest.registry.step import Author as Who
from ingest.registry.step import Steps

app = typer.Typer(no_args_is_help=True, help="Devices: tokens, and the patients who wear them.")

Model = Annotated[str, typer.Option("--model", metavar="TEXT", help="What it is: Polar H10.")]


@app.command()
def add(
    device: Device,
    model: Model = "",
    notes: Notes = "",
    by: Author = None,
    broker: options.Broker = None,
) -> None:
    """Add a device, or give a revoked one a new token. Prints the token, which is shown only now."""
    chosen, _ = settings.load({"broker": broker})
    token = ""

    def make(registry: Registry, who: Who) -> Steps:
        nonlocal token
        made, token = steps.add_device(registry, device, who, model=model, notes=notes)
        return made

    take(chosen.kafka, by, make)
    typer.echo(token)
    typer.echo(
        f"This is the token of {device}; it is shown only now. Kafka keeps its hash.\n"
        f"Next: {called()} patients admit PATIENT --bed BED --device {shlex.quote(device)}",
        err=True,
    )


@app.command("list")
def list_devices(broker: options.Broker = None) -> None:
    """List devices: the patient who wears each, when it was last heard, its battery."""
    from ingest.registry.device_states import read_states
    from ingest.registry.reader import read_registry

    chosen, _ = settings.load({"broker": broker})
    registry, states = read_registry(chosen.kafka), read_states(chosen.kafka)
    now_ns = SystemClock().now_ns()
    for device in sorted(registry.devices.values(), key=lambda d: d.device_id):
        bound, state = registry.binding(device.device_id), states.get(device.device_id)
        worn = f"worn by {bound.person.patient_id}" if bound else "worn by nobody"
        last_seen = f"heard {ago(now_ns - state.heard_ns)} ago" if state else "never heard"
        battery = f", battery {state.battery:.0%}" if state and state.battery is not None else ""
        what = " ".join(part for part in (device.model, device.notes) if part)
        revoked = "" if device.token_sha256 else ", token revoked"
        typer.echo(
            f"{device.device_id}: {worn}, {last_seen}{battery}{revoked}"
            + (f"  ({what})" if what else "")
        )
    if not registry.devices:
        typer.echo(f"there is no device; add one: {called()} devices add NAME")


@app.command()
def assign(
    device: Device, patient: Patient, by: Author = None, broker: options.Broker = None
) -> None:
    """Give a device to an admitted patient; another one that the patient wears is released."""
    chosen, _ = settings.load({"broker": broker})
    take(chosen.kafka, by, lambda registry, who: steps.assign(registry, device, patient, who))
    typer.echo(f"{patient} wears {device}")


@app.command()
def release(device: Device, by: Author = None, broker: options.Broker = None) -> None:
    """Release a device from its patient: the stream ends."""
    chosen, _ = settings.load({"broker": broker})
    take(chosen.kafka, by, lambda registry, who: steps.release(registry, device, who))
    typer.echo(f"nobody wears {device}")


@app.command()
def revoke(device: Device, by: Author = None, broker: options.Broker = None) -> None:
    """Revoke a device's token, at once and in every running server."""
    chosen, _ = settings.load({"broker": broker})
    take(chosen.kafka, by, lambda registry, who: steps.revoke(registry, device, who))
    typer.echo(f"the token of {device} is revoked")
