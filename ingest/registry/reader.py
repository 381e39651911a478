"""Reads the registry from Kafka, once or continuously."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import confluent_kafka

from ingest.broker import TIMEOUT_S, create_topics, unreachable
from ingest.registry.compacted import TopicReader, read_all
from ingest.registry.records import Record, decode_record
from ingest.registry.state import Registry
from ingest.topics import REGISTRY

log = logging.getLogger(__name__)
_POLL_S, _RETRY_S = 0.2, 1.0


def read_registry(broker: str) -> Registry:
    """The registry as it is now. Makes the topics that are missing. Raises UnreachableError."""
    registry = Registry()
    for record in read_all(broker, REGISTRY, decode_record):
        registry.apply(record)
    return registry


class RegistryFollower:
    """Reads in a thread of its own, through the broker's restarts, from `start` to `stop`.

    `registry` is another object after each change, and is never changed itself: any thread may read
    it. `on_change` is called in the follower's thread.
    """

    def __init__(self, broker: str, on_change: Callable[[], None] = lambda: None) -> None:
        self.registry = Registry()
        self._broker, self._on_change = broker, on_change
        self._thread = threading.Thread(target=self._run, name="registry", daemon=True)
        self._stop, self._ready = threading.Event(), threading.Event()

    def start(self) -> None:
        """Begin, and wait until all that is in the topic now is known. Raises UnreachableError."""
        create_topics(self._broker)
        self._thread.start()
        if not self._ready.wait(TIMEOUT_S):
            raise unreachable(self._broker)

    def begin(self) -> None:
        """Begin without waiting for the broker; no topic is made."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(TIMEOUT_S)

    def _run(self) -> None:
        reader, known = TopicReader[Record](self._broker, REGISTRY, decode_record), Registry()
        try:
            while not self._stop.is_set():
                try:
                    self._turn(reader, known)
                except confluent_kafka.KafkaException as error:
                    log.info("registry: %s; trying again", error)
                    self._stop.wait(_RETRY_S)
        finally:
            reader.close()

    def _turn(self, reader: TopicReader[Record], known: Registry) -> None:
        fresh = reader.take(_POLL_S)
        for record in fresh:
            known.apply(record)
        if fresh:
            self.registry = known.copy()
        if reader.at_end:
            self._ready.set()
        if fresh:
            self._on_change()
