"""The spool keeps what was not acknowledged, over kills, torn files and a full budget; in order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import BadInputError
from ingest.gateway import log_file, recording
from ingest.gateway.base import Packet
from ingest.gateway.recording import Recorder, read_packets
from ingest.gateway.spool import SEGMENT, Cursor, Spool, folder_name, keep_within
from ingest.wire import Chunk


def chunk(first: int, n: int = 65, t0_ns: int = 0) -> Chunk:
    return Chunk(
        first_sample=first,
        t0_ns=t0_ns + first * 10**9 // 130,
        fs_hz=130.0,
        counts_per_mv=1000.0,
        samples=bytes(2 * n),
    )


def firsts(spool: Spool) -> list[tuple[str, int]]:
    """(stream, first sample) of all that is left, in the order in which it is sent; acknowledges it."""
    found = []
    while (batch := spool.next(7, 10**6)) is not None:
        found += [(batch.stream, c.first_sample) for c in batch.chunks]
        spool.acknowledge(batch.behind[-1])
    return found


def test_streams_follow_each_other_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "h10")
    wanted = [(stream, k * 65) for stream in ("a", "b", "c") for k in range(10)]
    for stream, first in wanted:
        spool.append(stream, chunk(first), [])
    batch = spool.next(60, 10**6)
    assert batch
    assert batch.stream == "a"
    assert len(batch.chunks) == 10  # a request holds one stream only
    assert firsts(spool) == wanted
    assert spool.backlog_bytes == 0


def test_what_was_acknowledged_is_not_sent_again_after_a_kill(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "h10")
    for k in range(20):
        spool.append("a", chunk(k * 65), [])
    batch = spool.next(8, 10**6)
    assert batch
    spool.acknowledge(batch.behind[4])
    again = Spool(tmp_path, "h10")  # nothing was closed
    again.append("b", chunk(0), [])
    assert firsts(again) == [*(("a", k * 65) for k in range(5, 20)), ("b", 0)]
    assert firsts(Spool(tmp_path, "h10")) == []


def test_a_cursor_that_is_lost_sends_everything_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "h10")
    for k in range(5):
        spool.append("a", chunk(k * 65), [])
    spool.acknowledge(spool.next(3, 10**6).behind[-1])  # type: ignore[union-attr]
    (spool.folder / "cursor.json").write_text("{")
    assert firsts(Spool(tmp_path, "h10")) == [("a", k * 65) for k in range(5)]


@given(st.integers(0, 200))
def test_a_torn_end_is_left_out(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"), "h10")
    for k in range(5):
        spool.append("a", chunk(k * 65), [])
    path = spool.path(1)
    size = path.stat().st_size
    with path.open("rb+") as file:
        file.truncate(size - cut)
    whole = [("a", k * 65) for k in range(5)][: 5 - -(-cut // (size // 5))]
    assert firsts(Spool(spool.folder.parent, "h10")) == whole


def test_bytes_that_rot_end_the_file(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "h10")
    for k in range(3):
        spool.append("a", chunk(k * 65), [])
    data = bytearray(spool.path(1).read_bytes())
    data[len(data) // 2] ^= 1
    spool.path(1).write_bytes(data)
    assert firsts(Spool(tmp_path, "h10")) == [("a", 0)]


def test_files_of_what_was_acknowledged_are_deleted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "h10")
    k = 0
    while len(list(spool.folder.glob("*.spool"))) < 3:
        spool.append("a", chunk(k, 4000), [])
        k += 4000
    assert len(firsts(spool)) == k // 4000
    assert len(list(spool.folder.glob("*.spool"))) == 1


def test_the_oldest_of_all_devices_is_dropped_when_the_budget_is_used_up(tmp_path: Path) -> None:
    """Half an hour of outage and room for a part of it: the newest stays, and what is lost is counted."""
    spools = [Spool(tmp_path, name) for name in ("one", "two")]
    hour_ns = 3600 * 10**9
    for k in range(600):
        for spool, since_ns in zip(spools, (hour_ns, 0), strict=True):  # two's signal is older
            spool.append("a", chunk(k * 4000, 4000, since_ns), [])
    before = {s: s.backlog_bytes for s in spools}
    lost = keep_within(spools, sum(before.values()) - SEGMENT)
    assert list(lost) == [spools[1]]
    assert lost[spools[1]] == spools[1].dropped_s > 0
    left = [first for _, first in firsts(spools[1])]
    assert left == list(range(left[0], 600 * 4000, 4000))  # a gap at the front, and nothing else
    assert left[0] / 130 == pytest.approx(spools[1].dropped_s)
    assert len(firsts(spools[0])) == 600
    spools[1].append("a", chunk(600 * 4000), [])
    assert firsts(spools[1]) == [("a", 600 * 4000)]


def test_a_budget_for_nothing_keeps_working(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "h10")
    for k in range(3):
        spool.append("a", chunk(k * 65), [])
        keep_within([spool], 0)
    assert spool.dropped_s == pytest.approx(3 * 0.5)
    again = Spool(tmp_path, "h10")
    again.append("b", chunk(0), [])
    assert firsts(again) == [("b", 0)]


def test_raw_packets_are_kept_beside_the_chunk(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "h10")
    spool.append("a", chunk(0), [Packet(1, "ecg", b"raw")])
    payload, _ = next(log_file.records(spool.path(1)))
    assert b"raw" in payload


def test_devices_have_folders_of_their_own() -> None:
    names = ["h10:a", "h10/a", "h10:A", "mqtt://u:p@h/t", ""]
    assert len({folder_name(n) for n in names}) == len(names)
    assert all(folder_name(n).replace("-", "").isalnum() for n in names)


def test_cursors_are_in_order() -> None:
    assert Cursor(2, 0) > Cursor(1, 10**6)


def test_a_recording_gives_the_packets_back_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "strap.ecgpackets"
    packets = [Packet(k, "ecg", bytes([k])) for k in range(10)]
    for half in (packets[:5], packets[5:]):
        recorder = Recorder(path, "h10:1")
        for packet in half:
            recorder.write(packet)
        recorder.close()
    assert list(read_packets(path)) == packets
    assert recording.read_head(path).device == "h10:1"
    with pytest.raises(BadInputError, match="h10:1"):
        Recorder(path, "lsl:x")


@pytest.mark.parametrize("content", [b"", b"no recording", log_file.record(b"\x93\xa1x\x01\xa1y")])
def test_other_files_are_no_recordings(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.ecgpackets"
    path.write_bytes(content)
    with pytest.raises(BadInputError):
        list(read_packets(path))
