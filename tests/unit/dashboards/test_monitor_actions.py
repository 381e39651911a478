"""Actions, limits and edits: what is sent on, what is refused, and what the pages are told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingest.errors import UnreachableError
from ingest.messages import Action, Edit, LimitChange, Orders, Switch
from ingest.registry.records import PersonRecord
from stream_processor.pipeline.alarms.profiles import LIMITS, PAEDIATRIC, Profiles
from stream_processor.sinks.base import SinkBusyError
from stream_processor.sinks.memory import MemorySink
from tests.unit.dashboards.monitor_bench import (
    NOW,
    Bench,
    S,
    action,
    alarm,
    beat,
    chunk,
    edit,
    ms,
    next_of,
    rhythm,
    running,
    storing,
    vitals,
)

HIGH = alarm(0, "asystole", priority="high", latching=True)
MEDIUM = alarm(1, "hr_high")


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A patient with two alarms."""
    with running() as bench:
        bench.send(chunk("p"), HIGH, MEDIUM)
        yield bench


def refused(answer: Any, status: int, said: str) -> None:
    assert (answer.status_code, set(answer.json())) == (status, {"problem", "remedy"}), answer.text
    assert said in answer.json()["problem"] + answer.json()["remedy"]


# What is sent


def test_an_acknowledgement_goes_to_the_processor_and_changes_nothing_here(bench: Bench) -> None:
    answer = bench.post(
        "actions", action="acknowledge", alarm=HIGH.id, by=" Anna ", note="seen at the bed"
    )
    assert answer.status_code == 202
    (sent,) = bench.sent
    assert answer.json() == {"id": sent.id}
    assert sent == Action(
        patient_id="p",
        time_ns=NOW,
        id=sent.id,
        by="Anna",
        action="acknowledge",
        alarm_id=HIGH.id,
        note="seen at the bed",
    )
    with bench.page("p") as socket:
        assert all(a["acknowledged"] is None for a in next_of(socket, "patient")["alarms"])
        bench.send(
            msgspec.structs.replace(
                HIGH, step="acknowledged", acknowledged_ns=NOW, acknowledged_by="Anna"
            )
        )
        (told,) = next_of(socket, "events")["events"]
        assert (
            told["alarm"]["acknowledged_by"],
            told["alarm"]["standing"],
            told["alarm"]["step"],
        ) == ("Anna", True, "acknowledged")


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"action": "acknowledge"}, {}),
        ({"action": "silence", "seconds": 120}, {"seconds": 120.0}),
        (
            {"action": "silence", "seconds": 86400, "kind": "hr_high"},
            {"seconds": 86400.0, "kind": "hr_high"},
        ),
        ({"action": "resume"}, {}),
        ({"action": "resume", "kind": "hr_high"}, {"kind": "hr_high"}),
        ({"action": "escalate", "alarm": HIGH.id}, {"alarm_id": HIGH.id}),
        (
            {"action": "limits", "limits": {"hr_high_bpm": 130, "hr_low_bpm": None}},
            {"limits": {"hr_high_bpm": 130.0, "hr_low_bpm": None}},
        ),
    ],
)
def test_every_action(bench: Bench, body: dict[str, Any], sent: dict[str, Any]) -> None:
    assert bench.post("actions", by="Anna", **body).status_code == 202
    assert bench.sent == [
        Action(
            patient_id="p",
            time_ns=NOW,
            id=bench.sent[0].id,
            by="Anna",
            action=body["action"],
            **sent,
        )
    ]


def test_ids_are_never_the_same(bench: Bench) -> None:
    for _ in range(20):
        bench.post("actions", action="acknowledge", by="Anna")
    assert len({sent.id for sent in bench.sent}) == 20


