"""A record under view: played at record time, and its beats saved as people left them."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import wfdb

from ecgwatch.commands.records.view import records_of
from ecgwatch.viewing import annotated as annotating
from ecgwatch.viewing.annotated import AnnotatedRecord, annotated, open_store
from ecgwatch.viewing.edited import edited_beats, save
from ecgwatch.viewing.player import LEAD_S, Player
from ecgwatch.viewing.store import RecordStores
from ingest.clock import ManualClock
from ingest.errors import BadInputError
from ingest.messages import Alarm, Beat, Edit, SampleChunk, Waveform
from ingest.simulator.generate import write_wfdb
from ingest.simulator.scenario import load as scenario
from ingest.sources.open import open_source

ZERO_NS = 946_684_800 * 10**9
SECONDS = 40.0


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> AnnotatedRecord:
    folder = tmp_path_factory.mktemp("view")
    write_wfdb(scenario("asystole"), folder, "a", duration_s=SECONDS, seed=1)
    source = open_source(str(folder / "a"), data=folder)
    told: list[float] = []
    made = annotated(source, folder / "stores", ZERO_NS, told.append)
    assert told[-1] == pytest.approx(SECONDS)
    return made


def test_a_record_is_annotated_once(
    record: AnnotatedRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert record.length_s == pytest.approx(SECONDS)
    assert record.references
    with closing(open_store(record.store)) as store:
        beats = list(store.read(Beat, "a"))
        assert sum(w.n for w in store.read(Waveform, "a")) == pytest.approx(SECONDS * record.fs_hz)
        assert beats[0].time_ns < ZERO_NS + 3e9
        assert not [alarm for alarm in store.read(Alarm, "a") if alarm.standing]

    def again() -> Any:
        raise AssertionError("it is annotated again")

    monkeypatch.setattr(annotating, "new_ward", again)
    folder = record.store.parent
    source = open_source(str(folder.parent / "a"), data=folder)
    assert annotated(source, folder, ZERO_NS, print).store == record.store


def play(player: Player, *seconds: float) -> list[Any]:
    """Let the player's clock go on by these steps; return what is delivered."""
    heard: list[Any] = []
    for step in seconds:
        player.clock.advance(step)
        heard += player.step(player.clock.steady_s())
    return heard


def chunks(messages: list[Any]) -> list[SampleChunk]:
    return [message for message in messages if isinstance(message, SampleChunk)]


def test_it_plays_pauses_goes_to_a_time_and_ends(record: AnnotatedRecord) -> None:
    player = Player([record], ManualClock())
    first = chunks(play(player, 1.0, 1.0))
    assert [chunk.first_sample for chunk in first] == [c.first_sample for c in record.chunks[:4]]
    player.playing = False
    assert play(player, 1.0) == []
    player.go(20.0)
    player.speed = 2.0
    jumped = chunks(play(player, 1.0))
    assert player.at_s == pytest.approx(22.0)
    assert jumped[0].t0_ns == ZERO_NS + round((20.0 - LEAD_S) * 1e9)
    # another stream for the monitor: the sample numbers do not go on
    expected = jumped[0].t0_ns - first[0].t0_ns
    assert jumped[0].first_sample / record.fs_hz != pytest.approx(expected / 1e9)
    player.go(SECONDS - 1.0)
    last = play(player, 1.0, 1.0)
    assert chunks(last)[-1].end
    assert not player.playing
    assert player.at_s == player.length_s


def test_an_alarm_comes_and_goes_in_its_time(record: AnnotatedRecord) -> None:
    player = Player([record], ManualClock())
    player.speed = 20.0
    heard = play(player, 1.0, 1.0, 1.0)
    alarms = [message for message in heard if isinstance(message, Alarm)]
    assert {alarm.kind for alarm in alarms} >= {"asystole"}
    one = [alarm for alarm in alarms if alarm.kind == "asystole"]
    assert [alarm.end_ns is None for alarm in one[:2]] == [True, False]


def edit(beat_ns: int, verdict: str, *, at_ns: int | None = None, label: str = "") -> Edit:
    return Edit(
        patient_id="a",
        time_ns=beat_ns + len(verdict),
        id=f"{beat_ns}{verdict}",
        by="Ann",
        target="beat",
        target_id=str(beat_ns),
        at_ns=beat_ns if at_ns is None else at_ns,
        said="" if verdict == "inserted" else "N",
        verdict=verdict,  # type: ignore[arg-type]
        label=label,
    )


