"""A running processor tells its figures, and a store for them that hangs holds nothing up."""

from __future__ import annotations

import asyncio
import time

import pytest

from ingest.broker import create_topics
from ingest.clock import SystemClock
from ingest.embedded import EmbeddedBroker
from stream_processor.worker import app
from stream_processor.worker.assembly import build_processor
from stream_processor.worker.counters import Counters
from tests.fakes import FakeWard
from tests.integration.processor.test_process import PATIENTS, send, until


@pytest.mark.parametrize("hangs_s", [0.0, 1.5])
async def test_figures_are_published_beside_the_work(
    monkeypatch: pytest.MonkeyPatch, hangs_s: float
) -> None:
    monkeypatch.setattr(app, "LOG_EVERY_S", 0.5)
    told: list[Counters] = []

    def publish(counters: Counters) -> None:
        told.append(counters)
        time.sleep(hangs_s)

    with EmbeddedBroker() as broker:
        create_topics(broker.address)
        send(broker.address, range(10))
        processor = build_processor(broker.address, FakeWard, SystemClock(), publish=publish)
        running = asyncio.create_task(processor.run())
        await until(lambda: processor.counters.beats == 10 * len(PATIENTS))
        await until(lambda: len(told) >= 2)
        send(broker.address, range(10, 12))
        await until(lambda: told[-1].beats == 12 * len(PATIENTS))
        processor.stop()
        await running
    assert [c.messages for c in told] == sorted(c.messages for c in told)
    assert told[-1] is not processor.counters  # a copy of its moment
