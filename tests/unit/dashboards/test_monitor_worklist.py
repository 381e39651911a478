"""The alarms of the whole ward: which are listed, what reviewers said of them, and the table for the
hand-over."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dashboards.monitor.store.worklist import COLUMNS, row, state_of
from ingest.messages import Edit
from stream_processor.sinks.base import SinkBusyError
from stream_processor.sinks.memory import MemorySink
from tests.unit.dashboards.monitor_bench import NOW, Bench, S, alarm, chunk, running, storing

DAY_S = 24 * 3600.0


def review(of_id: str, verdict: str, at_s: float, label: str = "", patient: str = "p") -> Edit:
    return Edit(
        patient_id=patient,
        time_ns=NOW + round(at_s * S),
        id=f"e{at_s}",
        by="Anna",
        target="alarm",
        target_id=of_id,
        at_ns=NOW,
        said="pause",
        verdict=verdict,
        label=label,
    )


def listed(bench: Bench, **query: Any) -> list[dict[str, Any]]:
    answer = bench.client.get("/api/alarms", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["alarms"]


def test_stored_alarms_of_all_patients_newest_first_with_their_newest_review(
    tmp_path: Path,
) -> None:
    of_p, of_q = alarm(-60), alarm(-30, "hr_high", patient_id="q", id="q:hr_high:1")
    stored = [
        of_p,
        of_q,
        alarm(-50, announced=False),
        alarm(-25 * 3600, "asystole"),  # before the day that is asked for
        review(of_p.id, "confirmed", -20),
        review(of_p.id, "relabelled", -10, "asystole"),
    ]
    with storing(tmp_path, *stored) as bench:
        found = listed(bench)
        assert [(a["patient"], a["kind"], a["verdict"], a["reviewed_by"]) for a in found] == [
            ("q", "hr_high", "", ""),
            ("p", "pause", "relabelled", "Anna"),
        ]
        assert [a["kind"] for a in listed(bench, hours=48)] == ["hr_high", "pause", "asystole"]


def test_what_the_live_link_knows_is_newer_than_the_store(tmp_path: Path) -> None:
    raised = alarm(-60)
    with storing(tmp_path, raised, review(raised.id, "confirmed", -5)) as bench:
        bench.send(
            chunk("p"),
            msgspec.structs.replace(
                raised,
                step="acknowledged",
                changed_ns=NOW,
                acknowledged_ns=NOW,
                acknowledged_by="Grace",
            ),
            alarm(-3 * DAY_S, "asystole", priority="high", latching=True),
        )
        found = {a["kind"]: a for a in listed(bench)}
    assert (found["pause"]["acknowledged_by"], found["pause"]["verdict"]) == ("Grace", "confirmed")
    assert found["asystole"]["standing"]  # it began days ago, and still waits for somebody


def test_a_store_that_is_away_hides_no_alarm_that_is_live() -> None:
    class Away(MemorySink):
        def patients(self) -> list[str]:
            raise SinkBusyError("away")

    with running(Away) as bench:
        assert bench.client.get("/api/alarms").status_code == 503  # nothing known is not "no alarm"
        bench.send(chunk("p"), alarm(-10))
        assert [a["kind"] for a in listed(bench)] == ["pause"]


def test_the_table_names_every_column_and_starts_no_formula(tmp_path: Path) -> None:
    with storing(tmp_path, alarm(-60, text="=cmd()", end_ns=NOW)) as bench:
        answer = bench.client.get("/api/alarms.csv")
    assert "alarms.csv" in answer.headers["content-disposition"]
    (line,) = csv.DictReader(io.StringIO(answer.text))
    assert set(line) == set(COLUMNS)
    assert (line["alarm"], line["state"], line["patient"]) == ("'=cmd()", "over", "p")
    assert line["onset"].endswith("+00:00")


@pytest.mark.parametrize("hours", ["0", "169", "x", "-1"])
def test_hours_out_of_bounds(hours: str) -> None:
    with running() as bench:
        assert bench.client.get("/api/alarms", params={"hours": hours}).status_code == 400


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "holds"),
        ({"acknowledged_ns": NOW}, "acknowledged"),
        ({"end_ns": NOW}, "over"),
        ({"end_ns": NOW, "latching": True}, "not acknowledged"),
        ({"end_ns": NOW, "latching": True, "acknowledged_ns": NOW}, "over"),
    ],
)
def test_the_state_in_words(fields: dict[str, Any], state: str) -> None:
    assert state_of(row("p", alarm(**fields), None)) == state


def test_pinned_patients_come_first_or_alone() -> None:
    with running() as bench:
        bench.send(*(chunk(name) for name in ("a", "b", "c")))

        def names(**query: Any) -> list[str]:
            answer = bench.client.get("/api/patients", params=query)
            return [patient["id"] for patient in answer.json()["patients"]]

        assert names(pinned=["c", "nobody"]) == ["c", "a", "b"]
        assert names(pinned=["c", "b"], only="pinned") == ["b", "c"]
        assert names(only="pinned") == []
        assert bench.client.get("/api/patients", params={"only": "some"}).status_code == 400
