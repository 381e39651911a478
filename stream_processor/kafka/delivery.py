"""Delivery of messages from faust to the worker, and of offsets back: event by event, or by whole
fetches.

Faust's own way makes four tasks per message (transport/consumer.py, wait_first), 0.1 ms of CPU
each; taking whole fetches costs a thirtieth of that. Whole fetches need private parts of faust
0.15.3: tests/unit/worker/test_delivery.py fails if they change, and StockDelivery works without
them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import faust
from aiokafka.errors import ConsumerStoppedError, IllegalStateError
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP, EventT

from ingest import topics
from stream_processor.kafka.event_producer import InputRecord

_FULL_WAIT_S = 0.05
# Between two drains. aiokafka asks for a partition's next messages once it is drained: drained at
# once, thousands of patients come as thousands of tiny fetches, and decoding those takes a third of
# the worker's CPU.
_REST_S = 0.05


class Receiver(Protocol):
    """Destination of fetched messages."""

    @property
    def full(self) -> bool:
        """True if no more messages should be fetched just now."""
        ...

    def receive(self, partition: int, records: Sequence[InputRecord]) -> None:
        """Take messages of one partition of ecg.samples, in order."""
        ...


class StockDelivery:
    """Delivers one event at a time, as faust does by itself; events are acknowledged when their
    offsets are committed."""

    def __init__(self, app: faust.App, receiver: Receiver) -> None:
        self._app, self._receiver = app, receiver
        self._kept: dict[int, deque[EventT[Any]]] = {}
        app.agent(samples_topic(app), name="samples")(self._agent)

    async def _agent(self, stream: Any) -> None:
        async for event in stream.noack().events():
            # Waiting here fills the stream's buffer, at which faust stops fetching: pausing
            # partitions would lose what is on its way.
            while self._receiver.full:
                await asyncio.sleep(_FULL_WAIT_S)
            message = event.message
            self._kept.setdefault(message.partition, deque()).append(event)
            self._receiver.receive(message.partition, [message])

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Acknowledge and commit everything before these offsets."""
        for partition, offset in offsets.items():
            kept = self._kept.get(partition, deque())
            while kept and kept[0].message.offset < offset:
                kept.popleft().ack()
        wanted = {TP(topics.SAMPLES.name, p): offset for p, offset in offsets.items()}
        await self._app.commit(set(wanted))
        # `commit` also returns False if another commit included ours
        committed = _consumer(self._app)._committed_offset
        return all((committed[tp] or 0) >= offset for tp, offset in wanted.items())

    def release(self, partitions: set[int]) -> None:
        """Drop partitions that another worker has taken over."""
        for partition in partitions:
            self._kept.pop(partition, None)


class FetchDelivery:
    """Delivers whole fetches, straight from aiokafka's buffers."""

    def __init__(self, app: faust.App, receiver: Receiver) -> None:
        self._app = app
        app.transport = FetchTransport(receiver, app.conf.broker_consumer, app)
        app.agent(samples_topic(app), name="samples")(_idle)  # faust subscribes to what agents read

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Commit these offsets."""
        wanted = {TP(topics.SAMPLES.name, p): offset for p, offset in offsets.items()}
        return await _consumer(self._app)._commit_offsets(wanted)

    def release(self, partitions: set[int]) -> None:
        """Do nothing: no messages are kept here."""


async def _idle(stream: Any) -> None:
    async for _ in stream.noack().events():
        raise AssertionError("a message went past the whole-fetch delivery")


class FetchConsumer(Consumer):
    """Faust's aiokafka consumer with one change: whole fetches go to the receiver, past faust's
    channels and streams."""

    async def _drain_messages(self, fetcher: Any) -> None:
        receiver = cast(FetchTransport, self.transport).receiver
        try:
            while not (self.should_stop or fetcher.should_stop):
                if receiver.full:
                    await asyncio.sleep(_FULL_WAIT_S)
                    continue
                generation = self.app.consumer_generation_id
                records, active = await self._wait_next_records(timeout=1.0)
                if not self.flow_active or generation != self.app.consumer_generation_id:
                    # after a rebalance these may belong to another worker
                    await self._step_back()
                    continue
                for tp, batch in (records or {}).items():
                    if active is None or tp in active:
                        receiver.receive(tp.partition, batch)
                await asyncio.sleep(_REST_S)
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.app.should_stop:
                raise

    async def seek_to_committed(self) -> Any:
        """Seek to the committed offsets as faust does, and to the beginning if nothing was ever
        committed.

        Aiokafka leaves such a partition at the end of its last fetch, so that messages dropped in a
        rebalance would be lost.
        """
        committed = await super().seek_to_committed()
        fresh = [tp for tp, offset in committed.items() if not offset]
        if fresh:
            thread = self._thread
            await thread.call_thread(thread._ensure_consumer().seek_to_beginning, *fresh)
        return committed

    async def _step_back(self) -> None:
        try:
            await self.perform_seek()
        # nothing is assigned just now: faust seeks again after the rebalance
        except IllegalStateError:
            await asyncio.sleep(0)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: faust's check watches streams that are not used here."""


class FetchTransport(Transport):
    """Faust's transport with FetchConsumer."""

    Consumer = FetchConsumer

    def __init__(self, receiver: Receiver, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.receiver = receiver


def _consumer(app: faust.App) -> Consumer:
    return cast(Consumer, app.consumer)


def check_group(app: faust.App) -> None:
    """Raise the error that ended aiokafka's group coordination, for example a refused join. Faust
    does not check, and would wait for ever."""
    kafka = _consumer(app)._thread._consumer
    if kafka is None:
        return
    if kafka._coordinator._coordination_task.done():
        kafka._coordinator._coordination_task.result()
    if kafka._coordinator._pending_exception is not None:
        raise kafka._coordinator._pending_exception


def samples_topic(app: faust.App) -> Any:
    """Return the topic ecg.samples with raw bytes as keys and values."""
    return app.topic(
        topics.SAMPLES.name,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )
