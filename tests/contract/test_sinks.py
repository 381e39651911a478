"""One contract for every event store: memory, SQLite and a real InfluxDB."""

from __future__ import annotations

import itertools
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.clock import ManualClock
from ingest.messages import (
    Action,
    Alarm,
    Beat,
    Delivery,
    Edit,
    Finding,
    JournalEntry,
    Rhythm,
    Score,
    Stored,
    Strip,
    Vitals,
    Waveform,
    sample_offset_ns,
)
from ingest.packing import MISSING, pack, unpack
from stream_processor.sinks import influx, queued, sqlite
from stream_processor.sinks import influx_lines as lines
from stream_processor.sinks.base import KINDS, Sink, SinkBusyError, event_time, identity
from stream_processor.sinks.influx import InfluxSink
from stream_processor.sinks.memory import MemorySink
from stream_processor.sinks.refusals import Refusals
from stream_processor.sinks.sqlite import SqliteSink

T0 = 1_750_000_000_000_000_000
S = 1_000_000_000
PLACE = {"device_id": "d1", "lead": "ECG"}
ODD_NAMES = [
    "p 1",
    "a,b=c",
    'say "hi"',
    "back\\slash",
    "ends\\",
    "100%",
    "%41",
    "line\nbreak",
    "crlf\r\n",
    "%0A",
    "%%0a%",
    "tab\t",
    "Zoë Ω 心",
    "${injected}",
    "' OR 1=1 --",
    "x" * 128,
]


def beat(patient="p", t=T0, **changes) -> Beat:
    sample = {
        "fs_hz": 250.0,
        "sample": 500,
        "rr_ms": 812.5,
        "label": "N",
        "confidence": 0.99,
        "label_probability": 0.9,
    }
    return Beat(patient_id=patient, time_ns=t, **(PLACE | sample | changes))


def vitals(patient="p", t=T0, **changes) -> Vitals:
    sample = {"hr_bpm": 61.5, "sdnn_ms": 40.25, "rmssd_ms": 30.0, "quality": 1.0, "reason": ""}
    return Vitals(patient_id=patient, time_ns=t, **(PLACE | sample | changes))


def rhythm(patient="p", t=T0, **changes) -> Rhythm:
    sample = {
        "fs_hz": 250.0,
        "end_ns": t + S,
        "start_sample": 0,
        "end_sample": 250,
        "label": "AFIB",
        "probability": 0.8,
    }
    return Rhythm(patient_id=patient, start_ns=t, **(PLACE | sample | changes))


def alarm(patient="p", t=T0, kind="asystole", **changes) -> Alarm:
    what = {
        "id": f"{patient}:{kind}:{t}",
        "kind": kind,
        "priority": "high",
        "step": "onset",
        "latching": True,
    }
    when = {
        "fs_hz": 250.0,
        "onset_ns": t,
        "raised_ns": t + 4 * S,
        "changed_ns": t + 4 * S,
        "onset_sample": 500,
        "raised_sample": 1500,
    }
    why = {"value": 4.0, "limit": 4.0, "text": "4 s > 4 s"}
    return Alarm(patient_id=patient, **(PLACE | what | when | why | changes))


SHAPE = np.array([0, 5, 12, MISSING, 3, -7, 32767], dtype=np.int16)


def samples(**changes) -> dict:
    return {
        "fs_hz": 250.0,
        "counts_per_mv": 200.0,
        "start_sample": 500,
        "n": len(SHAPE),
        "packed": pack(SHAPE),
    } | changes


def strip(patient="p", t=T0, kind="asystole", **changes) -> Strip:
    what = {
        "alarm_id": f"{patient}:{kind}:{t}",
        "kind": kind,
        "onset_ns": t,
        "start_ns": t - 10 * S,
    }
    return Strip(patient_id=patient, **(PLACE | what | samples() | changes))


def waveform(patient="p", t=T0, **changes) -> Waveform:
    return Waveform(patient_id=patient, start_ns=t, **(PLACE | samples() | changes))


def action(patient="p", t=T0, id="a1", **changes) -> Action:
    what = {
        "by": "Kim",
        "action": "limits",
        "limits": {"hr_high": 130.0, 'odd \\ "name"\n%41': None},
        "note": "after the walk",
    }
    return Action(patient_id=patient, time_ns=t, id=id, **(what | changes))


def delivery(patient="p", t=T0, id="d1", **changes) -> Delivery:
    what = {
        "alarm_id": "p:pause:1",
        "kind": "pause",
        "priority": "medium",
        "step": "onset",
        "recipient": "ward",
        "attempt": 1,
    }
    return Delivery(
        patient_id=patient,
        time_ns=t,
        id=id,
        **(what | {"outcome": "failed", "reason": "no route", "next_ns": t + S} | changes),
    )


def score(patient="p", t=T0, **changes) -> Score:
    counts = {
        f"{what}_{how}": i
        for i, (what, how) in enumerate(itertools.product(("qrs", "v", "s"), ("tp", "fn", "fp")))
    }
    rest = {
        "rhythm_s": 60.0,
        "rhythm_agreed_s": 55.5,
        "episodes": 2,
        "episodes_alarmed": 1,
        "worst_delay_s": 7.25,
    }
    return Score(patient_id=patient, time_ns=t, **(PLACE | counts | rest | changes))


def edit(patient="p", t=T0, id="e1", **changes) -> Edit:
    what = {
        "by": "Kim",
        "target": "beat",
        "target_id": f"{t - S}",
        "at_ns": t - S,
        "said": "V",
        "verdict": "relabelled",
        "label": "S",
    }
    return Edit(patient_id=patient, time_ns=t, id=id, **(what | changes))


def finding(patient="p", t=T0, **changes) -> Finding:
    where = {"fs_hz": 250.0, "start_ns": t - 30 * S, "sample": 8000, "start_sample": 500}
    what = {"task": "screen, v2 = 'x'", "label": "AFL", "probability": 0.75, "model": "ab12"}
    return Finding(patient_id=patient, time_ns=t, **(PLACE | where | what | changes))


def journal_entry(patient="p", t=T0, id="j1", **changes) -> JournalEntry:
    what = {"by": "h10-1", "kind": "symptom", "text": "dizzy, 'after stairs'"}
    return JournalEntry(patient_id=patient, time_ns=t, id=id, **(what | changes))


MAKERS = [
    beat,
    vitals,
    rhythm,
    alarm,
    strip,
    waveform,
    action,
    delivery,
    score,
    edit,
    finding,
    journal_entry,
]
NAMED = [action, delivery, edit, journal_entry]  # told apart by an id
AGAIN = {
    beat: {"label": "V"},
    vitals: {"hr_bpm": 99.0},
    rhythm: {"end_ns": T0 + 9 * S},
    alarm: {"step": "end"},
    strip: {"n": 3, "packed": pack(SHAPE[:3])},
    waveform: {"n": 3, "packed": pack(SHAPE[:3])},
    action: {"limits": {}, "switches": {"hr_low": False, "pause": None}},
    delivery: {"outcome": "delivered"},
    score: {"qrs_tp": 77},
    edit: {"verdict": "rejected"},
    finding: {"label": "N"},
    journal_entry: {"text": "better now"},
}


def test_every_kind_is_here():
    assert {type(make()) for make in MAKERS} == set(KINDS)


@pytest.fixture(params=["memory", "sqlite", "influxdb"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Sink]]:
    """Opens the store: an empty one at first, then the same again."""
    opened: list[Sink] = []

    def open_it() -> Sink:
        if request.param == "memory":
            return opened[0] if opened else MemorySink()
        if request.param == "sqlite":
            return SqliteSink(tmp_path / "events.db")
        return influx_sink(request.getfixturevalue("influxdb"))

    if request.param == "influxdb":
        request.getfixturevalue("empty_influxdb")
    yield lambda: opened.append(open_it()) or opened[-1]
    for sink in opened:
        sink.close()


@pytest.fixture
def sink(reopen: Callable[[], Sink]) -> Sink:
    return reopen()


def influx_sink(service, **changes) -> InfluxSink:
    place = {
        "url": service.url,
        "token": service.token,
        "org": service.org,
        "bucket": service.bucket,
    }
    # the tests' times are long ago
    return InfluxSink(**(place | {"waveform_days": 36_500} | changes))


def store(sink: Sink, *events: Stored) -> None:
    for event in events:
        sink.add(event)
    sink.flush()


def stored(sink: Sink) -> list[Stored]:
    return [
        event for patient in sink.patients() for kind in KINDS for event in sink.read(kind, patient)
    ]


@pytest.mark.parametrize("make", MAKERS)
def test_gives_back_what_it_took(sink, make):
    store(sink, make())
    assert stored(sink) == [make()]


def test_an_empty_store_has_nobody(sink):
    assert sink.patients() == []
    assert list(sink.read(Beat, "nobody")) == []
    sink.flush()
    assert sink.pending == 0
    assert not sink.take_refused()


def test_nothing_is_stored_before_flush(sink):
    sink.add(beat())
    assert sink.pending == 1
    assert stored(sink) == []
    sink.flush()
    assert sink.pending == 0
    assert stored(sink) == [beat()]


def test_another_session_finds_it(reopen):
    store(reopen(), beat(), alarm())
    assert stored(reopen()) == [beat(), alarm()]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("at_once", [True, False])
