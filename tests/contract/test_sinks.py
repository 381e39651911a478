"""One contract for every event store: memory, SQLite and a real InfluxDB."""

from __future__ import annotations

import itertools
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.messages import Alarm, Beat, Event, Rhythm, Vitals
from stream_processor.sinks import influx, queued, sqlite
from stream_processor.sinks.base import KINDS, Sink, SinkBusyError, event_time, identity
from stream_processor.sinks.influx import InfluxSink
from stream_processor.sinks.memory import MemorySink
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
    sample = {"fs_hz": 250.0, "sample": 500, "rr_ms": 812.5, "label": "N", "confidence": 0.99, "label_probability": 0.9}
    return Beat(patient_id=patient, time_ns=t, **(PLACE | sample | changes))


def vitals(patient="p", t=T0, **changes) -> Vitals:
    sample = {"hr_bpm": 61.5, "sdnn_ms": 40.25, "rmssd_ms": 30.0, "quality": 1.0, "reason": ""}
    return Vitals(patient_id=patient, time_ns=t, **(PLACE | sample | changes))


def rhythm(patient="p", t=T0, **changes) -> Rhythm:
    sample = {"fs_hz": 250.0, "end_ns": t + S, "start_sample": 0, "end_sample": 250, "label": "AFIB", "probability": 0.8}
    return Rhythm(patient_id=patient, start_ns=t, **(PLACE | sample | changes))


def alarm(patient="p", t=T0, kind="asystole", **changes) -> Alarm:
    what = {"id": f"{patient}:{kind}:{t}", "kind": kind, "priority": "high", "step": "onset", "latching": True}
    when = {"fs_hz": 250.0, "onset_ns": t, "raised_ns": t + 4 * S, "changed_ns": t + 4 * S, "onset_sample": 500, "raised_sample": 1500}
    why = {"value": 4.0, "limit": 4.0, "text": "4 s > 4 s"}
    return Alarm(patient_id=patient, **(PLACE | what | when | why | changes))


MAKERS = [beat, vitals, rhythm, alarm]


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
    return InfluxSink(**({"url": service.url, "token": service.token, "org": service.org, "bucket": service.bucket} | changes))


def store(sink: Sink, *events: Event) -> None:
    for event in events:
        sink.add(event)
    sink.flush()


def stored(sink: Sink) -> list[Event]:
    return [event for patient in sink.patients() for kind in KINDS for event in sink.read(kind, patient)]


@pytest.mark.parametrize("make", MAKERS)
def test_gives_back_what_it_took(sink, make):
    store(sink, make())
    assert stored(sink) == [make()]


def test_an_empty_store_has_nobody(sink):
    assert sink.patients() == []
    assert list(sink.read(Beat, "nobody")) == []
    sink.flush()
    assert sink.pending == 0
    assert not sink.refused


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
    again = msgspec.structs.replace(
        make(), **{beat: {"label": "V"}, vitals: {"hr_bpm": 99.0}, rhythm: {"end_ns": T0 + 9 * S}, alarm: {"step": "end"}}[make]
    )
    if at_once:
        store(sink, make(), again)
    else:
        store(sink, make())
        store(sink, again)
    assert stored(sink) == [again]


def test_a_value_that_is_gone_is_cleared(sink):
    full = [beat(), vitals(), alarm(step="end", end_ns=T0 + 9 * S, end_sample=2750)]
    bare = [beat(rr_ms=None), vitals(hr_bpm=None, sdnn_ms=None, rmssd_ms=None, reason="artefact"), alarm(value=None, limit=None)]
    for events in (full, bare, full):
        store(sink, *events)
        assert stored(sink) == events


def test_alarms_of_several_kinds_at_one_onset_are_several(sink):
    alarms = [alarm(kind=kind) for kind in ("asystole", "hr_low", "missed_beat", "pause")]
    store(sink, *alarms)
    assert stored(sink) == alarms
    assert list(sink.read(Alarm, "p", T0, T0 + 1)) == alarms
    assert list(sink.read(Alarm, "p", T0 + 1)) == []
    assert list(sink.read(Alarm, "p", 0, T0)) == []


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
    assert [event_time(e) for e in sink.read(kind, "p", T0 + S + 1, T0 + 3 * S + 1)] == [T0 + 2 * S, T0 + 3 * S]
    assert list(sink.read(kind, "p", T0 + S, T0 + S)) == []
    assert list(sink.read(kind, "p", T0 + 9 * S, T0 + S)) == []


def test_patients_devices_and_leads_are_kept_apart(sink):
    events = [beat(p, device_id=d, lead=lead) for p, d, lead in itertools.product(("a", "b"), ("", "d1"), ("", "II"))]
    store(sink, *events)
    assert stored(sink) == sorted(events, key=identity)


def test_odd_names_come_back(sink):
    events = [make(patient=name, device_id=name, lead=name) for name in ODD_NAMES for make in (beat, alarm)]
    store(sink, *events)
    assert sink.patients() == sorted(ODD_NAMES)
    for name in ODD_NAMES:
        assert list(sink.read(Beat, name)) + list(sink.read(Alarm, name)) == [e for e in events if e.patient_id == name]


