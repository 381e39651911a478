"""Acknowledgement, silence and limits through the real processor and Kafka: killed between the order
and the next snapshot, ordered by a clock that is an hour off, kept for ever."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource

from ecgwatch.alarming.orders import read_orders
from ingest.broker import create_topics
from ingest.messages import Action, Alarm, Orders, decode
from ingest.operator import send
from tests.integration.processor.test_actions import produce, story
from tests.integration.processor.test_process import messages
from tests.integration.processor.test_recovery import working

WAIT_S = 90.0


def steps(broker: str, patient: str, kind: str) -> list[Alarm]:
    found = [decode(m.value(), Alarm) for m in messages(broker, "ecg.alarms")]
    return [a for a in found if (a.patient_id, a.kind) == (patient, kind)]


def wait_for(condition):
    deadline = time.monotonic() + WAIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("skew_s", [0, -3600])
def test_killed_between_the_order_and_the_snapshot(
    empty_kafka, tmp_path: Path, skew_s: int
) -> None:
    broker, patient = empty_kafka.address, f"victim {skew_s}"
    create_topics(broker)

    def order(number: int, **fields) -> None:
        at_ns = time.time_ns() + skew_s * 10**9
        send(broker, Action(patient_id=patient, time_ns=at_ns, id=str(number), by="Ada", **fields))

    with working(broker, f"sqlite:{tmp_path / 'events.db'}") as worker:
        produce(broker, story(patient, "asystole", 50, end=False))
        alarm = wait_for(lambda: steps(broker, patient, "asystole"))[0]
        order(1, action="silence", seconds=600.0)
        order(2, action="limits", limits={"hr_high_bpm": 111.0})
        order(3, action="acknowledge", alarm_id=alarm.id)
        wait_for(lambda: any(a.acknowledged_by for a in steps(broker, patient, "asystole")))
        worker.kill_all()  # the next snapshot is seconds away
        worker.process.stdout.close()
        before = len(steps(broker, patient, "asystole"))
        worker.start()
        time.sleep(6.0)
        produce(broker, story(f"other {skew_s}", "asystole", 50, end=True))
        wait_for(lambda: steps(broker, f"other {skew_s}", "asystole"))
        last = [a for a in steps(broker, patient, "asystole") if a.id == alarm.id][-1]
        assert last.acknowledged_by == "Ada", f"{before} steps before the kill"
        orders: Orders | None = read_orders(broker, patient)
        assert orders is not None
        assert orders.limits["hr_high_bpm"] == 111.0
        assert orders.acknowledged[alarm.id].by == "Ada"
        assert 500 < orders.silenced[""] <= 600


def test_what_people_ordered_does_not_expire(empty_kafka) -> None:
    create_topics(empty_kafka.address)
    admin = AdminClient({"bootstrap.servers": empty_kafka.address})
    asked = [
        ConfigResource(ConfigResource.Type.TOPIC, name) for name in ("ecg.state", "ecg.orders")
    ]
    for future in admin.describe_configs(asked).values():
        assert future.result(30)["cleanup.policy"].value == "compact"