def test_the_same_event_again_replaces(sink, make, at_once):
    again = msgspec.structs.replace(make(), **AGAIN[make])
    if at_once:
        store(sink, make(), again)
    else:
        store(sink, make())
        store(sink, again)
    assert stored(sink) == [again]


def test_a_value_that_is_gone_is_cleared(sink):
    gone = alarm(
        step="end",
        end_ns=T0 + 9 * S,
        end_sample=2750,
        acknowledged_ns=T0,
        acknowledged_by="Kim",
        silenced_until_ns=T0,
    )
    empty = {"n": 0, "packed": b""}
    pairs = [
        (beat(), beat(rr_ms=None)),
        (vitals(), vitals(hr_bpm=None, sdnn_ms=None, rmssd_ms=None, reason="artefact")),
        (gone, alarm(value=None, limit=None, text="", id="")),
        (waveform(), waveform(**empty)),
        (action(alarm_id="x", kind="pause", seconds=120.0), action(limits={}, note="")),
        (delivery(), delivery(reason="", next_ns=None)),
        (score(), score(worst_delay_s=None)),
        (edit(note="sure"), edit(label="", note="")),
        (finding(), finding(model="")),
    ]
    for which in (0, 1, 0):
        store(sink, *(pair[which] for pair in pairs))
        for pair in pairs:
            assert list(sink.read(type(pair[which]), "p")) == [pair[which]]


@pytest.mark.parametrize("make", [alarm, strip])
def test_several_kinds_at_one_onset_are_several(sink, make):
    events = [make(kind=kind) for kind in ("asystole", "hr_low", "missed_beat", "pause")]
    store(sink, *events)
    assert_stored_at_t0(sink, events)


def test_several_tasks_at_one_time_are_several(sink):
    events = [finding(task=f"task {i}", label="x" * i) for i in range(5)]
    store(sink, *events)
    assert_stored_at_t0(sink, events)


@pytest.mark.parametrize("make", NAMED)
def test_what_several_people_do_at_one_time_is_several(sink, make):
    events = [make(id=f"{i:03d}") for i in range(100)]
    store(sink, *events)
    assert_stored_at_t0(sink, events)


def assert_stored_at_t0(sink: Sink, events: list[Stored]) -> None:
    kind = type(events[0])
    assert stored(sink) == events
    assert list(sink.read(kind, "p", T0, T0 + 1)) == events
    assert list(sink.read(kind, "p", T0 + 1)) == []
    assert list(sink.read(kind, "p", 0, T0)) == []


@pytest.mark.parametrize("make", MAKERS)
def test_reads_in_order_of_time_whatever_the_order_of_writing(sink, make):
    times = [T0 + 5 * S, T0, T0 + 9 * S, T0 + 1, T0 - S]
    store(sink, *(make(t=t) for t in times[:3]))
    store(sink, *(make(t=t) for t in times[3:]))
    assert [event_time(e) for e in sink.read(type(make()), "p")] == sorted(times)


@pytest.mark.parametrize("make", MAKERS)
def test_a_range_has_its_start_and_not_its_end(sink, make):
    store(sink, *(make(t=T0 + i * S) for i in range(5)))
    kind = type(make())
    assert [event_time(e) for e in sink.read(kind, "p", T0 + S, T0 + 3 * S)] == [T0 + S, T0 + 2 * S]
    assert [event_time(e) for e in sink.read(kind, "p", T0 + S + 1, T0 + 3 * S + 1)] == [
        T0 + 2 * S,
        T0 + 3 * S,
    ]
    assert list(sink.read(kind, "p", T0 + S, T0 + S)) == []
    assert list(sink.read(kind, "p", T0 + 9 * S, T0 + S)) == []


def test_patients_devices_and_leads_are_kept_apart(sink):
    events = [
        beat(p, device_id=d, lead=lead)
        for p, d, lead in itertools.product(("a", "b"), ("", "d1"), ("", "II"))
    ]
    store(sink, *events)
    assert stored(sink) == sorted(events, key=identity)


def test_odd_names_come_back(sink):
    events = [
        make(patient=name, device_id=name, lead=name)
        for name in ODD_NAMES
        for make in (beat, alarm, waveform)
    ]
    events += [
        action(patient=name, by=name, id=name, note=name, limits={name: 1.0}) for name in ODD_NAMES
    ]
    store(sink, *events)
    assert sink.patients() == sorted(ODD_NAMES)
    for name in ODD_NAMES:
        found = [e for kind in (Beat, Alarm, Waveform, Action) for e in sink.read(kind, name)]
        assert found == [
            e
            for kind in (Beat, Alarm, Waveform, Action)
            for e in events
            if e.patient_id == name and type(e) is kind
        ]


