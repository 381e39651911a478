"""A recording is a source like a file: annotate and replay take it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ingest.errors import BadInputError
from ingest.gateway.base import LINK_LOST, Packet
from ingest.gateway.recording import Recorder
from ingest.sources.open import open_source
from tests.gateway.signals import blocks
from tests.gateway.test_codecs import h10_frame, rate_bytes


def recording(path: Path, *, lose: range = range(0), contact: bool = True) -> Path:
    """A minute of a 1 Hz sine of an H10 at 128.4 Hz."""
    recorder = Recorder(path, "h10:12345678")
    recorder.write(Packet(0, "heart_rate", rate_bytes(60, contact, None, [])))
    for k, (block, _) in enumerate(blocks(60, 128.4)):
        assert block.last_ns is not None
        if k == lose.start and lose:
            recorder.write(Packet(block.received_ns, LINK_LOST, b""))
        if k not in lose:
            frame = h10_frame(
                block.last_ns - 946_684_800 * 10**9, np.rint(block.microvolts).astype(int).tolist()
            )
            recorder.write(Packet(block.received_ns, "ecg", frame))
    recorder.write(Packet(0, "ecg", frame[:182]))  # cut: counted, and no reason to stop
    recorder.close()
    return path


def test_a_recording_is_a_source(tmp_path: Path) -> None:
    source = open_source(str(recording(tmp_path / "ada.ecgpackets")), data=tmp_path)
    assert (source.name, source.device_id, source.fs_hz, source.counts_per_mv) == (
        "ada",
        "h10:12345678",
        130.0,
        1000.0,
    )
    assert source.duration_s == pytest.approx(60, abs=0.6)
    counts = np.concatenate([b.counts for b in source.blocks()])
    assert len(counts) == round(source.duration_s * 130)
    assert np.abs(counts).max() == pytest.approx(1000, abs=5)
    assert not any(b.lead_off for b in source.blocks())
    later = np.concatenate([b.counts for b in source.blocks(10.0)])
    assert np.array_equal(later, counts[1300:])


def test_what_was_lost_and_what_had_no_contact_is_lead_off(tmp_path: Path) -> None:
    source = open_source(
        str(recording(tmp_path / "a.ecgpackets", lose=range(40, 60))), data=tmp_path
    )
    off_s = sum(len(b.counts) for b in source.blocks() if b.lead_off) / 130
    assert off_s == pytest.approx(20 * 73 / 128.4, abs=1.1)
    assert source.duration_s == pytest.approx(60, abs=0.6)
    off = open_source(str(recording(tmp_path / "b.ecgpackets", contact=False)), data=tmp_path)
    assert all(b.lead_off for b in off.blocks())


def test_a_recording_without_a_trace_says_so(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "c.ecgpackets", "h10")
    recorder.write(Packet(0, "ecg", b"\0" * 182))
    recorder.close()
    with pytest.raises(BadInputError, match="1 packets cannot be read"):
        open_source(str(tmp_path / "c.ecgpackets"), data=tmp_path)
