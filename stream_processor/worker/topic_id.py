"""Ids that Kafka gives topics when they are made, by which a topic made anew is recognised."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import TimeoutError

import confluent_kafka
from confluent_kafka.admin import AdminClient

from ingest.kafka_access import librdkafka

TIMEOUT_S = 2.0


class TopicIds:
    """Asks for ids. A broker that knows none, such as the embedded one or one before Kafka 3.1, is
    asked once."""

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._silent = False

    def ask(self, topic: str) -> Callable[[], str]:
        """Ask now; what is returned waits for the answer: the id, or "" if the broker cannot
        tell."""
        if self._silent:
            return str
        admin = AdminClient({**librdkafka(self._broker), "log_level": 0})
        asked = admin.describe_topics(
            confluent_kafka.TopicCollection([topic]), request_timeout=TIMEOUT_S
        )[topic]

        def answer(_: AdminClient = admin) -> str:  # the client lives until it has answered
            try:
                found = asked.result(2 * TIMEOUT_S).topic_id
            except (confluent_kafka.KafkaException, TimeoutError):
                self._silent = True
                return ""
            return "" if found is None else str(found)

        return answer
