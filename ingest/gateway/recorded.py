"""A recording of packets as a source of signal, through the same codec and clock as live ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ingest.clock import ManualClock
from ingest.errors import BadInputError
from ingest.gateway.base import LINK_LOST, BadPacketError, LinkError, LiveBlock
from ingest.gateway.recording import read_head, read_packets
from ingest.gateway.sources import open_live
from ingest.gateway.timing.timeline import COUNTS_PER_MV, OutgoingChunk, Timeline
from ingest.sources.base import Block
from ingest.sources.blocks import Values, blocks_of, spans

MAX_HOLE_S = 3600.0  # between two streams; a longer one is shown as HOLE_S
HOLE_S = 10.0


class RecordedSource:
    """A gateway's recording as a source. Lost samples hold the last value and are lead-off, as in
    files.

    Raises BadInputError if the file is no recording, or if its device sends no trace.
    """

    counts_per_mv = COUNTS_PER_MV

    def __init__(self, path: Path) -> None:
        head = read_head(path)
        self.name, self.device_id = path.stem, head.device
        self.bad_packets = 0
        sent = list(self._play(path, head.device))
        if not sent:
            raise BadInputError(
                f"{path} holds no trace of {head.device}; {self.bad_packets} packets cannot be read",
                "Record again until the status line shows a signal.",
            )
        self.fs_hz, self.lead = sent[0].chunk.fs_hz, sent[0].chunk.lead
        self.start_ns = sent[0].chunk.t0_ns
        self._values = _joined(sent)

    @property
    def duration_s(self) -> float:
        return len(self._values) / self.fs_hz

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        start = round(start_s * self.fs_hz)
        parts = (self._values[a:b] for a, b in spans(len(self._values), start, self.fs_hz))
        return blocks_of(parts, start, self.fs_hz)

    def _play(self, path: Path, device: str) -> Iterator[OutgoingChunk]:
        source, timeline = open_live(device, ManualClock()), None
        for packet in read_packets(path):
            if packet.channel == LINK_LOST:
                yield from timeline.unlink() if timeline else []
                continue
            try:
                block = source.decode(packet)
            except (BadPacketError, LinkError):
                self.bad_packets += 1
                continue
            if not isinstance(block, LiveBlock):
                continue
            if timeline is None:
                timeline = Timeline(source.fs_hz, source.lead, source.wearing)
            yield from timeline.push(block)
        yield from timeline.restart("the recording ends") if timeline else []


def _joined(sent: list[OutgoingChunk]) -> Values:
    """Return all samples on one time axis; NaN stands for missing ones."""
    fs_hz, parts, end_ns = sent[0].chunk.fs_hz, [], sent[0].chunk.t0_ns
    for _, chunk in sent:
        hole_s = (chunk.t0_ns - end_ns) / 1e9
        hole = round((hole_s if abs(hole_s) < MAX_HOLE_S else HOLE_S) * fs_hz)
        values = np.frombuffer(chunk.samples, "<i2").astype(np.float64)
        parts += [np.full(max(hole, 0), np.nan), values * (np.nan if chunk.lead_off else 1.0)]
        end_ns = chunk.t0_ns + round(chunk.n / fs_hz * 1e9)
    return np.concatenate(parts)
