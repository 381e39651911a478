"""Exports stored events as tables, CSV or Parquet: every field of every event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from ecgwatch.writing.atomic import whole_file
from ingest.messages import Stored
from stream_processor.sinks.base import FOREVER_NS, KINDS, Sink

BATCH = 10_000


def export_tables(
    sink: Sink,
    patients: list[str],
    folder: Path,
    form: str,
    start_ns: int = 0,
    end_ns: int = FOREVER_NS,
) -> Iterator[tuple[Path, int]]:
    """Write events_beat, events_rhythm and so on, a file per kind of event, as "csv" or "parquet";
    yield each path with its number of rows.

    The columns are the fields of the messages (ingest/messages), packed samples in base64, a
    dictionary as JSON. Only one batch is in memory at a time.
    """
    for kind in KINDS:
        path = folder / f"events_{kind.__name__.lower()}.{form}"
        schema, rows = _schema(kind), 0
        events = (
            event for patient in patients for event in sink.read(kind, patient, start_ns, end_ns)
        )
        writer = pa.csv.CSVWriter if form == "csv" else pa.parquet.ParquetWriter
        with whole_file(path) as draft, closing(writer(draft, schema)) as table:
            while batch := list(islice(events, BATCH)):
                table.write_batch(
                    pa.RecordBatch.from_pylist([_row(event) for event in batch], schema)
                )
                rows += len(batch)
        yield path, rows


def _row(event: Stored) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(event)
    return {
        name: msgspec.json.encode(value).decode() if isinstance(value, dict) else value
        for name, value in row.items()
    }


def _schema(kind: type[Stored]) -> Any:
    plain = {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    named = [f for f in msgspec.structs.fields(kind) if f.name != "schema"]
    return pa.schema(
        [
            (
                f.name,
                next((plain[t] for t in (f.type, *get_args(f.type)) if t in plain), pa.string()),
            )
            for f in named
        ]
    )
