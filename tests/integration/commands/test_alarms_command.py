"""`ecgwatch alarms` as a person uses it, against real brokers and an SQLite store."""

from __future__ import annotations

import getpass
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ecgwatch.alarming import reconciling
from ingest import operator
from ingest.broker import create_topics
from ingest.clock import SystemClock
from ingest.embedded import EmbeddedBroker
from ingest.errors import BadInputError, UnreachableError
from ingest.messages import (
    Action,
    Alarm,
    Delivery,
    Edit,
    LimitChange,
    Orders,
    SampleChunk,
    decode,
    encode,
)
from ingest.operator import OperatorOutlet
from ingest.producer import Producer
from ingest.topics import ACKS, ALARMS, EDITS, NOTIFICATIONS, ORDERS, SAMPLES
from stream_processor.pipeline.alarms.profiles import BUILT_IN, LIMITS
from stream_processor.sinks.sqlite import SqliteSink
from tests.fakes import chunk
from tests.integration.processor.test_process import messages

CLOCK = SystemClock()


def alarm(patient: str = "Bed 1", *, ago_s: float = 60.0, **changes: Any) -> Alarm:
    onset_ns = CLOCK.now_ns() - round(ago_s * 1e9)
    kind = changes.pop("kind", "asystole")
    fields: dict[str, Any] = {
        "device_id": "d",
        "lead": "II",
        "fs_hz": 250.0,
        "id": f"{patient}:{kind}:{onset_ns}",
        "kind": kind,
        "priority": "high",
        "step": "onset",
        "changed_ns": onset_ns,
        "onset_ns": onset_ns,
        "raised_ns": onset_ns,
        "onset_sample": 0,
        "raised_sample": 0,
        "latching": True,
        "text": "ASYSTOLE 6 s",
    }
    return Alarm(patient_id=patient, **fields | changes)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def keep(folder):
    """Put events into the store of the working folder."""

    def _keep(*events: Any) -> None:
        (folder / "var").mkdir(exist_ok=True)
        sink = SqliteSink(folder / "var/ecgwatch.db")
        for event in events:
            sink.add(event)
        sink.flush()
        sink.close()

    return _keep