# What is refused


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "action"),
        ({"action": "dance", "by": "A"}, 400, "dance"),
        ({"action": "acknowledge"}, 400, "by"),
        ({"action": "acknowledge", "by": ""}, 400, "by must say"),
        ({"action": "acknowledge", "by": "  "}, 400, "by must say"),
        ({"action": "acknowledge", "by": "x" * 65}, 400, "64"),
        ({"action": "acknowledge", "by": "a\nb"}, 400, "by must say"),
        ({"action": "acknowledge", "by": 3}, 400, "by"),
        ({"action": "acknowledge", "by": "A", "note": "x" * 501}, 400, "note"),
        ({"action": "acknowledge", "by": "A", "more": 1}, 400, "more"),
        ({"action": "acknowledge", "by": "A", "alarm": "p:pause:5"}, 404, "no alarm"),
        ({"action": "acknowledge", "by": "A", "alarm": "nonsense"}, 404, "no alarm"),
        ({"action": "acknowledge", "by": "A", "seconds": 5}, 400, "takes no seconds"),
        (
            {"action": "acknowledge", "by": "A", "limits": {"hr_high_bpm": 100}},
            400,
            "takes no limits",
        ),
        ({"action": "silence", "by": "A"}, 400, "seconds"),
        ({"action": "silence", "by": "A", "seconds": 0.5}, 400, "seconds"),
        ({"action": "silence", "by": "A", "seconds": 86401}, 400, "24 h"),
        ({"action": "silence", "by": "A", "seconds": 60, "alarm": HIGH.id}, 400, "takes no alarm"),
        ({"action": "silence", "by": "A", "seconds": 60, "kind": "asystole"}, 400, "break through"),
        ({"action": "silence", "by": "A", "seconds": 60, "kind": "hunger"}, 400, "hunger"),
        ({"action": "resume", "by": "A", "kind": "asystole"}, 400, "break through"),
        ({"action": "resume", "by": "A", "seconds": 60}, 400, "takes no seconds"),
        ({"action": "escalate", "by": "A"}, 400, "must name an alarm"),
        ({"action": "escalate", "by": "A", "alarm": "p:pause:5"}, 404, "no alarm"),
        ({"action": "limits", "by": "A"}, 400, "at least one"),
        ({"action": "limits", "by": "A", "limits": {"hr_hihg_bpm": 130}}, 400, "hr_hihg_bpm"),
        (
            {"action": "limits", "by": "A", "limits": {"hr_high_bpm": 1000}},
            400,
            "outside 60 to 280",
        ),
        ({"action": "limits", "by": "A", "limits": {"hr_high_bpm": "130"}}, 400, "limits"),
        (
            {"action": "limits", "by": "A", "limits": {"hr_high_bpm": 70, "hr_low_bpm": 90}},
            400,
            "below",
        ),
        ({"action": "limits", "by": "A", "limits": {"vt_beats": 4.5}}, 400, "vt_beats"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_sent(
    bench: Bench, body: dict[str, Any], status: int, said: str
) -> None:
    refused(bench.post("actions", **body), status, said)
    assert bench.sent == []


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b'{"action": "acknowledge", "by": "A"}', "text/plain"),
        (b'{"action": "acknowledge", "by": "A"}', ""),
        (b'{"note": "' + b"x" * 20_000 + b'"}', "application/json"),
        (b"[" * 10_000, "application/json"),
    ],
)
@pytest.mark.parametrize("path", ["patients/p/actions", "patients/p/edits", "session"])
def test_bodies_that_are_none(bench: Bench, path: str, content: bytes, kind: str) -> None:
    refused(
        bench.client.post(f"/api/{path}", content=content, headers={"content-type": kind}),
        400,
        "body",
    )


def test_what_somebody_else_has_done_already_is_told(bench: Bench) -> None:
    bench.send(
        msgspec.structs.replace(
            HIGH, step="acknowledged", acknowledged_ns=NOW, acknowledged_by="Bert"
        )
    )
    refused(
        bench.post("actions", action="acknowledge", by="Anna", alarm=HIGH.id),
        409,
        "Bert has acknowledged it",
    )
    bench.send(msgspec.structs.replace(MEDIUM, step="end", end_ns=NOW + 5 * S))
    refused(
        bench.post("actions", action="acknowledge", by="Anna", alarm=MEDIUM.id),
        409,
        "does not stand",
    )


