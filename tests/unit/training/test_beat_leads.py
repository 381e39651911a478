"""Beats of twelve-lead records: which are V, told from all leads together. Needs torch (extra
`train`)."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed (extra `train`)")

from models.beats.morphology import SHAPE, R
from models.serving.runtime import load
from models.training.data.beat_leads import (
    LEADS,
    TIMES,
    N,
    S,
    V,
    common,
    labels,
    likeness,
    twelve_leads,
    warmed,
)
from models.training.data.records import data_folder
from models.training.tasks.beat_class.beats import UNKNOWN, AnnotatedBeats

PLACE = np.arange(SHAPE)
NARROW = np.exp(-0.5 * ((PLACE - R) / 1.2) ** 2)
WIDE = np.exp(-0.5 * ((PLACE - R) / 5) ** 2)


def leads(
    strange: set[int], count: int = 10, disguised: int = 0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Twelve leads of a beat a second; some beats are wide and upside down, but for `disguised`
    leads."""
    rng = np.random.default_rng(1)
    found = []
    for lead in range(LEADS):
        at = 60 + 125.0 * np.arange(count) + rng.integers(-3, 4, count)
        rows = [-WIDE if i in strange and lead >= disguised else NARROW for i in range(count)]
        found.append(
            (at, (np.stack(rows) + 0.02 * rng.standard_normal((count, SHAPE))).astype(np.float32))
        )
    return found


def test_a_beat_is_common_where_most_leads_have_it() -> None:
    found = leads(set())
    found[0] = (np.append(found[0][0], 2000.0), np.concatenate([found[0][1], found[0][1][:1]]))
    assert len(common(found)) == 10
    assert np.abs(common(found) - (60 + 125 * np.arange(10))).max() <= 3


def test_a_beat_that_most_leads_see_changed_is_v_also_where_it_is_not_seen() -> None:
    found = leads({4, 8}, disguised=3)
    like = likeness(found, common(found))
    assert np.flatnonzero(labels(like, V) == V).tolist() == [4, 8]
    assert (np.delete(labels(like, V), [4, 8]) == N).all()


def test_what_a_record_does_not_have_no_beat_of_it_is() -> None:
    like = np.array([0.1, 0.75, 0.99])
    assert labels(like, N).tolist() == [N, N, N]
    assert labels(like, S).tolist() == [N | S] * 3
    assert labels(like, V).tolist() == [V, UNKNOWN, N]


def test_ten_seconds_come_again_and_the_first_time_teach_nothing() -> None:
    at, shape = leads({4})[0]
    track = warmed(
        AnnotatedBeats(
            "ludb/1-0", "ludb/1", -1, 0, at, shape, np.full(10, N, np.uint8), np.zeros(0), ""
        )
    )
    assert len(track.at) == 10 * TIMES
    assert (np.diff(track.at) > 0).all()
    assert (track.allowed[:10] == UNKNOWN).all()
    assert (track.allowed[10:] == N).all()


def detector(windows: np.ndarray) -> np.ndarray:
    return load().segment(windows[:, 0])[0][:, None]


def test_records_at_hand_are_read_as_their_statements_say(tmp_path: Path) -> None:
    """PTB-XL 219 has one ventricular beat, 1 has none, 2 has a statement of none; LUDB 106 has one."""
    data = data_folder()
    if not (data / "ptbxl500" / "ptbxl_database.csv").exists() or not (data / "ludb").exists():
        pytest.skip("PTB-XL or LUDB is not at hand (ECG_DATA)")
    for name in ("ptbxl500", "ludb"):
        (tmp_path / name).mkdir()
    (tmp_path / "ptbxl500" / "records100").symlink_to(data / "ptbxl500" / "records100")
    for path in (data / "ludb").glob("106.*"):
        (tmp_path / "ludb" / path.name).symlink_to(path)
    with (data / "ptbxl500" / "ptbxl_database.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if row["ecg_id"] in ("1", "219")]
    with (tmp_path / "ptbxl500" / "ptbxl_database.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames or [])
        writer.writeheader()
        writer.writerows(rows)
    found = {track.name: track for track in twelve_leads(tmp_path, detector)}
    ventricular = {name for name, track in found.items() if (track.allowed == V).any()}
    assert len(found) > 20
    assert ventricular == {name for name in found if "00219" in name or "106" in name}
    assert {
        int((track.allowed == V).sum()) for name, track in found.items() if name in ventricular
    } == {TIMES - 1}
