"""ecgwatch replay: records as live streams."""

from __future__ import annotations

import math
from collections.abc import Iterator
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
    warn,
)
from ingest import fault_options, faults
from ingest.clock import SystemClock
from ingest.errors import BadInputError
from ingest.replay import Due, check_stream, copies, copy_ids, merge, stream
from ingest.sources.base import Source
from ingest.sources.open import open_source

Records = Annotated[
    list[str],
    typer.Argument(
        metavar="RECORD",
        help="WFDB record without extension, PhysioNet name (mitdb/208), EDF, BDF or CSV file.",
    ),
]


def replay(
    records: Records,
    speed: Speed = "1",
    from_s: Annotated[
        float, typer.Option("--from", min=0, help="Begin here, in seconds of the record.")
    ] = 0.0,
    to_s: Annotated[
        float | None, typer.Option("--to", min=0, help="End here, in seconds of the record.")
    ] = None,
    loop: Annotated[
        bool, typer.Option("--loop", help="Begin again at the end, until Ctrl-C.")
    ] = False,
    start_time: StartTime = "now",
    patient: Annotated[
        list[str] | None,
        typer.Option(help="Patient id, once per record; default: the record's name."),
    ] = None,
    channel: options.Channel = None,
    number: Annotated[
        int, typer.Option("--copies", min=1, help="Each record as so many patients, ID-1 to ID-N.")
    ] = 1,
    fault: Faults = None,
    seed: Seed = 0,
    fs: options.SamplingHz = None,
    unit: options.Unit = None,
    broker: options.Broker = None,
) -> None:
    """Stream records to the broker as if they were being recorded now."""
    held, _ = settings.load({"broker": broker})
    clock = SystemClock()
    pace, start_ns, specs = (
        parse_speed(speed),
        parse_start(start_time),
        [fault_options.parse(text) for text in fault or []],
    )
    sources = [
        open_source(record, data=held.data, channel=channel, fs_hz=fs, unit=unit, notice=warn)
        for record in records
    ]
    noises = open_noises(specs, held.data)
    names = _names(sources, patient)
    for source, name in zip(sources, names, strict=True):
        for copy_id in copy_ids(name, number):
            check_stream(source, copy_id, start_ns or 0)

    def begin(start_ns: int) -> Iterator[Due]:
        streams: list[Iterator[Due]] = []
        for source, name in zip(sources, names, strict=True):
            items = stream(source, name, start_ns, from_s=from_s, to_s=to_s, loop=loop)
            for copy, copied in copies(items, name, number).items():
                streams.append(
                    faults.apply(
                        specs, copied, patient_id=copy, seed=seed, source=source, noises=noises
                    )
                )
        return merge(streams)

    length_s = (
        None
        if loop
        else max(
            min(to_s or math.inf, source.duration_s or math.inf) - from_s for source in sources
        )
    )
    stream_to_broker(begin, start_ns, length_s, broker=held.kafka, speed=pace, clock=clock)


def _names(sources: list[Source], patients: list[str] | None) -> list[str]:
    if patients is not None and len(patients) != len(sources):
        raise BadInputError(
            f"{len(patients)} patient ids for {len(sources)} records",
            "Give --patient once per record.",
        )
    return unique(patients or [source.name for source in sources])