def test_an_unknown_patient_is_no_place_for_actions(bench: Bench) -> None:
    for body in (
        {"action": "acknowledge"},
        {"action": "silence", "seconds": 60},
        {"action": "limits", "limits": {"hr_high_bpm": 130}},
    ):
        refused(
            bench.client.post("/api/patients/q/actions", json=body | {"by": "Anna"}),
            404,
            "nothing is known of a patient 'q'",
        )


def test_patients_and_alarms_that_only_the_store_knows(tmp_path: Path) -> None:
    with storing(tmp_path, vitals(0), HIGH) as bench:
        assert (
            bench.post("actions", action="acknowledge", alarm=HIGH.id, by="Anna").status_code == 202
        )
        assert bench.post("actions", action="silence", seconds=60, by="Anna").status_code == 202
        assert [sent.action for sent in bench.sent] == ["acknowledge", "silence"]


def test_a_broker_that_is_away_is_said_with_the_remedy() -> None:
    def away(_: Action | Edit) -> None:
        raise UnreachableError("Kafka broker x does not answer", "Start it.")

    with running(send=away) as bench:
        bench.send(chunk("p"))
        refused(bench.post("actions", action="acknowledge", by="Anna"), 503, "does not answer")


def test_live_alarms_can_be_acknowledged_while_the_store_is_away() -> None:
    def away() -> MemorySink:
        raise SinkBusyError("gone")

    with running(away) as bench:
        bench.send(chunk("p"), HIGH)
        assert (
            bench.post("actions", action="acknowledge", alarm=HIGH.id, by="Anna").status_code == 202
        )
        refused(
            bench.post("actions", action="acknowledge", alarm=MEDIUM.id, by="Anna"), 503, "gone"
        )


# What the pages see


def orders(**told: Any) -> Orders:
    """What the processor says that holds."""
    values = {name: float(getattr(PAEDIATRIC, name)) for name in LIMITS}
    return Orders(patient_id="p", **{"limits": values, "defaults": values, **told})


def test_pages_see_who_did_what_once_and_what_the_processor_says_is_silenced(bench: Bench) -> None:
    with bench.page("p") as socket:
        done = action("silence", kind="hr_high", seconds=60.0)
        bench.send(done, done)
        (told,) = next_of(socket, "events")["events"]
        assert (told["action"]["by"], told["action"]["kind"]) == ("Anna", "hr_high")
        assert "silenced" not in told, "an order is not yet what holds"
        bench.send(orders(silenced={"hr_high": 60.0, "": 600.0}))
        (told,) = next_of(socket, "events")["events"]
        assert told["silenced"] == [
            {"kind": "hr_high", "until": ms(60)},
            {"kind": "", "until": ms(600)},
        ]
    bench.clock.advance(61)
    with bench.page("p") as socket:  # seconds have passed: no other clock has a say
        assert next_of(socket, "patient")["silenced"][1] == {"kind": "", "until": ms(600)}
        bench.send(Orders(patient_id="p"))
        assert next_of(socket, "events")["events"][0]["silenced"] == []


def test_actions_come_from_the_store_and_from_the_topic(tmp_path: Path) -> None:
    with storing(
        tmp_path, action("silence", -3600, seconds=7200.0), action("acknowledge", 0)
    ) as bench:
        bench.send(chunk("p"), action("acknowledge", 0), action("resume", 10))
        found = bench.get("actions", from_=ms(-7200), to=ms(60)).json()["actions"]
        assert [(a["action"], a["t"]) for a in found] == [
            ("silence", ms(-3600)),
            ("acknowledge", ms(0)),
            ("resume", ms(10)),
        ]
        with bench.page("p") as socket:
            while not (state := next_of(socket, "patient"))["history_loaded"]:
                pass
            assert state["silenced"] == []


def test_people_alone_make_no_patient(bench: Bench) -> None:
    bench.send(msgspec.structs.replace(action("acknowledge"), patient_id="ghost"), edit(beat(0)))
    assert [p["id"] for p in bench.client.get("/api/patients").json()["patients"]] == ["p"]


