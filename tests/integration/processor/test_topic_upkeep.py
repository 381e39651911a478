"""A broker that an older version has set up deletes what should be kept for ever, until it is mended."""

from __future__ import annotations

import time

import pytest
import typer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from ecgwatch.commands.upkeep.check import check
from ecgwatch.commands.upkeep.topics import create
from ingest.broker import create_topics
from ingest.embedded import EmbeddedBroker
from ingest.topic_upkeep import keep_for_ever, topics_kept_too_briefly


def configuration(admin: AdminClient, topic: str) -> dict[str, str]:
    asked = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)])
    (future,) = asked.values()
    return {name: entry.value for name, entry in future.result(30).items()}


def until_shown(admin: AdminClient, topic: str, wanted: dict[str, str]) -> None:
    """The broker shows a change some milliseconds after its controller has taken it."""
    deadline = time.monotonic() + 20
    while not wanted.items() <= configuration(admin, topic).items():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def as_before(admin: AdminClient, topic: str) -> None:
    """Keep the topic as older versions did, with an operator's own segment size."""
    held = {"cleanup.policy": "compact,delete", "retention.ms": "3000", "segment.bytes": "2000000"}
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in held.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)
    until_shown(admin, topic, held)


def test_an_older_brokers_snapshots_are_kept_from_now_on(empty_kafka, capsys, tmp_path) -> None:
    broker = empty_kafka.address
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    create_topics(broker)
    assert topics_kept_too_briefly(broker) == []
    as_before(admin, "ecg.state")
    with pytest.raises(typer.Exit):
        check(broker=broker, sink=f"sqlite:{tmp_path / 'events.db'}")
    said = capsys.readouterr().out
    assert "deletes from ecg.state" in said
    assert "`ecgwatch topics create`" in said
    create(broker=broker)
    assert "ecg.state: no longer deletes" in capsys.readouterr().out
    kept = {"cleanup.policy": "compact", "segment.bytes": "2000000"}  # the operator's own stays
    until_shown(admin, "ecg.state", kept)
    assert keep_for_ever(broker) == []


def test_the_embedded_broker_is_not_asked() -> None:
    with EmbeddedBroker() as broker:
        assert keep_for_ever(broker.address) == []
