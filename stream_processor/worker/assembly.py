"""Builds one worker: every client of the broker, and what is made of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ingest.clock import Clock
from models.serving.runtime import Model
from stream_processor.kafka.delivery import FetchDelivery, StockDelivery
from stream_processor.kafka.event_producer import EventProducer
from stream_processor.kafka.faust_app import HEARTBEAT_S, SESSION_S, faust_app
from stream_processor.worker.app import Clients, Processor
from stream_processor.worker.checkpointer import Checkpointer
from stream_processor.worker.counters import Counters
from stream_processor.worker.guarded_ward import GuardedWard, WardLike
from stream_processor.worker.ledger import Ledger
from stream_processor.worker.operator_actions import ActionReader
from stream_processor.worker.snapshots import SnapshotReader
from stream_processor.worker.stall_guard import StallGuard
from stream_processor.worker.worker import Worker


def build_processor(
    broker: str,
    make_ward: Callable[[], WardLike],
    clock: Clock,
    *,
    whole_fetches: bool = True,
    on_ready: Callable[[], None] = lambda: None,
    publish: Callable[[Counters], None] = lambda _: None,
    next_model: Callable[[], Model | None] = lambda: None,
) -> Processor:
    """Return a worker of the group, which `run` starts. Call it in the event loop that runs it.

    Args:
        broker: its address.
        make_ward: called now, and each time that the ward has broken down.
        clock: of the process.
        whole_fetches: False takes messages one by one, as faust does by itself.
        on_ready: called once the group has given this worker its part.
        publish: called with the figures, every 15 s, in a thread of its own.
        next_model: see GuardedWard.
    """
    app = faust_app(broker)
    event_producer, actions = EventProducer(broker), ActionReader(broker)
    history = SnapshotReader(broker)
    counters, ledger, stop = Counters(), Ledger(), asyncio.Event()
    stall_guard = StallGuard(clock, SESSION_S - HEARTBEAT_S)
    ward = GuardedWard(
        make_ward, ledger, event_producer, actions, clock, counters, stall_guard, next_model
    )
    worker = Worker(ward, ledger, history, clock, counters, stop)
    delivery = (FetchDelivery if whole_fetches else StockDelivery)(app, worker)
    checkpointer = Checkpointer(worker, ledger, event_producer, delivery, clock, stall_guard)
    clients = Clients(broker, app, event_producer, actions, history)
    return Processor(
        clients, worker, ledger, checkpointer, stall_guard, clock, counters, stop, on_ready, publish
    )
