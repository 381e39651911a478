"""ecgwatch simulate: simulated patients as live streams, or as WFDB records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import options, settings
from ecgwatch.streaming import (
    Faults,
    Seed,
    Speed,
    StartTime,
    open_noises,
    parse_speed,
    parse_start,
    stream_to_broker,
    unique,
)
from ingest import fault_options, faults
from ingest.clock import SystemClock
from ingest.errors import BadInputError
from ingest.replay import Due, check_stream, merge, stream
from ingest.simulator.scenario import Scenario, load, shipped

Scenarios = Annotated[
    list[str],
    typer.Argument(metavar="SCENARIO", help=f"A scenario file, or one of: {', '.join(shipped())}."),
]


def simulate(
    scenarios: Scenarios,
    patients: Annotated[
        int,
        typer.Option(min=1, help="Each scenario as so many patients, ID-1 to ID-N, no two alike."),
    ] = 1,
    patient: Annotated[
        list[str] | None,
        typer.Option(help="Patient id, once per scenario; default: the scenario's name."),
    ] = None,
    speed: Speed = "1",
    for_s: Annotated[
        float | None,
        typer.Option("--for", min=0, metavar="SECONDS", help="How long; default: its script."),
    ] = None,
    start_time: StartTime = "now",
    fault: Faults = None,
    seed: Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(help="Write WFDB records with their annotations into this folder instead."),
    ] = None,
    broker: options.Broker = None,
) -> None:
    """Stream simulated patients to the broker, or write them as records. A scenario that loops goes on until --for or Ctrl-C."""
    from ingest.simulator.generate import (
        write_wfdb,
    )  # scipy is slow to import: not for the sake of --help
    from ingest.sources.simulated import SimulatedSource

    held, _ = settings.load({"broker": broker})
    clock = SystemClock()
    pace, start_ns, specs = (
        parse_speed(speed),
        parse_start(start_time),
        [fault_options.parse(text) for text in fault or []],
    )
    cast = _cast([load(name) for name in scenarios], patient, patients, seed)
    if out is not None:
        for name, scenario, own_seed in cast:
            typer.echo(write_wfdb(scenario, out, name, for_s, seed=own_seed))
        return
    for name, scenario, _ in cast:
        check_stream(SimulatedSource(scenario, name=name), name, start_ns or 0)
    noises = open_noises(specs, held.data)

    def begin(start_ns: int) -> Iterator[Due]:
        streams: list[Iterator[Due]] = []
        for name, scenario, own_seed in cast:
            source = SimulatedSource(scenario, seed=own_seed, duration_s=for_s, name=name)
            items = stream(source, name, start_ns)
            streams.append(
                faults.apply(specs, items, patient_id=name, seed=seed, source=source, noises=noises)
            )
        return merge(streams)

    lengths = [for_s or (None if scenario.loop else scenario.script_s) for _, scenario, _ in cast]
    length_s = None if None in lengths else max(length for length in lengths if length is not None)
    stream_to_broker(begin, start_ns, length_s, broker=held.kafka, speed=pace, clock=clock)


def _cast(
    scenarios: list[Scenario], ids: list[str] | None, n: int, seed: int
) -> list[tuple[str, Scenario, int]]:
    """(patient id, scenario, seed) of every simulated patient."""
    if ids is not None and len(ids) != len(scenarios):
        raise BadInputError(
            f"{len(ids)} patient ids for {len(scenarios)} scenarios",
            "Give --patient once per scenario.",
        )
    names = ids or [scenario.name for scenario in scenarios]
    cast = [
        (name if n == 1 else f"{name}-{i + 1}", scenario, scenario.seed + seed + i)
        for name, scenario in zip(names, scenarios, strict=True)
        for i in range(n)
    ]
    unique([name for name, _, _ in cast])
    return cast
