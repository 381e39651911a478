"""Annotates a record by the same stages as a stream, without a broker, in stream time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from ingest.clock import ManualClock
from ingest.messages import (
    Alarm,
    Beat,
    Event,
    Rhythm,
    RhythmLabel,
    SampleChunk,
    Vitals,
    sample_offset_ns,
)
from ingest.sources.base import Block, Source
from stream_processor.pipeline.ward import Ward
from stream_processor.ward import build_ward

PUSH_S = 40.0  # fills the networks' batches: 40 beat windows, 8 rhythm windows


@dataclass
class Annotated:
    """Events that a stream would report for a record. Samples count from the record's start, at its
    own sampling frequency."""

    name: str
    fs_hz: float
    channel: str
    samples: int = 0
    beats: list[Beat] = field(default_factory=list)
    rhythm: list[Rhythm] = field(default_factory=list)  # whole episodes
    alarms: list[Alarm] = field(default_factory=list)  # the last step of each, in order of onset
    steps: list[Alarm] = field(
        default_factory=list
    )  # every step of every alarm, in the order emitted
    vitals: list[Vitals] = field(default_factory=list)
    label: RhythmLabel = "~"
    probability: float = 0.0


def annotate(source: Source, ward: Ward) -> Annotated:
    """Run a record through a ward, in which no patient has its name; the ward is unchanged
    afterwards."""
    result = Annotated(source.name, source.fs_hz, source.lead)
    episodes: dict[int, Rhythm] = {}
    alarms: dict[str, Alarm] = {}

    def take(events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Beat):
                result.beats.append(event)
            elif isinstance(event, Rhythm):
                episodes[event.start_sample] = event
            elif isinstance(event, Alarm):
                alarms[event.id] = event
                result.steps.append(event)
            elif isinstance(event, Vitals):
                result.vitals.append(event)

    for chunk in chunks(source, 0):
        take(ward.push([chunk]))
        result.samples = chunk.first_sample + chunk.n
    if result.samples:
        take(ward.flush(source.name))
        result.label, result.probability = ward.overall_rhythm(source.name)
        ward.close(source.name)
    result.rhythm = [episodes[start] for start in sorted(episodes)]
    result.alarms = sorted(alarms.values(), key=lambda a: (a.onset_sample, a.raised_sample, a.id))
    return result


def new_ward() -> Ward:
    """Make a ward for records, whose clock stands still: only the signal gives the time."""
    return build_ward(ManualClock())


def chunks(source: Source, start_ns: int) -> Iterator[SampleChunk]:
    """Yield a record as chunks of about PUSH_S, cut when an electrode comes off or on. Its first
    sample has the time `start_ns`."""
    held: list[Block] = []
    first = seq = 0
    for block in source.blocks():
        size = sum(len(b.counts) for b in held)
        if held and (block.lead_off != held[0].lead_off or size >= PUSH_S * source.fs_hz):
            yield _chunk(source, held, seq, first, start_ns)
            first, seq, held = first + size, seq + 1, []
        held.append(block)
    if held:
        yield _chunk(source, held, seq, first, start_ns)


def _chunk(source: Source, blocks: list[Block], seq: int, first: int, start_ns: int) -> SampleChunk:
    counts = np.concatenate([block.counts for block in blocks]).astype("<i2")
    return SampleChunk(
        patient_id=source.name,
        device_id=source.device_id,
        lead=source.lead,
        seq=seq,
        first_sample=first,
        t0_ns=start_ns + sample_offset_ns(first, source.fs_hz),
        fs_hz=source.fs_hz,
        counts_per_mv=source.counts_per_mv,
        samples=counts.tobytes(),
        lead_off=blocks[0].lead_off,
    )