@pytest.mark.parametrize("text", ODD_NAMES)
def test_odd_texts_come_back(sink, text):
    store(sink, alarm(text=text, id=text))
    assert stored(sink) == [alarm(text=text, id=text)]


def test_a_long_record_is_read_in_pages(sink, monkeypatch):
    monkeypatch.setattr(sqlite, "PAGE", 100)
    monkeypatch.setattr(influx, "PAGE_NS", 100 * S)
    monkeypatch.setattr(queued, "BATCH", 300)
    beats = [
        beat(t=T0 + i * S, sample=i, lead=lead)
        for i in [*range(500), 10_000]
        for lead in ("I", "II")
    ]
    store(sink, *beats)
    assert list(sink.read(Beat, "p")) == beats


def test_a_long_list_of_actions_is_read_in_pages(sink, monkeypatch):
    monkeypatch.setattr(sqlite, "PAGE", 10)
    # a page is shorter than the points of one time are spread
    monkeypatch.setattr(influx, "PAGE_NS", S // 100)
    actions = [action(t=T0 + i * S // 200, id=f"{j:02d}") for i in range(20) for j in range(10)]
    store(sink, *actions)
    assert list(sink.read(Action, "p")) == actions
    assert list(sink.read(Action, "p", T0 + 3 * S // 200, T0 + 9 * S // 200)) == actions[30:90]


def test_an_event_that_no_store_can_hold_stops_nothing_else(sink, caplog):
    if isinstance(sink, MemorySink):
        pytest.skip("memory can hold all")
    unfit = beat(t=2**63 + 5)
    beats = [beat(t=T0 + i) for i in range(50)]
    store(sink, *beats[:25], unfit, *beats[25:])
    assert stored(sink) == beats
    assert [r.event for r in sink.take_refused()] == [unfit]
    assert sink.pending == 0
    assert str(unfit.time_ns) in caplog.text


def test_what_can_never_be_stored_is_set_aside_however_much_it_is(sink):
    if isinstance(sink, MemorySink):
        pytest.skip("memory can hold all")
    unfit = [beat(t=2**63 + i) for i in range(30)]
    store(sink, *unfit, beat())
    assert stored(sink) == [beat()]
    assert [r.event for r in sink.take_refused()] == unfit
    assert sink.take_refused() == []
    assert sink.pending == 0


def test_a_tag_that_is_too_long_stops_nothing_else(sink):
    if not isinstance(sink, InfluxSink):
        pytest.skip("only InfluxDB has tags")
    long = msgspec.structs.replace(beat(), device_id="d" * 70_000)
    store(sink, long, beat())
    assert stored(sink) == [beat()]
    assert [r.event for r in sink.take_refused()] == [long]


def test_check_names_the_store(sink):
    assert any(name in sink.check() for name in ("memory", "SQLite 3", "InfluxDB"))


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
times = st.integers(0, 2**62)
samples_seen = st.integers(0, 2**53)
numbers = st.floats(allow_nan=False, allow_infinity=False)
common = {"patient_id": names, "device_id": texts, "lead": texts}


def of(kind: type[Stored], **fields: st.SearchStrategy) -> st.SearchStrategy:
    theirs = {f.name: f.type for f in msgspec.structs.fields(kind)}
    rest = {
        name: st.from_type(type_)
        for name, type_ in theirs.items()
        if name not in {*common, *fields, "schema"}
    }
    return st.builds(
        kind, **{name: s for name, s in (common | rest | fields).items() if name in theirs}
    )


def floats(*fields: str) -> dict[str, st.SearchStrategy]:
    return dict.fromkeys(fields, numbers)


def maybe_floats(*fields: str) -> dict[str, st.SearchStrategy]:
    return dict.fromkeys(fields, st.none() | numbers)


fs = st.floats(100, 1000)
cut = {
    "fs_hz": fs,
    "counts_per_mv": st.floats(1, 1e6),
    "start_ns": times,
    "start_sample": st.integers(0, 2**31),
    "n": samples_seen,
    "packed": st.lists(st.integers(-32768, 32767), max_size=50).map(
        lambda x: pack(np.array(x, dtype=np.int16))
    ),
}
named = {"time_ns": times, "id": texts, "alarm_id": texts, "note": texts, "by": texts}
counts_of_score = {
    f.name: samples_seen
    for f in msgspec.structs.fields(Score)
    if f.type is int and f.name not in ("schema", "time_ns")
}
any_event = st.one_of(
    of(
        Beat,
        time_ns=times,
        sample=samples_seen,
        **floats("fs_hz", "confidence", "label_probability"),
        **maybe_floats("rr_ms"),
    ),
    of(
        Vitals,
        time_ns=times,
        nn=st.integers(0, 2**31),
        **floats("quality"),
        **maybe_floats("hr_bpm", "sdnn_ms", "rmssd_ms"),
    ),
    of(
        Rhythm,
        start_ns=times,
        end_ns=times,
        start_sample=samples_seen,
        end_sample=samples_seen,
        **floats("fs_hz", "probability"),
    ),
    of(
        Alarm,
        id=texts,
        text=texts,
        onset_ns=times,
        raised_ns=times,
        end_ns=st.none() | times,
        onset_sample=samples_seen,
        raised_sample=samples_seen,
        end_sample=st.none() | samples_seen,
        changed_ns=times,
        acknowledged_ns=st.none() | times,
        acknowledged_by=texts,
        level=samples_seen,
        silenced_until_ns=st.none() | times,
        **floats("fs_hz"),
        **maybe_floats("value", "limit"),
    ),
    of(Strip, alarm_id=texts, onset_ns=times, **cut),
    of(Waveform, **cut),
    of(
        Action,
        **named,
        profile=texts,
        limits=st.dictionaries(texts, st.none() | numbers, max_size=3),
        **maybe_floats("seconds"),
    ),
    of(
        Delivery,
        **named,
        step=texts,
        recipient=texts,
        reason=texts,
        attempt=samples_seen,
        next_ns=st.none() | times,
    ),
    of(
        Score,
        time_ns=times,
        **counts_of_score,
        **floats("rhythm_s", "rhythm_agreed_s"),
        **maybe_floats("worst_delay_s"),
    ),
    of(
        Finding,
        time_ns=times,
        start_ns=times,
        sample=samples_seen,
        start_sample=samples_seen,
        task=texts,
        label=texts,
        model=texts,
        **floats("fs_hz", "probability"),
    ),
    of(Edit, **named, target_id=texts, at_ns=times, said=texts, label=texts),
    of(JournalEntry, **named, text=texts),
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(events=st.lists(any_event, max_size=6))
def test_any_events_come_back(sink, events):
    """The store is not emptied between examples: what counts is that each event of this example is
    there, the last one of an identity."""
    store(sink, *events, *events[:2])
    last = {(type(e), identity(e)): e for e in [*events, *events[:2]]}
    for (kind, (patient, at, *_)), event in last.items():
        assert patient in sink.patients()
        assert event in list(sink.read(kind, patient, at, at + 1))
        assert [
            e for e in sink.read(kind, patient, at, at + 1) if identity(e) == identity(event)
        ] == [event]
    assert not sink.take_refused()


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    writes=st.lists(
        st.tuples(
            st.integers(0, 20), st.sampled_from(["", "artefact", "no beats"]), st.none() | numbers
        ),
        min_size=10,
        max_size=60,
    ),
    batch=st.integers(1, 60),
)
def test_many_events_of_one_series_written_in_any_order_and_again(sink, writes, batch):
    name = uuid.uuid4().hex  # the store is not emptied between examples
    made = [
        (
            vitals(name, T0 + i * S, reason=reason, hr_bpm=rate),
            alarm(name, T0 + i * S, text=reason, value=rate),
        )
        for i, reason, rate in writes
    ]
    for i in range(0, len(made), batch):
        store(sink, *(event for pair in made[i : i + batch] for event in pair))
    for kind, events in zip((Vitals, Alarm), zip(*made, strict=True), strict=True):
        last = {event_time(event): event for event in events}
        assert list(sink.read(kind, name)) == [last[time] for time in sorted(last)]


# What is particular to one store: how it fails, and what it lets go.


def test_sqlite_keeps_everything_while_the_file_is_locked(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "LOCK_WAIT_S", 0.05)
    sink = SqliteSink(tmp_path / "events.db")
    other = sqlite3.connect(tmp_path / "events.db")
    other.execute("BEGIN IMMEDIATE")
    sink.add(beat())
    with pytest.raises(SinkBusyError, match="locked"):
        sink.flush()
    assert sink.pending == 1
    sink.add(alarm())
    other.rollback()
    sink.flush()
    assert stored(sink) == [beat(), alarm()]
    other.close()
    sink.close()


def test_sqlite_keeps_everything_while_the_disk_is_full(tmp_path):
    sink = SqliteSink(tmp_path / "events.db")
    # what SQLite does on a full disk, without filling one
    sink._connection.execute("PRAGMA max_page_count = 20")
    beats = [beat(t=T0 + i) for i in range(5000)]
    for event in beats:
        sink.add(event)
    with pytest.raises(SinkBusyError, match="full"):
        sink.flush()
    assert sink.pending == 5000
    sink._connection.execute("PRAGMA max_page_count = 1000000")
    sink.flush()
    assert stored(sink) == beats
    sink.close()


def test_sqlite_readers_see_what_is_flushed_while_a_writer_is_at_work(tmp_path):
    writer, reader = SqliteSink(tmp_path / "events.db"), SqliteSink(tmp_path / "events.db")
    store(writer, beat())
    half = reader.read(Beat, "p")
    assert next(half) == beat()
    store(writer, beat(t=T0 + S))
    assert len(stored(reader)) == 2
    reader.close()
    writer.close()


def test_sqlite_lets_go_of_what_is_old_but_not_of_alarms(tmp_path):
    day = 86_400 * S
    sink = SqliteSink(tmp_path / "events.db", keep_days=2)
    first = [beat(), vitals(), rhythm(end_ns=T0 + 5 * day), alarm(), beat("other")]
    store(sink, *first)
    store(sink, beat(t=T0 + 2 * day))
    assert list(sink.read(Beat, "p")) == [beat(), beat(t=T0 + 2 * day)]  # to the day
    store(sink, beat(t=T0 + 3 * day))
    assert stored(sink) == [
        beat("other"),
        beat(t=T0 + 2 * day),
        beat(t=T0 + 3 * day),
        rhythm(end_ns=T0 + 5 * day),
        alarm(),
    ]
    sink.close()


def test_sqlite_keeps_waveforms_shorter_and_what_people_did_for_ever(tmp_path):
    day = 86_400 * S
    sink = SqliteSink(tmp_path / "events.db", keep_days=5, waveform_days=2)
    store(sink, *(make() for make in MAKERS))
    # by the wall clock: says nothing of how far a stream is
    store(sink, action(t=T0 + 1000 * day, id="late"))
    assert len(stored(sink)) == len(MAKERS) + 1
    store(sink, beat(t=T0 + 3 * day))
    assert {type(e) for e in stored(sink)} == {*KINDS} - {Waveform}
    store(sink, beat(t=T0 + 6 * day))
    assert [e for e in stored(sink) if event_time(e) == T0] == [
        make() for make in (alarm, strip, action, delivery, edit, journal_entry)
    ]
    sink.close()


def test_sqlite_loses_no_history_to_a_device_whose_clock_is_in_the_future(tmp_path):
    day = 86_400 * S
    clock = ManualClock(T0 + 4 * day)
    sink = SqliteSink(tmp_path / "events.db", keep_days=2, clock=clock)
    history = [beat(t=T0 + 3 * day + i * S) for i in range(50)]
    store(sink, *history)
    store(sink, beat(t=T0 + 30_000 * day))  # the year 2107
    sink.close()
    for restart in range(3):  # and with the clock right again
        sink = SqliteSink(tmp_path / "events.db", keep_days=2, clock=clock)
        clock.advance(120)
        store(sink, beat(t=T0 + 4 * day + restart * 120 * S))
        assert list(sink.read(Beat, "p", 0, T0 + 3 * day + 50 * S)) == history
        sink.close()
    clock.advance(3 * 86_400)  # time that passes makes it old
    sink = SqliteSink(tmp_path / "events.db", keep_days=2, clock=clock)
    store(sink, beat(t=T0 + 7 * day))
    assert list(sink.read(Beat, "p", 0, T0 + 3 * day + 50 * S)) == []
    sink.close()


def test_influxdb_refuses_what_is_too_old_and_takes_the_rest(empty_influxdb):
    """A device whose clock says 1970, and a bucket with a retention."""
    days_ago = time.time_ns() - 5 * 86_400 * S
    (bucket,) = empty_influxdb.request("GET", "/api/v2/buckets?name=events")["buckets"]
    rules = {"retentionRules": [{"type": "expire", "everySeconds": 30 * 86_400}]}
    empty_influxdb.request("PATCH", f"/api/v2/buckets/{bucket['id']}", rules)
    sink = influx_sink(empty_influxdb)
    calls, write = [], sink._write
    sink._refusals.write = lambda batch, _: Refusals.write(  # type: ignore[method-assign]
        sink._refusals, batch, lambda events: (calls.append(len(events)), write(events))[1]
    )
    old = [beat(t=3600 * S + i * S) for i in range(1000)]
    new = [beat(t=days_ago + i * S) for i in range(100)]
    store(sink, *old[:500], *new, *old[500:])
    assert stored(sink) == new
    refused = sink.take_refused()
    assert [r.event for r in refused] == old
    assert all("retention policy" in r.reason for r in refused)
    assert len(calls) < 40, "not one by one"
    sink.close()


LAYOUT_1 = """
CREATE TABLE beat ("schema" INTEGER, "patient_id" TEXT, "device_id" TEXT, "lead" TEXT, "fs_hz" REAL, "time_ns" INTEGER, "sample" INTEGER,
    "rr_ms" REAL, "label" TEXT, "confidence" REAL, "label_probability" REAL,
    PRIMARY KEY (patient_id, time_ns, device_id, lead)) WITHOUT ROWID;
CREATE TABLE alarm ("schema" INTEGER, "patient_id" TEXT, "device_id" TEXT, "lead" TEXT, "fs_hz" REAL, "id" TEXT, "kind" TEXT,
    "priority" TEXT, "step" TEXT, "onset_ns" INTEGER, "raised_ns" INTEGER, "end_ns" INTEGER, "onset_sample" INTEGER,
    "raised_sample" INTEGER, "end_sample" INTEGER, "announced" INTEGER, "latching" INTEGER, "value" REAL, "limit" REAL, "text" TEXT,
    PRIMARY KEY (patient_id, onset_ns, device_id, lead, kind)) WITHOUT ROWID;
PRAGMA user_version = 1;
"""  # of ecgwatch 0.1.0, what matters here


def test_sqlite_takes_over_a_file_of_the_first_layout(tmp_path):
    old = sqlite3.connect(tmp_path / "events.db")
    old.executescript(LAYOUT_1)
    was = msgspec.structs.asdict(alarm(step="end", end_ns=T0 + 9 * S, end_sample=2750))
    was = {
        n: v
        for n, v in was.items()
        if not n.startswith(("changed", "level", "acknowledged", "silenced", "late"))
    }
    for name, event in (("beat", msgspec.structs.asdict(beat())), ("alarm", was)):
        old.execute(f"INSERT INTO {name} VALUES ({', '.join(':' + n for n in event)})", event)
    old.commit()
    old.close()
    for _ in range(2):
        sink = SqliteSink(tmp_path / "events.db")
        assert stored(sink) == [
            beat(),
            alarm(step="end", end_ns=T0 + 9 * S, end_sample=2750, changed_ns=T0 + 9 * S),
        ]
        sink.close()
    sink = SqliteSink(tmp_path / "events.db")
    store(sink, *(make() for make in MAKERS))
    assert stored(sink) == [
        make() for make in sorted(MAKERS, key=lambda make: KINDS.index(type(make())))
    ]
    sink.close()


def test_sqlite_files_are_made_once_by_many_at_once(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        sinks = list(threads.map(lambda _: SqliteSink(tmp_path / "events.db"), range(8)))
    store(sinks[0], beat())
    assert stored(sinks[7]) == [beat()]
    for sink in sinks:
        sink.close()


def test_two_writers_and_a_reader_of_one_sqlite_file_do_not_disturb_each_other(tmp_path):
    """As the processor's keeper, its archive and the monitor do."""
    beats = [[beat(t=T0 + (50 * i + j) * S) for j in range(50)] for i in range(40)]
    actions = [[action(t=T0 + i * S, id=f"{j}") for j in range(5)] for i in range(40)]

    def write(batches: list[list[Stored]]) -> int:
        sink = SqliteSink(tmp_path / "events.db")
        for batch in batches:
            store(sink, *batch)  # raises SinkBusyError where it has to wait too long
        sink.close()
        return len(batches)

    def read() -> list[int]:
        """How much was there at each look: before they write, while they do, and at the end."""
        sink, found = SqliteSink(tmp_path / "events.db"), []
        while not written.is_set():
            found.append(len(stored(sink)))
            begun.set()
        found.append(len(stored(sink)))
        sink.close()
        return found

    begun, written = threading.Event(), threading.Event()
    with ThreadPoolExecutor(3) as threads:
        reading = threads.submit(read)
        try:
            assert begun.wait(60)
            writing = [threads.submit(write, batches) for batches in (beats, actions)]
            assert [future.result(60) for future in writing] == [40, 40]
        finally:
            written.set()
        found = reading.result(60)
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 40 * 50 + 40 * 5)
    sink = SqliteSink(tmp_path / "events.db")
    assert len(stored(sink)) == 40 * 50 + 40 * 5
    sink.close()


def test_sqlite_says_what_is_wrong_with_a_file_that_is_none_of_ours(tmp_path):
    (tmp_path / "notes.txt").write_text("no database at all, whatever its name says" * 100)
    with pytest.raises(SinkBusyError, match=r"notes.txt.*not a database"):
        SqliteSink(tmp_path / "notes.txt")
    other = sqlite3.connect(tmp_path / "newer.db")
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(SinkBusyError, match="layout is 99"):
        SqliteSink(tmp_path / "newer.db")


def test_influxdb_keeps_everything_while_the_server_is_away(empty_influxdb):
    sink = influx_sink(empty_influxdb)
    store(sink, beat())
    empty_influxdb.kill()
    sink.add(alarm())
    with pytest.raises(SinkBusyError, match="does not answer"):
        sink.flush()
    assert sink.pending == 1
    with pytest.raises(SinkBusyError):
        stored(sink)
    empty_influxdb.start()
    sink.flush()
    assert stored(sink) == [beat(), alarm()]
    sink.close()


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"token": "wrong"}, "ECGWATCH_INFLUX_TOKEN"),
        ({"bucket": "wrong"}, "ECGWATCH_INFLUX_BUCKET"),
        ({"org": "wrong"}, "ECGWATCH_INFLUX_ORG"),
    ],
)
def test_influxdb_wrongly_set_up_is_busy_and_names_the_setting(influxdb, wrong, remedy):
    sink = influx_sink(influxdb, **wrong)
    sink.add(beat())
    for call in (sink.flush, sink.check, sink.patients):
        if call == sink.check and "org" in wrong:
            continue  # the bucket is found by its name alone
        with pytest.raises(SinkBusyError, match=remedy):
            call()
    assert sink.pending == 1
    sink.close()


def test_influxdb_has_a_bucket_for_waveforms_that_forgets(empty_influxdb, caplog):
    sink = influx_sink(empty_influxdb, waveform_days=2)
    assert "waveform (made with the first waveform)" in sink.check()
    new = waveform(t=time.time_ns() - 3600 * S)
    store(sink, *(waveform(t=T0 + i * S) for i in range(50)), new, beat())
    assert stored(sink) == [beat(), new]
    assert not sink.take_refused()
    assert caplog.text.count("older than the bucket waveform keeps") == 1
    assert sink.check().endswith("waveforms in waveform")
    (made,) = empty_influxdb.request("GET", "/api/v2/buckets?name=waveform")["buckets"]
    assert made["retentionRules"][0]["everySeconds"] == 2 * 86_400
    sink.close()


def test_influxdb_says_how_to_make_the_bucket_where_the_token_may_not(empty_influxdb):
    (events,) = empty_influxdb.request("GET", "/api/v2/buckets?name=events")["buckets"]
    may = [
        {"action": how, "resource": {"type": "buckets", "id": events["id"]}}
        for how in ("read", "write")
    ]
    account = empty_influxdb.request(
        "POST", "/api/v2/authorizations", {"orgID": events["orgID"], "permissions": may}
    )
    sink = influx_sink(empty_influxdb, token=account["token"], waveform_days=7)
    store(sink, beat())
    sink.add(waveform())
    with pytest.raises(
        SinkBusyError, match=r"influx bucket create --name waveform --retention 604800s"
    ):
        sink.flush()
    assert sink.pending == 1
    sink.close()


def test_influxdb_strips_can_be_drawn(empty_influxdb):
    sink = influx_sink(empty_influxdb)
    drawn = strip(start_sample=1, start_ns=T0 + sample_offset_ns(1, 250.0))
    store(sink, drawn, strip(kind="pause", start_sample=1, start_ns=drawn.start_ns))
    flux = """from(bucket: "events") |> range(start: 0) |> filter(fn: (r) => r._measurement == "ecg")"""
    rows = list(sink._query(flux))
    there = [i for i, count in enumerate(unpack(drawn.packed)) if count != MISSING]
    assert [float(row["_value"]) for row in rows] == [
        round(float(unpack(drawn.packed)[i]) / 200, 4) for i in there
    ]
    assert [lines.nanoseconds(row["_time"]) for row in rows] == [
        T0 + sample_offset_ns(1 + i, 250.0) for i in there
    ]
    assert {(row["_field"], row["patient"], row["device"], row["lead"]) for row in rows} == {
        ("mv", "p", "d1", "ECG")
    }
    assert sink.patients() == ["p"]
    sink.close()


def test_influxdb_reads_alarms_that_were_stored_before_they_could_be_acknowledged(empty_influxdb):
    sink = influx_sink(empty_influxdb)
    line = next(lines.lines(alarm()))
    for field in ("changed_ns", "level"):
        line = re.sub(f"{field}=[^,]*,", "", line)
    assert "changed" not in line
    none = 'none="end_ns,end_sample"'
    sink._writer.write("events", "ecgwatch", re.sub(r'none="[^"]*"', none, line).encode())
    assert stored(sink) == [alarm(changed_ns=T0 + 4 * S)]
    sink.close()


def test_a_strip_that_is_none_is_set_aside(sink):
    if not isinstance(sink, InfluxSink):
        pytest.skip("the others do not look inside")
    store(sink, beat(), strip(packed=b"nonsense"))
    assert stored(sink) == [beat()]
    assert [r.event for r in sink.take_refused()] == [strip(packed=b"nonsense")]


def test_influxdb_waits_between_its_tries():
    pauses: list[float] = []
    sink = InfluxSink("http://127.0.0.1:9", "t", "o", "b", sleep=pauses.append)
    sink.add(beat())
    with pytest.raises(SinkBusyError):
        sink.flush()
    assert pauses == list(influx.RETRY_AFTER_S)
    sink.close()