@pytest.mark.parametrize("text", ODD_NAMES)
def test_odd_texts_come_back(sink, text):
    store(sink, alarm(text=text, id=text))
    assert stored(sink) == [alarm(text=text, id=text)]


def test_a_long_record_is_read_in_pages(sink, monkeypatch):
    monkeypatch.setattr(sqlite, "PAGE", 100)
    monkeypatch.setattr(influx, "PAGE_NS", 100 * S)
    monkeypatch.setattr(queued, "BATCH", 300)
    beats = [beat(t=T0 + i * S, sample=i, lead=lead) for i in [*range(500), 10_000] for lead in ("I", "II")]
    store(sink, *beats)
    assert list(sink.read(Beat, "p")) == beats


def test_an_event_that_no_store_can_hold_stops_nothing_else(sink, caplog):
    if isinstance(sink, MemorySink):
        pytest.skip("memory can hold all")
    unfit = beat(t=2**63 + 5)
    beats = [beat(t=T0 + i) for i in range(50)]
    store(sink, *beats[:25], unfit, *beats[25:])
    assert stored(sink) == beats
    assert list(sink.refused) == [unfit]
    assert sink.pending == 0
    assert str(unfit.time_ns) in caplog.text


def test_a_store_that_refuses_most_is_busy_and_everything_is_kept(sink):
    if isinstance(sink, MemorySink):
        pytest.skip("memory can hold all")
    for i in range(30):
        sink.add(beat(t=2**63 + i))
    with pytest.raises(SinkBusyError, match="refuses most"):
        sink.flush()
    assert sink.pending == 30
    assert not sink.refused


def test_check_names_the_store(sink):
    assert any(name in sink.check() for name in ("memory", "SQLite 3", "InfluxDB"))


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
times = st.integers(0, 2**62)
samples = st.integers(0, 2**53)
numbers = st.floats(allow_nan=False, allow_infinity=False)
common = {"patient_id": names, "device_id": texts, "lead": texts}


def of(kind: type[Event], **fields: st.SearchStrategy) -> st.SearchStrategy:
    rest = {f.name: st.from_type(f.type) for f in msgspec.structs.fields(kind) if f.name not in {*common, *fields, "schema"}}
    finite = {name: numbers if s is float else s for name, s in rest.items()}
    return st.builds(kind, **common, **(finite | fields))


def floats(*fields: str) -> dict[str, st.SearchStrategy]:
    return dict.fromkeys(fields, numbers)


def maybe_floats(*fields: str) -> dict[str, st.SearchStrategy]:
    return dict.fromkeys(fields, st.none() | numbers)


any_event = st.one_of(
    of(Beat, time_ns=times, sample=samples, **floats("fs_hz", "confidence", "label_probability"), **maybe_floats("rr_ms")),
    of(Vitals, time_ns=times, **floats("quality"), **maybe_floats("hr_bpm", "sdnn_ms", "rmssd_ms")),
    of(Rhythm, start_ns=times, end_ns=times, start_sample=samples, end_sample=samples, **floats("fs_hz", "probability")),
    of(
        Alarm,
        id=texts, text=texts, onset_ns=times, raised_ns=times, end_ns=st.none() | times, onset_sample=samples, raised_sample=samples,
        end_sample=st.none() | samples, changed_ns=times, acknowledged_ns=st.none() | times, acknowledged_by=texts, level=samples,
        silenced_until_ns=st.none() | times, **floats("fs_hz"), **maybe_floats("value", "limit"),
    ),
)  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(events=st.lists(any_event, max_size=6))
def test_any_events_come_back(sink, events):
    """The store is not emptied between examples: what counts is that each event of this example is there, the last one of an identity."""
    store(sink, *events, *events[:2])
    last = {(type(e), identity(e)): e for e in [*events, *events[:2]]}
    for (kind, (patient, time, *_)), event in last.items():
        assert patient in sink.patients()
        assert event in list(sink.read(kind, patient, time, time + 1))
        assert [e for e in sink.read(kind, patient, time, time + 1) if identity(e) == identity(event)] == [event]
    assert not sink.refused


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    writes=st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from(["", "artefact", "no beats"]), st.none() | numbers), min_size=10, max_size=60
    ),
    batch=st.integers(1, 60),
)
def test_many_events_of_one_series_written_in_any_order_and_again(sink, writes, batch):
    name = uuid.uuid4().hex  # the store is not emptied between examples
    made = [
        (vitals(name, T0 + i * S, reason=reason, hr_bpm=rate), alarm(name, T0 + i * S, text=reason, value=rate))
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
    sink._connection.execute("PRAGMA max_page_count = 20")  # what SQLite does on a full disk, without filling one
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
    assert stored(sink) == [beat("other"), beat(t=T0 + 2 * day), beat(t=T0 + 3 * day), rhythm(end_ns=T0 + 5 * day), alarm()]
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


def test_influxdb_waits_between_its_tries():
    pauses: list[float] = []
    sink = InfluxSink("http://127.0.0.1:9", "t", "o", "b", sleep=pauses.append)
    sink.add(beat())
    with pytest.raises(SinkBusyError):
        sink.flush()
    assert pauses == list(influx.RETRY_AFTER_S)
    sink.close()