# Limits


def fields(bench: Bench) -> dict[str, Any]:
    return {field["name"]: field for field in bench.get("limits").json()["fields"]}


def test_limits_are_the_profiles_until_the_processor_says_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text('[groups.children]\npatients = ["p"]\nprofile = "paediatric"\n')
    with storing(tmp_path, beat(0), profiles=Profiles.load(file)) as bench:
        found = fields(bench)
        assert sorted(found) == sorted(LIMITS)  # each in one group
        assert next(iter(found)) == "hr_high_bpm"
        assert found["hr_high_bpm"]["value"] == PAEDIATRIC.hr_high_bpm
        # an action alone changes nothing: the life cycle decides
        bench.send(chunk("p"), action("limits", 1, limits={"hr_high_bpm": 180.0}))
        assert fields(bench)["hr_high_bpm"]["value"] == PAEDIATRIC.hr_high_bpm
        told = orders(changed={"hr_high_bpm": LimitChange(180.0, NOW - 100 * S, "Anna")})
        bench.send(msgspec.structs.replace(told, limits={**told.limits, "hr_high_bpm": 180.0}))
        assert fields(bench)["hr_high_bpm"] == {
            "name": "hr_high_bpm",
            "group": "Heart rate",
            "above": ["hr_low_bpm"],
            "below": ["extreme_tachycardia_bpm"],
            "label": "Heart rate high",
            "unit": "/min",
            "low": 60,
            "high": 280,
            "value": 180.0,
            "default": PAEDIATRIC.hr_high_bpm,
            "changed": ms(-100),
            "by": "Anna",
        }


def test_every_alarm_says_whether_it_is_on_and_who_switched_it(bench: Bench) -> None:
    bench.send(
        orders(off=("hr_low",), default_off=(), switched={"hr_low": Switch(False, NOW, "Anna")})
    )
    told = bench.get("limits").json()["alarms"]
    (low,) = [alarm for alarm in told if alarm["kind"] == "hr_low"]
    assert low == {
        "kind": "hr_low",
        "group": "Heart rate",
        "name": "HR low",
        "priority": "medium",
        "on": False,
        "default": True,
        "always": False,
        "changed": ms(0),
        "by": "Anna",
    }
    assert [alarm["kind"] for alarm in told if alarm["always"]] == [
        "asystole",
        "ventricular_fibrillation",
        "ventricular_tachycardia",
        "no_signal",
    ]


def test_the_profile_that_holds_is_named_with_the_others_and_what_it_leaves_off(
    tmp_path: Path,
) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text('[profiles.athlete]\nhr_low_bpm = 45\noff = ["missed_beat"]\n')
    profiles = Profiles.load(file)
    with storing(tmp_path, beat(0), profiles=profiles, admitted=True) as bench:
        bench.send(orders(profile="athlete"))
        told = bench.get("limits").json()
        assert (told["profile"], told["file_profile"]) == ("athlete", "adult")
        assert told["profiles"] == ["adult", "paediatric", "athlete"]
        assert told["admitted"] is False
        assert [a["kind"] for a in told["alarms"] if not a["on"]] == ["missed_beat"]
        other = bench.client.get("/api/patients/somebody/limits").json()
        assert (other["admitted"], other["profile"]) == (True, "")
        assert all(alarm["on"] for alarm in other["alarms"])
        said = bench.client.post(
            "/api/people",
            json={"step": "edit", "patient": "somebody", "profile": "athlete", "by": "Anna"},
        )
        assert said.status_code == 202
        sent: list[Any] = list(bench.sent)
        (edited,) = [m for m in sent if isinstance(m, PersonRecord)]
        assert (edited.profile, edited.name) == ("athlete", "Some B.")  # the name stays


def test_limits_that_hold_bound_the_next(bench: Bench) -> None:
    bench.send(orders(changed={"hr_low_bpm": LimitChange(90.0, NOW, "Anna")}))
    refused(
        bench.post("actions", action="limits", limits={"hr_high_bpm": 85}, by="Anna"),
        400,
        "hr_low_bpm (90) must be below",
    )


