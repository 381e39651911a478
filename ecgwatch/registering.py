"""Arguments that `devices` and `patients` share, and changes of the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from ecgwatch.alarming.acting import person_name
from ingest.clock import SystemClock
from ingest.operator import OperatorOutlet
from ingest.registry.reader import read_registry
from ingest.registry.state import Registry
from ingest.registry.step import Author as Who
from ingest.registry.step import Steps

Device = Annotated[str, typer.Argument(metavar="DEVICE", help="The device's name.")]
Patient = Annotated[
    str, typer.Argument(metavar="PATIENT", help="The patient's name in the streams.")
]
Notes = Annotated[str, typer.Option("--notes", metavar="TEXT", help="Anything to remember.")]
Author = Annotated[
    str | None,
    typer.Option("--by", metavar="NAME", help="Name to record (default: your login name)."),
]


def take(broker: str, by: str | None, make: Callable[[Registry, Who], Steps]) -> None:
    """Change the registry: read it, check the change, send it. Raises BadInputError and
    UnreachableError."""
    who = Who(person_name(by), SystemClock().now_ns())
    made = make(read_registry(broker), who)
    outlet = OperatorOutlet(broker)
    for message in made.messages:
        outlet.send(message)
