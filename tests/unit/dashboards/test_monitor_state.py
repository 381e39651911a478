"""What the monitor believes of a patient and of the ward, from any order of messages."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.monitor.live.alarm_book import KEPT, AlarmBook
from dashboards.monitor.live.bedside import TRACE_S, Bedside
from dashboards.monitor.live.board import FORGET_S, Board, BoardSelection
from dashboards.monitor.live.frames import decode_frame
from ingest.clock import ManualClock
from ingest.messages import Alarm, Beat, Reference, SampleChunk, Vitals, sample_offset_ns
from ingest.registry.records import PersonRecord
from ingest.registry.state import Registry

S = 10**9
START = 1_700_000_000 * S
FS = 250.0


def alarm(
    kind: str = "hr_high",
    at_s: float = 0,
    step: str = "onset",
    priority: str = "medium",
    **fields: Any,
) -> Alarm:
    onset = START + round(at_s * S)
    if step == "end":
        fields.setdefault("end_ns", onset + 2 * S)
    return Alarm(
        patient_id="p",
        device_id="d",
        lead="II",
        fs_hz=FS,
        id=f"p:{kind}:{onset}",
        kind=kind,
        priority=priority,
        step=step,
        onset_ns=onset,
        raised_ns=onset + S,
        changed_ns=onset + S,
        onset_sample=0,
        raised_sample=0,
        **fields,
    )


def chunk(k: int, start_ns: int = START, n: int = 125, **fields: Any) -> SampleChunk:
    first = k * n
    return SampleChunk(
        patient_id="p",
        device_id="d",
        lead="II",
        seq=k,
        first_sample=first,
        t0_ns=start_ns + sample_offset_ns(first, FS),
        fs_hz=FS,
        counts_per_mv=200.0,
        samples=np.full(n, k, "<i2").tobytes(),
        **fields,
    )


def beat(at_s: float, label: str = "N") -> Beat:
    return Beat(
        patient_id="p",
        device_id="d",
        lead="II",
        fs_hz=FS,
        time_ns=START + round(at_s * S),
        sample=round(at_s * FS),
        rr_ms=None,
        label=label,
        confidence=1.0,
        label_probability=1.0,
    )


def vitals(at_s: float) -> Vitals:
    return Vitals(
        patient_id="p",
        device_id="d",
        lead="II",
        time_ns=START + round(at_s * S),
        hr_bpm=70.0,
        sdnn_ms=None,
        rmssd_ms=None,
        quality=1.0,
    )


def kinds(book: AlarmBook) -> list[str]:
    return [a.kind for a in book.standing()]


# Alarms


def test_a_non_latching_alarm_goes_with_its_end() -> None:
    book = AlarmBook()
    book.put(alarm())
    assert kinds(book) == ["hr_high"]
    book.put(alarm(step="end", end_ns=START + 9 * S))
    assert kinds(book) == []
    assert [a.step for a in book.all()] == ["end"]


def test_a_latching_alarm_stays_after_its_end() -> None:
    book = AlarmBook()
    book.put(alarm("asystole", priority="high", latching=True))
    book.put(alarm("asystole", priority="high", latching=True, step="end"))
    assert kinds(book) == ["asystole"]


def test_of_a_kind_that_alarmed_often_the_newest_stands() -> None:
    book = AlarmBook()
    for at in (1, 2, 3):
        book.put(alarm("asystole", at_s=at, latching=True, step="end"))
    assert [a.onset_ns for a in book.standing()] == [START + 3 * S]
    assert len(book.all()) == 3
    book.put(alarm("asystole", at_s=4, latching=True))
    assert [a.step for a in book.standing()] == ["onset"]


def test_an_alarm_held_back_is_listed_but_does_not_stand_until_it_is_announced() -> None:
    book = AlarmBook()
    book.put(alarm(announced=False))
    assert (kinds(book), len(book.all())) == ([], 1)
    book.put(alarm(step="update"))
    assert kinds(book) == ["hr_high"]


def test_worst_first_and_technical_ones_after_all_others() -> None:
    book = AlarmBook()
    book.put(alarm("lead_off", priority="high"))
    book.put(alarm("pvc_couplet", priority="low"))
    book.put(alarm("asystole", priority="high", latching=True, step="end", at_s=5))
    book.put(alarm("ventricular_fibrillation", priority="high", latching=True))
    book.put(alarm("hr_low", at_s=1))
    book.put(alarm("hr_high", at_s=2))
    assert kinds(book) == [
        "ventricular_fibrillation",
        "asystole",
        "hr_high",
        "hr_low",
        "pvc_couplet",
        "lead_off",
    ]


def test_a_new_stream_ends_what_does_not_latch() -> None:
    book = AlarmBook()
    book.put(alarm())
    book.put(alarm("asystole", latching=True))
    book.end_stream()
    assert kinds(book) == ["asystole"]


def test_the_store_adds_what_is_missing_and_never_undoes_what_came_live() -> None:
    book = AlarmBook()
    book.put(alarm(at_s=10, step="end"))
    book.load(
        [
            alarm("asystole", at_s=1, latching=True, step="end"),
            alarm("svt", at_s=2),
            alarm("pause", at_s=8),
            alarm(at_s=10),
        ],
        START + 5 * S,
    )
    assert kinds(book) == ["pause", "asystole"]
    assert [a.kind for a in book.all()] == ["hr_high", "pause", "svt", "asystole"]


def test_an_acknowledged_alarm_stands_while_it_holds_and_calls_again() -> None:
    book, seen = AlarmBook(), {"acknowledged_ns": START, "acknowledged_by": "Anna"}
    vf = {"priority": "high", "latching": True}
    book.put(alarm("ventricular_fibrillation", **vf))
    book.put(alarm("ventricular_fibrillation", step="acknowledged", **vf, **seen))
    assert [a.acknowledged_by for a in book.standing()] == ["Anna"]
    book.put(alarm("ventricular_fibrillation", step="escalated", level=1, **vf))
    assert [(a.level, a.acknowledged_ns) for a in book.standing()] == [(1, None)]
    book.put(alarm("ventricular_fibrillation", step="end", **vf))
    assert kinds(book) == ["ventricular_fibrillation"]
    book.put(
        alarm("ventricular_fibrillation", step="acknowledged", end_ns=START + 2 * S, **vf, **seen)
    )
    assert (kinds(book), len(book.all())) == ([], 1)


def test_an_alarm_that_was_acknowledged_leaves_with_its_end() -> None:
    book = AlarmBook()
    book.put(alarm("asystole", latching=True, step="acknowledged", acknowledged_ns=START))
    book.put(alarm("asystole", latching=True, step="end", acknowledged_ns=START))
    assert kinds(book) == []


def test_a_silenced_alarm_stands() -> None:
    book = AlarmBook()
    book.put(alarm(step="silenced", silenced_until_ns=START + 60 * S))
    assert kinds(book) == ["hr_high"]


def test_what_is_unacknowledged_comes_before_what_somebody_has_seen() -> None:
    book = AlarmBook()
    book.put(alarm("asystole", priority="high", latching=True, at_s=5, acknowledged_ns=START))
    book.put(alarm("extreme_tachycardia", priority="high", latching=True))
    book.put(alarm("hr_high"))
    assert kinds(book) == ["extreme_tachycardia", "asystole", "hr_high"]


@given(
    st.lists(
        st.tuples(st.integers(0, 150), st.sampled_from(["onset", "update", "end"]), st.booleans()),
        max_size=300,
    )
)
def test_the_last_step_decides_and_the_list_is_bounded(steps: list[tuple[int, str, bool]]) -> None:
    book, last = AlarmBook(), {}
    for at, step, latching in steps:
        message = alarm(at_s=at, step=step, latching=latching)
        book.put(message)
        last[message.id] = message
    assert {a.id for a in book.standing() if a.step != "end"} == {
        id_ for id_, a in last.items() if a.step != "end"
    }
    assert all(a.latching for a in book.standing() if a.step == "end")
    assert len(book.all()) <= KEPT + len(book.standing())


# Samples


def shown(bed: Bedside) -> list[int]:
    return [decode_frame(frame).first // 125 for frame in bed.frames()]


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=6))
def test_late_and_repeated_chunks_end_up_in_order_once(
    order: list[int], repeats: list[int]
) -> None:
    bed = Bedside("p", 1, 0.0)
    for k in [*order, *repeats]:
        bed.add_chunk(chunk(k), 0.0)
    assert shown(bed) == list(range(12))
    assert bed.stream == 1


def test_only_what_the_page_can_show_is_kept() -> None:
    bed = Bedside("p", 1, 0.0)
    for k in range(200):
        bed.add_chunk(chunk(k), k / 2)
    assert len(shown(bed)) == pytest.approx(TRACE_S * 2, abs=1)


def test_a_gap_stays_in_the_stream_and_a_restart_begins_a_new_one() -> None:
    bed = Bedside("p", 1, 0.0)
    bed.add_chunk(chunk(0), 0.0)
    bed.add_chunk(chunk(9), 4.5)
    bed.add_event(vitals(4), 5.0)
    assert (bed.stream, shown(bed)) == (1, [0, 9])
    bed.add_chunk(chunk(0, START + 60 * S), 60.0)
    assert (bed.stream, shown(bed)) == (2, [0])
    assert bed.snapshot(60.0, START)["vitals"] is None


def test_the_end_of_a_stream_ends_what_does_not_latch_also_what_comes_after() -> None:
    bed = Bedside("p", 1, 0.0)
    bed.add_chunk(chunk(0), 0.0)
    bed.add_event(alarm(), 0.0)
    bed.add_event(alarm("asystole", latching=True), 0.0)
    bed.add_chunk(chunk(1, end=True), 0.5)
    bed.add_event(alarm("pause", at_s=0.3), 2.0)
    assert kinds(bed.alarms) == ["asystole"]
    bed.add_chunk(chunk(0, START + 60 * S), 60.0)
    bed.add_event(alarm("pause", at_s=61), 62.0)
    assert sorted(kinds(bed.alarms)) == ["asystole", "pause"]


def test_a_drifting_device_clock_is_no_restart() -> None:
    bed = Bedside("p", 1, 0.0)
    for k in range(100):
        bed.add_chunk(chunk(k, START + k * 5_000_000), k / 2)
    assert bed.stream == 1


def test_events_before_the_first_chunk_are_kept() -> None:
    bed = Bedside("p", 1, 0.0)
    bed.add_event(beat(1), 2.0)
    bed.add_event(alarm(), 2.0)
    bed.add_chunk(chunk(0), 2.0)
    state = bed.snapshot(3.5, START)
    assert (len(state["beats"]), len(state["alarms"]), state["samples_age_s"]) == (1, 1, 1.5)


# The ward


def test_the_battery_is_what_the_device_last_said() -> None:
    bed = Bedside("p", 1, 0.0)
    assert bed.snapshot(0.0, 0)["battery"] is None
    bed.add_chunk(chunk(0, battery=0.8), 0.0)
    bed.add_chunk(chunk(1, battery=0.79), 0.5)
    assert bed.snapshot(1.0, 0)["battery"] == 0.79


def test_the_reference_of_a_replayed_record_is_kept_beside_our_beats() -> None:
    bed = Bedside("p", 1, 0.0)
    bed.add_event(beat(1.0, "V"), 0.0)
    bed.add_event(Reference(patient_id="p", time_ns=START + S, sample=250, symbol="E"), 0.0)
    state = bed.snapshot(0.0, 0)
    assert state["references"] == [{"t": START / 1e6 + 1000, "label": "V"}]
    assert [b["label"] for b in state["beats"]] == ["V"]


def test_beds_are_in_the_order_people_count_and_pages_do_not_overlap() -> None:
    board = Board(ManualClock())
    for k in (10, 2, 1, 33):
        board.bed(f"Bed {k}", 0.0)
    total, first = board.page(0, 3)
    _, second = board.page(3, 3)
    assert (total, [bed.patient_id for bed in [*first, *second]]) == (
        4,
        ["Bed 1", "Bed 2", "Bed 10", "Bed 33"],
    )
    assert [bed.patient_id for bed in board.page(0, 9, BoardSelection("bed 3"))[1]] == ["Bed 33"]


@given(st.lists(st.text(min_size=1, max_size=12), unique=True, max_size=20))
def test_any_names_can_be_ordered(names: list[str]) -> None:
    board = Board(ManualClock())
    for name in names:
        board.bed(name, 0.0)
    assert {bed.patient_id for bed in board.page(0, 100)[1]} == set(names)


def test_a_patient_is_forgotten_an_hour_after_the_last_word() -> None:
    clock = ManualClock()
    board = Board(clock)
    board.bed("p", 0.0)
    before = board.revision
    clock.advance(FORGET_S)
    assert (board.forget(), len(board)) == ([], 1)
    clock.advance(1)
    assert (board.forget(), len(board)) == (["p"], 0)
    assert board.revision > before


def test_who_is_admitted_is_on_the_ward_until_the_discharge() -> None:
    clock, registry = ManualClock(), Registry()
    board = Board(clock)
    who = PersonRecord(
        patient_id="ada", admitted_ns=1, discharged_ns=None, step="admitted", by="Kim", time_ns=1
    )
    registry.apply(who)
    assert board.know(registry) == ["ada"]  # nothing was heard of her yet
    assert board.know(registry) == []
    clock.advance(2 * FORGET_S)
    assert (board.forget(), len(board)) == ([], 1)
    registry = registry.copy()
    registry.apply(msgspec.structs.replace(who, discharged_ns=2, step="discharged"))
    assert board.know(registry) == []
    assert len(board) == 0


def test_the_ward_counts_alarms_of_all_patients_and_names_the_worst() -> None:
    board = Board(ManualClock())
    for name, given_alarm in [
        ("a", alarm()),
        ("b", alarm("asystole", priority="high", latching=True)),
        ("c", alarm("gap", priority="low")),
    ]:
        board.bed(name, 0.0)[0].add_event(given_alarm, 0.0)
    summary = board.summary()
    assert summary["alarms"] == {"high": 1, "medium": 1, "low": 0, "technical": 1}
    assert [worst["patient"] for worst in summary["worst"]] == ["b", "a", "c"]