def run(*arguments: str, code: int = 0) -> str:
    """What the command prints, warnings included; errors a person can mend are raised."""
    result = CliRunner().invoke(app, ["alarms", *arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def sent(address: str, topic: str, kind: Any) -> list[tuple[int, Any]]:
    """Every message of the topic with its partition."""
    return [
        (message.partition(), decode(message.value(), kind)) for message in messages(address, topic)
    ]


def test_an_action_goes_where_the_patients_samples_are(broker):
    """kafka-python sends the samples and librdkafka the actions: both must put a patient into the
    same partition."""
    patients = ["p", "Bed 1", "Zimmer 7 · Müller", "病床", *(f"patient-{i}" for i in range(60))]
    create_topics(broker.address)
    with Producer(broker.address, CLOCK) as producer:
        for patient in patients:
            producer.send(chunk(patient, 0))
    event_producer = OperatorOutlet(broker.address)
    for patient in patients:
        event_producer.send(
            Action(patient_id=patient, time_ns=1, id="a", by="Ann", action="resume")
        )
        event_producer.send(
            Edit(
                patient_id=patient,
                id="e",
                target="beat",
                target_id="1",
                said="N",
                verdict="confirmed",
                by="Ann",
                time_ns=1,
                at_ns=1,
            )
        )
    places = [
        {m.patient_id: p for p, m in sent(broker.address, topic.name, kind)}
        for topic, kind in _KINDS
    ]
    assert len(places[0]) == len(patients)
    assert places[0] == places[1] == places[2]
    assert len(set(places[0].values())) > 1


_KINDS = ((SAMPLES, SampleChunk), (ACKS, Action), (EDITS, Edit))


@pytest.mark.parametrize("alive", [False, True])
def test_a_broker_that_is_gone_is_said(alive, monkeypatch):
    monkeypatch.setattr(operator, "TIMEOUT_S", 2.0)
    message = Action(patient_id="p", time_ns=1, id="a", by="Ann", action="resume")
    with EmbeddedBroker() as broker:
        event_producer = OperatorOutlet(broker.address)
        if alive:
            event_producer.send(message)
    for _ in range(2 if alive else 1):
        with pytest.raises(UnreachableError, match="does not answer"):
            event_producer.send(message)


def test_list(keep):
    over = alarm(
        "Bed 2",
        ago_s=3600,
        kind="hr_high",
        priority="medium",
        latching=False,
        text="HR 134 > 120",
        end_ns=CLOCK.now_ns(),
    )
    old = alarm("Bed 1", ago_s=50 * 3600, level=3)
    silenced = alarm(
        "Bed 3",
        kind="pause",
        priority="medium",
        latching=False,
        text="PAUSE 3 s",
        silenced_until_ns=CLOCK.now_ns() + 10**12,
    )
    keep(
        over,
        old,
        silenced,
        alarm("Bed 1", announced=False),
        alarm("Bed 4", end_ns=CLOCK.now_ns(), acknowledged_ns=1, acknowledged_by="Ann"),
    )
    lines = run("list").splitlines()
    assert len(lines) == 4
    assert "Bed 2  **  HR 134 > 120  over  " in lines[0]
    assert lines[0].rstrip().endswith(over.id)
    assert any("Bed 1  *** ASYSTOLE 6 s  not announced" in line for line in lines)
    assert any("Bed 4  *** ASYSTOLE 6 s  over, acknowledged by Ann" in line for line in lines)
    standing = run("list", "--standing").splitlines()
    assert len(standing) == 2
    assert "holds, called 4 times" in standing[0]
    assert "Bed 3  **  PAUSE 3 s  holds, silenced until" in standing[1]
    assert len(run("list", "Bed 1", "--hours", "100").splitlines()) == 2
    assert run("list", "Bed 2", "--hours", "0.5") == "no alarm is stored of the last 0.5 h\n"
    assert "knows no patient 'Bed 9'" in run("list", "Bed 9")


def test_no_store_yet(folder):
    with pytest.raises(BadInputError, match=r"ecgwatch\.db is not there"):
        run("list")
    assert not (folder / "var").exists()


@pytest.fixture
def sending(broker, folder, monkeypatch) -> str:
    monkeypatch.setenv("ECGWATCH_BROKER", broker.address)
    return broker.address


def actions(address: str) -> list[Action]:
    return [message for _, message in sent(address, ACKS.name, Action)]


def test_acknowledge_by_id_by_kind_and_all(sending, keep):
    first, second, done = (
        alarm(ago_s=60),
        alarm(ago_s=30),
        alarm(ago_s=20, kind="pause", acknowledged_ns=1),
    )
    keep(first, second, done)
    run("ack", "Bed 1", first.id, "--by", "Ann", "--note", "on the way")
    run("ack", "Bed 1", "asystole", "--by", "Ann")
    run("ack", "Bed 1", "--all")
    found = sorted(actions(sending), key=lambda a: a.time_ns)
    assert [a.alarm_id for a in found] == [first.id, second.id, ""]
    assert {a.action for a in found} == {"acknowledge"}
    assert [(a.by, a.note) for a in found] == [
        ("Ann", "on the way"),
        ("Ann", ""),
        (getpass.getuser(), ""),
    ]
    assert len({a.id for a in found}) == 3
    for kind, problem in (("pause", "No pause of 'Bed 1'"), ("asystol", "kind of alarm 'asystol'")):
        said = run("ack", "Bed 1", kind, code=2)
        assert problem in said
        assert "What stands: asystole." in said
    with pytest.raises(BadInputError, match="which alarm") as caught:
        run("ack", "Bed 1")
    assert first.id in caught.value.remedy
    assert "has no alarm 'Bed 1:vf:1'" in run("ack", "Bed 1", "Bed 1:vf:1")
    assert "knows no patient 'Bed 9'" in run("ack", "Bed 9", "--all")


def test_escalate_by_kind_and_by_id(sending, keep):
    stands = alarm(ago_s=60)
    keep(stands)
    assert "escalation of " in run(
        "escalate", "Bed 1", "asystole", "--by", "Ann", "--note", "no answer"
    )
    run("escalate", "Bed 1", stands.id)
    found = sorted(actions(sending), key=lambda a: a.time_ns)
    assert [(a.action, a.alarm_id) for a in found] == [("escalate", stands.id)] * 2
    assert (found[0].by, found[0].note) == ("Ann", "no answer")
    assert "What stands: asystole." in run("escalate", "Bed 1", "pause", code=2)


def test_silence_and_resume(sending, keep):
    keep(alarm())
    run("silence", "Bed 1", "--for", "10m", "--by", "Ann")
    run("silence", "Bed 1", "--for", "90s", "--kind", "hr_high", "--by", "Ann")
    run("resume", "Bed 1", "--by", "Ann")
    found = sorted(actions(sending), key=lambda a: a.time_ns)
    assert [(a.action, a.kind, a.seconds) for a in found] == [
        ("silence", "", 600.0),
        ("silence", "hr_high", 90.0),
        ("resume", "", None),
    ]
    with pytest.raises(
        BadInputError, match="asystole is of high priority and cannot be silenced"
    ) as caught:
        run("silence", "Bed 1", "--for", "10m", "--kind", "asystole")
    assert "ecgwatch alarms ack 'Bed 1' asystole" in caught.value.remedy
    for wrong in ("10", "25h", "0s", "m", "-5m", "1d"):
        with pytest.raises(BadInputError, match=f"--for {wrong}"):
            run("silence", "Bed 1", f"--for={wrong}")
    with pytest.raises(BadInputError, match="'flutter'"):
        run("silence", "Bed 1", "--for", "10m", "--kind", "flutter")
    with pytest.raises(BadInputError, match="nobody is named"):
        run("resume", "Bed 1", "--by", " ")
    assert len(actions(sending)) == 3


def report_orders(address: str, orders: Orders) -> None:
    """In the processor's place: the orders in force."""
    create_topics(address)
    producer = confluent_kafka.Producer({"bootstrap.servers": address})
    producer.produce(ORDERS.name, encode(orders), key=orders.patient_id)
    assert producer.flush(10) == 0


def test_limits_are_shown_set_and_taken_back(sending, keep, folder, monkeypatch):
    profiles = folder / "profiles.toml"
    profiles.write_text('[groups.icu]\npatients = ["Bed *"]\nprofile = "paediatric"\n')
    monkeypatch.setenv("ECGWATCH_PROFILES", str(profiles))
    stored = Action(
        patient_id="Bed 1",
        time_ns=10**18,
        id="a",
        by="Ann",
        action="limits",
        limits={"hr_high_bpm": 150.0},
    )
    keep(alarm(), stored)
    profile = BUILT_IN["paediatric"]
    defaults = {name: float(getattr(profile, name)) for name in LIMITS}
    change = LimitChange(150.0, stored.time_ns, stored.by)
    report_orders(
        sending,
        Orders(
            patient_id="Bed 1",
            limits=defaults | {"hr_high_bpm": 150.0},
            defaults=defaults,
            changed={"hr_high_bpm": change},
        ),
    )
    lines = {line.split()[0]: line for line in run("profile", "Bed 1").splitlines()}
    assert "150  60 to 280 /min" in lines["hr_high_bpm"]
    assert "Ann, 2001-09-09T01:46:40.000Z" in lines["hr_high_bpm"]
    assert "75" in lines["hr_low_bpm"]
    assert "profile paediatric" in lines["hr_low_bpm"]
    assert "10 %  2 to 50 %" in lines["battery"]
    assert "No alarm is switched off." in run("profile", "Bed 1")
    assert "profile adult" in run("profile", "someone")
    run(
        "profile",
        "Bed 1",
        "--set",
        "hr_low_bpm=60",
        "--set",
        "vt_beats=4",
        "--unset",
        "hr_high_bpm",
        "--by",
        "Bob",
    )
    (action,) = actions(sending)
    assert (action.action, action.by, action.limits) == (
        "limits",
        "Bob",
        {"hr_high_bpm": None, "hr_low_bpm": 60.0, "vt_beats": 4.0},
    )
    for arguments, problem in (
        (["Bed 1", "--set", "hr_high_bpm=70"], "must be below hr_high_bpm"),
        (["Bed 1", "--set", "hr_low_bpm=1"], "outside 20 to 150"),
        (["Bed 1", "--set", "hr=1"], "unknown limit 'hr'"),
        (["Bed 1", "--unset", "hr"], "unknown limit 'hr'"),
        (["Bed 1", "--set", "hr_low_bpm"], "--set hr_low_bpm"),
        (["--set", "hr_low_bpm=60"], "whose limits"),
    ):
        with pytest.raises(BadInputError, match=problem):
            run("profile", *arguments)
    for arguments, problem in (
        (["Bed 1", "--off", "asystole"], "asystole cannot be switched off"),
        (["Bed 1", "--off", "no_signal"], "no_signal cannot be switched off"),
        (["Bed 1", "--off", "hr_lo"], "of the kind 'hr_lo'"),
        (["Bed 1", "--off", "store_away"], "of the kind 'store_away'"),
    ):
        with pytest.raises(BadInputError, match=problem):
            run("profile", *arguments)
    assert len(actions(sending)) == 1
    said = run("profile", "Bed 1", "--off", "hr_low", "--on", "svt", "--unset", "battery")
    assert "hr_low off" in said
    action = actions(sending)[-1]
    assert action.switches == {"hr_low": False, "svt": True, "battery": None}
    assert action.limits == {"battery": None}
    run("profile", "Bed 1", "--set", "battery=25%")
    assert actions(sending)[-1].limits == {"battery": 0.25}
    assert "can be used" in run("profile", "--check", str(profiles))
    profiles.write_text("[profile.x]\n")
    with pytest.raises(BadInputError, match="profile"):
        run("profile", "--check", str(profiles))


def raise_alarms(address: str, *messages: Alarm | Delivery) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": address, "partitioner": "murmur2_random", "log_level": 0}
    )
    for one in messages:
        producer.produce(
            (ALARMS if isinstance(one, Alarm) else NOTIFICATIONS).name,
            encode(one),
            one.patient_id.encode(),
        )
    assert producer.flush(60) == 0


def hear_ctrl_c() -> None:
    """A shell that starts the tests in the background has them, and what they start, ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_tail_shows_each_step(broker, folder):
    create_topics(broker.address)
    raise_alarms(broker.address, alarm("before"))
    command = [
        sys.executable,
        "-P",
        "-m",
        "ecgwatch",
        "alarms",
        "tail",
        "Bed 1",
        "--broker",
        broker.address,
    ]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        preexec_fn=hear_ctrl_c,
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stdout is not None
            assert process.stderr.readline().startswith("following the alarms of Bed 1 on ")
            one = alarm()
            steps = [
                alarm(step="escalated", level=1),
                alarm(step="acknowledged", acknowledged_by="Ann"),
            ]
            raise_alarms(broker.address, alarm("Bed 2"), one, *steps)
            lines = [process.stdout.readline() for _ in range(3)]
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
    assert "Bed 1  *** ASYSTOLE 6 s  onset" in lines[0]
    assert one.id in lines[0]
    assert "re-alarm (2)" in lines[1]
    assert "acknowledged by Ann" in lines[2]


def test_reconcile(sending, keep, folder, monkeypatch):
    create_topics(sending)
    alarms = [alarm(f"Bed {i}", ago_s=10 + i) for i in range(5)]
    raise_alarms(sending, *alarms)
    keep(*alarms)
    text = run("reconcile")
    assert (
        "detected: 5 alarms, of these announced: 5\nstored: 5 alarms\nnotified: nobody is to be"
        in text
    )
    (folder / "n.toml").write_text(
        '[recipients.nurse]\nurl = "json://${X}"\n[[rules]]\nrecipients = ["nurse"]\n'
    )
    monkeypatch.setenv("ECGWATCH_NOTIFICATIONS", "n.toml")
    extra = alarm("Bed 7", ago_s=1)
    raise_alarms(sending, extra, *(_told(a) for a in alarms[1:]))
    text = run("reconcile", code=1)
    assert "notified: 4 of 6 notices" in text
    assert f"not stored: {extra.id}" in text
    assert f"not notified: {alarms[0].id} onset to nurse: no attempt was made" in text
    monkeypatch.setattr(reconciling, "SETTLE_S", 60.0)  # it ends as soon as all is there
    late = threading.Thread(
        target=lambda: (
            time.sleep(1.5),
            keep(extra),
            raise_alarms(sending, _told(extra), _told(alarms[0])),
        )
    )
    late.start()
    # it waits a little for what is on its way
    assert "notified: 6 of 6 notices" in run("reconcile")
    late.join()
    assert "detected: 0 alarms" in run("reconcile", "--to", "2020-01-01")


def _told(a: Alarm) -> Delivery:
    return Delivery(
        patient_id=a.patient_id,
        time_ns=1,
        id=f"{a.id}|onset|0|nurse|1",
        alarm_id=a.id,
        kind=a.kind,
        priority=a.priority,
        step="onset",
        recipient="nurse",
        attempt=1,
        outcome="delivered",
    )
