"""A record in a store: its signal and everything that the stream would report of it, at record
time. Made once, and found again by the content of the signal."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ecgwatch.annotate import chunks, new_ward
from ingest.messages import Alarm, Event, Reference, SampleChunk
from ingest.replay import stream
from ingest.sources.base import Source
from models.serving.runtime import load
from stream_processor.pipeline.ward import Ward
from stream_processor.sinks import sqlite_tables
from stream_processor.sinks.sqlite import SqliteSink

KEPT_DAYS = 36_500.0  # nothing of a record is too old


@dataclass(frozen=True)
class AnnotatedRecord:
    """A record that can be played."""

    name: str
    fs_hz: float
    start_ns: int
    chunks: tuple[SampleChunk, ...]  # of half a second
    references: tuple[Reference, ...]
    store: Path

    @property
    def length_s(self) -> float:
        """Length of the signal in seconds."""
        last = self.chunks[-1]
        return (last.first_sample + last.n) / self.fs_hz


def record_zero_ns() -> int:
    """The time that stands for a record's first sample: midnight of this machine's time zone, so
    that the page's clock shows the time into the record."""
    return round(time.mktime((2000, 1, 1, 0, 0, 0, 0, 0, -1)) * 1e9)


def open_store(path: Path) -> SqliteSink:
    """Open the store of a record."""
    return SqliteSink(path, keep_days=KEPT_DAYS, waveform_days=KEPT_DAYS)


def annotated(
    source: Source, folder: Path, start_ns: int, progress: Callable[[float], None]
) -> AnnotatedRecord:
    """Return the record with its store in `folder`; made now if it is not there yet, `progress` is
    then called with the seconds that are done. Raises BadInputError if the record has no signal."""
    items = [due.message for due in stream(source, source.name, start_ns)]
    played = tuple(item for item in items if isinstance(item, SampleChunk))
    references = tuple(item for item in items if isinstance(item, Reference))
    store = folder / f"{source.name}-{_fingerprint(played)}.db"
    if not store.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = store.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        with closing(open_store(unfinished)) as sink:
            for event in _events(source, new_ward(), start_ns, played[-1], progress):
                sink.add(event)
            sink.flush()
        unfinished.replace(store)
    return AnnotatedRecord(source.name, source.fs_hz, start_ns, played, references, store)


def _events(
    source: Source, ward: Ward, start_ns: int, last: SampleChunk, progress: Callable[[float], None]
) -> Iterator[Event]:
    """Every event of the record, an alarm in its last step only."""
    alarms: dict[str, Alarm] = {}
    found: list[Event] = []
    for chunk in chunks(source, start_ns):
        found = ward.push([chunk])
        yield from _but_alarms(found, alarms)
        progress((chunk.first_sample + chunk.n) / chunk.fs_hz)
    yield from _but_alarms(ward.flush(source.name), alarms)
    end_ns = last.t0_ns + round(last.n / last.fs_hz * 1e9)
    # nobody is called for a record: alarms that still hold end with it, and nothing latches
    yield from (
        msgspec.structs.replace(alarm, latching=False, end_ns=alarm.end_ns or end_ns)
        for alarm in alarms.values()
    )


def _but_alarms(events: list[Event], alarms: dict[str, Alarm]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, Alarm):
            alarms[event.id] = event
        else:
            yield event


def _fingerprint(played: tuple[SampleChunk, ...]) -> str:
    """Identifies the signal, the model, and the layout of the store: another one is made anew."""
    digest = hashlib.sha256(f"{sqlite_tables.LAYOUT} {load().spec.version}".encode())
    for chunk in played:
        digest.update(chunk.samples)
    return digest.hexdigest()[:12]