def test_beats_are_saved_as_people_left_them(record: AnnotatedRecord, tmp_path: Path) -> None:
    with closing(RecordStores({"a": record.store})) as store:
        beats = list(store.read(Beat, "a"))
        extra_ns = beats[0].time_ns + 300_000_000
        moved_ns = beats[2].time_ns + 100_000_000
        for one in (
            edit(beats[0].time_ns, "relabelled", label="V"),
            edit(beats[1].time_ns, "rejected"),
            edit(beats[2].time_ns, "moved", at_ns=moved_ns, label="N"),
            edit(beats[3].time_ns, "confirmed"),
            edit(extra_ns, "inserted", label="S"),
        ):
            store.add(one)
        store.flush()
        path, n, edits = save(store, "a", record.fs_hz, record.start_ns, tmp_path)
    assert (n, edits) == (len(beats), 5)
    found = wfdb.rdann(str(path.with_suffix("")), "ecw")
    of_beats = [(s, k) for s, k in zip(found.sample, found.symbol, strict=True) if k != "+"]

    def sample(time_ns: int) -> int:
        return round((time_ns - ZERO_NS) / 1e9 * record.fs_hz)

    assert of_beats[:4] == [
        (beats[0].sample, "V"),
        (sample(extra_ns), "S"),
        (sample(moved_ns), "N"),
        (beats[3].sample, beats[3].label),
    ]


def test_the_newest_edit_counts_and_an_inserted_beat_can_be_taken_back() -> None:
    one = edit(10**9, "inserted", label="V")
    assert edited_beats([], [one], 0, 100.0) == [(100, "V")]
    back = edit(10**9, "rejected")
    assert edited_beats([], [one, back], 0, 100.0) == []


def test_a_folder_stands_for_its_records(tmp_path: Path) -> None:
    assert records_of("mitdb/208") == ["mitdb/208"]
    with pytest.raises(BadInputError, match=r"no WFDB record"):
        records_of(str(tmp_path))
    (tmp_path / "b.hea").write_text("")
    (tmp_path / "a.hea").write_text("")
    assert records_of(str(tmp_path)) == [str(tmp_path / "a"), str(tmp_path / "b")]
    (tmp_path / "record.csv").write_text("record,source\n208,mitdb/208\n")
    assert records_of(str(tmp_path)) == ["mitdb/208"]
    (tmp_path / "record.csv").write_text("record,error\n208,\n")
    with pytest.raises(BadInputError, match="does not say where"):
        records_of(str(tmp_path))


def test_the_page_is_told_of_the_record_and_may_play_edit_and_save(
    record: AnnotatedRecord, tmp_path: Path
) -> None:
    from ecgwatch.viewing.app import create_view
    from tests.unit.dashboards.monitor_bench import LIVE, ORIGIN, URL, TestClient

    app = create_view([record], ManualClock(), tmp_path)
    with TestClient(app, base_url=URL) as client:
        with client.websocket_connect(LIVE, headers=ORIGIN) as socket:
            told = socket.receive_json()["record"]
        assert told["end"] - told["start"] == pytest.approx(SECONDS * 1000)
        start = told["start"]
        order = {"at": start + 5000, "speed": 2.0, "playing": False}
        assert client.post("/api/player", json=order).json() == {
            "at": start + 5000,
            "playing": False,
            "speed": 2.0,
        }
        assert client.get("/api/player").json()["playing"] is False
        assert client.post("/api/player", json={"speed": 3}).status_code == 400
        period = {"from": start, "to": start + 10_000}
        references = client.get("/api/references/a", params=period).json()["references"]
        assert len(references) > 5
        assert client.get("/api/references/b", params=period).status_code == 404
        said = {"target": "beat", "target_id": "946684801000000000", "at": start + 1000, "said": ""}
        new = {**said, "verdict": "inserted", "label": "V", "by": "Ann"}
        assert client.post("/api/patients/a/edits", json=new).status_code == 202
        for wrong in ({"label": ""}, {"target": "alarm"}, {"said": "N"}):
            assert client.post("/api/patients/a/edits", json=new | wrong).status_code == 400, wrong
        assert client.post("/api/patients/a/acknowledge", json={"by": "Ann"}).status_code >= 400
        saved = client.post("/api/save/a", json={}).json()
        assert saved["path"] == str(tmp_path / "a.ecw")
        symbols = wfdb.rdann(saved["path"].removesuffix(".ecw"), "ecw")
        at = list(symbols.sample).index(round(record.fs_hz))
        assert symbols.symbol[at] == "V"
