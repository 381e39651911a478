"""Partitions are added while patients are processed: nothing is lost, nothing comes twice."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import confluent_kafka
import pytest

from ingest.broker import create_topics, grow_topics
from ingest.messages import encode
from stream_processor.worker.snapshots import SnapshotReader
from tests.integration.processor.test_recovery import (
    START_NS,
    Stored,
    assert_same,
    undisturbed,
    wait_for,
    ward_chunks,
    working,
)

__all__ = ["undisturbed", "ward_chunks"]  # fixtures
SPEED = 1.2


@pytest.mark.slow
def test_partitions_are_added_under_load(
    empty_kafka, tmp_path: Path, ward_chunks, undisturbed: Stored
) -> None:
    broker, sink = empty_kafka.address, f"sqlite:{tmp_path / 'events.db'}"
    create_topics(broker)
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": broker,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "topic.metadata.refresh.interval.ms": 2000,
            "log_level": 0,
        }
    )

    def send() -> None:
        started = time.monotonic()
        for chunk in ward_chunks:
            due_s = started + (chunk.t0_ns - START_NS) / 1e9 / SPEED
            time.sleep(max(0.0, due_s - time.monotonic()))
            producer.produce("ecg.samples", encode(chunk), chunk.patient_id.encode())
            producer.poll(0)
        producer.flush(30)

    sending = threading.Thread(target=send)
    with working(broker, sink):
        sending.start()
        time.sleep(8)
        assert len(grow_topics(broker, 24)) == len(create_topics(broker))
        sending.join()
        stored = wait_for(sink, undisturbed)
    assert_same(stored, undisturbed)
    ends = [made.partitions for made in create_topics(broker)]
    assert set(ends) == {24}
    restored = SnapshotReader(broker).read(range(24))
    assert not restored.outdated, "the old partitions keep no snapshot of who has moved"
