"""Reads people's actions on alarms from ecg.acks: the partitions of this worker's patients, from
where their last owner stopped.

Reading is apart from faust's consumer: actions are few, and must not wait behind samples. The place
of each is remembered with the patient's state (pipeline/alarms/lifecycle.py), and committed after
the snapshots that hold its effect; so an action counts once, also one that was given while no
processor ran.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import confluent_kafka

from ingest import topics
from ingest.consumers import TIMEOUT_S, extents, open_consumer
from ingest.messages import Action, BadMessageError, decode

log = logging.getLogger(__name__)
GROUP = "ecgwatch-actions"
_BATCH = 500


class Placed(NamedTuple):
    """An action and its place."""

    partition: int
    offset: int
    action: Action


class ActionReader:
    """Not for use from two threads at once."""

    def __init__(self, broker: str) -> None:
        # the group holds the commits; partitions are assigned as faust has them
        self._consumer = open_consumer(broker, GROUP)

    def assign(self, partitions: Iterable[int]) -> dict[int, int]:
        """Read exactly these partitions, from their commits on. Returns the present end offset of
        each. Blocks."""
        wanted = [confluent_kafka.TopicPartition(topics.ACKS.name, p) for p in partitions]
        if not wanted:
            self._consumer.unassign()
            return {}
        within = extents(self._consumer, topics.ACKS.name, [tp.partition for tp in wanted])
        ends = {p: high for p, (_, high) in within.items()}
        self._consumer.assign(self._from_commits(wanted, ends))
        return ends

    def take(self) -> list[Placed]:
        """Return the actions since the last call. A message that is no action is left to the
        archive, which puts it on the dead-letter topic."""
        found: list[Placed] = []
        for message in self._consumer.consume(_BATCH, timeout=0):
            if message.error():
                log.warning("%s: %s", topics.ACKS.name, message.error())
                continue
            try:
                action = decode(message.value() or b"", Action)
            except BadMessageError as error:
                log.warning("%s: %s", topics.ACKS.name, error)
                continue
            found.append(Placed(message.partition() or 0, message.offset() or 0, action))
        return found

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit, for each partition, the next action to read. If a commit is lost, actions are
        only read again."""
        places = [
            confluent_kafka.TopicPartition(topics.ACKS.name, p, offset)
            for p, offset in offsets.items()
        ]
        if places:
            self._consumer.commit(offsets=places, asynchronous=True)

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def _from_commits(
        self, wanted: list[confluent_kafka.TopicPartition], ends: Mapping[int, int]
    ) -> list[confluent_kafka.TopicPartition]:
        """Return where reading begins: at the commit, or at the beginning if there is none or the
        topic was made anew."""
        found = []
        for tp in self._consumer.committed(wanted, TIMEOUT_S):
            known = 0 <= tp.offset <= ends[tp.partition]
            found.append(
                confluent_kafka.TopicPartition(
                    tp.topic, tp.partition, tp.offset if known else confluent_kafka.OFFSET_BEGINNING
                )
            )
        return found