# Edits


def body(**fields: Any) -> dict[str, Any]:
    base = {
        "target": "beat",
        "target_id": str(NOW),
        "at": ms(0),
        "said": "N",
        "verdict": "relabelled",
        "label": "V",
        "by": "Anna",
    }
    return base | fields


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"verdict": "confirmed", "label": ""},
        {
            "target": "alarm",
            "target_id": MEDIUM.id,
            "said": "hr_high",
            "verdict": "rejected",
            "label": "",
            "note": "artefact",
        },
        {"target": "rhythm", "said": "N", "label": "AFIB"},
    ],
)
@pytest.mark.parametrize("live", [True, False])
def test_every_edit(tmp_path: Path, live: bool, given: dict[str, Any]) -> None:
    events = [beat(0), rhythm(0, 60), MEDIUM]
    with running() if live else storing(tmp_path, *events) as bench:
        if live:
            bench.send(*events)
        answer = bench.post("edits", **body(**given))
        assert answer.status_code == 202, answer.text
        (sent,) = bench.sent
    wanted = body(**given)
    assert isinstance(sent, Edit)
    assert (sent.target, sent.target_id, sent.at_ns, sent.said) == (
        wanted["target"],
        wanted["target_id"],
        NOW,
        wanted["said"],
    )
    assert (sent.verdict, sent.label, sent.note, sent.by) == (
        wanted["verdict"],
        wanted["label"],
        wanted.get("note", ""),
        "Anna",
    )


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({"label": ""}, 400, "label must be one of S, V, F, Q"),
        ({"label": "N"}, 400, "label"),
        ({"label": "AFIB"}, 400, "label"),
        ({"verdict": "confirmed"}, 400, "takes no label"),
        ({"verdict": "maybe"}, 400, "maybe"),
        ({"target": "soul"}, 400, "soul"),
        ({"target_id": "5"}, 404, "no beat"),
        ({"target_id": "x"}, 404, "no beat"),
        ({"target_id": "9" * 40}, 404, "no beat"),
        (
            {"target": "alarm", "target_id": "p:vt:1", "verdict": "confirmed", "label": ""},
            404,
            "no alarm",
        ),
        ({"said": "S"}, 409, "the model says 'N' here"),
        ({"at": -1}, 400, "at must be"),
        ({"at": 1e300}, 400, "at must be"),
        ({"by": ""}, 400, "by must"),
        ({"note": "x" * 501}, 400, "note"),
        ({"extra": 1}, 400, "extra"),
    ],
)
def test_an_edit_that_is_none_is_refused(
    bench: Bench, given: dict[str, Any], status: int, said: str
) -> None:
    bench.send(beat(0))
    refused(bench.post("edits", **body(**given)), status, said)
    assert bench.sent == []


def test_edits_are_listed_exported_and_told_to_pages(tmp_path: Path) -> None:
    first = edit(beat(1), "relabelled", 10, label="V", note='=cmd|"x"')
    other = msgspec.structs.replace(
        edit(beat(2), at_s=20), patient_id="q", note="line\nbreak, comma"
    )
    with storing(tmp_path, beat(1), first, other) as bench:
        found = bench.get("edits", from_=ms(0), to=ms(60)).json()["edits"]
        assert [(e["said"], e["label"], e["t"], e["at"]) for e in found] == [
            ("N", "V", ms(10), ms(1))
        ]
        answer = bench.client.get("/api/edits.csv", params={"from": ms(0), "to": ms(60)})
        assert answer.headers["content-type"].startswith("text/csv")
        assert answer.text.splitlines()[0].startswith("patient_id,time_ns,id,by,target")
        assert "'=cmd" in answer.text
        assert '"line\nbreak, comma"' in answer.text
        bench.send(chunk("p"))
        with bench.page("p") as socket:
            bench.send(edit(beat(3), at_s=30))
            assert next_of(socket, "events")["events"][0]["edit"]["at"] == ms(3)
