"""A Kafka broker inside this process, for demos and tests: no Java, no Docker, only pip.

librdkafka (in the wheel of confluent-kafka) carries a mock cluster that speaks the real protocol on
a local TCP port, also to other processes and other clients. It is in memory and on one machine:
when the process that holds it ends, every message is lost. Not for patients.

What was found with librdkafka 2.16 (tests/integration/processor/test_embedded.py holds it to that):
- Every topic has 4 partitions, and is created when a client first asks for it; CreateTopics is not
  answered (confluent-kafka's create_topics times out, kafka-python's raises). `EmbeddedBroker`
  makes the topics of ingest/topics.py at its start.
- A partition keeps about 5 MB (whole batches), oldest out first: over an hour of one 250 Hz stream,
  but a reader that falls further behind than that misses messages. Compaction and retention by time
  do not exist.
- Consumer groups, commits and idempotent producers work. The first join of a group takes 3 s; a
  client that joins it after the last member has left or died waits for about the session timeout
  (45 s in confluent-kafka, 10 s in aiokafka, 60 s in faust), then resumes at the commit. Of two that
  join in the same moment one may get no partitions, and cannot leave: `process` starts one worker.
- confluent-kafka, aiokafka and faust need no special setting. kafka-python needs api_version=(2,
  3), because the cluster knows ApiVersions only up to 2. Offsets in produce responses are true,
  timestamps are a constant.
"""

from __future__ import annotations

from types import TracebackType

import confluent_kafka
import confluent_kafka.admin

from ingest.kafka_access import librdkafka
from ingest.topics import ALL

PARTITIONS = 4
_EMBEDDED_ID = "mockCluster"  # how its cluster calls itself
KEPT_BYTES = 5 * 1024 * 1024
KAFKA_PYTHON_API_VERSION = (2, 3)
_TIMEOUT_S = 10.0
_ASK_S = 2.0


def is_embedded_id(cluster_id: str | None) -> bool:
    """Return whether a cluster that calls itself so is an embedded one."""
    return (cluster_id or "").startswith(_EMBEDDED_ID)


def is_embedded(broker: str) -> bool:
    """Return whether the broker at this address is an embedded one; False also if none answers."""
    client = confluent_kafka.admin.AdminClient({**librdkafka(broker), "log_level": 0})
    try:
        cluster = client.list_topics(timeout=_ASK_S)
    except confluent_kafka.KafkaException:
        return False
    return is_embedded_id(cluster.cluster_id)


class EmbeddedBroker:
    """The in-process broker: a context manager, or `start` and `stop`. Starting again gives an
    empty one on another port."""

    def __init__(self) -> None:
        self._host: confluent_kafka.Producer | None = None
        self.address = ""  # "127.0.0.1:PORT" while it runs

    def start(self) -> None:
        """Listen on a free port and make the topics."""
        # The cluster lives as long as the client whose configuration asked for it.
        self._host = confluent_kafka.Producer(
            {"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 0}
        )
        broker = next(iter(self._host.list_topics(timeout=_TIMEOUT_S).brokers.values()))
        self.address = f"{broker.host}:{broker.port}"
        for topic in ALL:
            self._host.list_topics(topic.name, timeout=_TIMEOUT_S)  # asking for a topic creates it

    def stop(self) -> None:
        """End the broker; every message is lost."""
        self._host = None
        self.address = ""

    def __enter__(self) -> EmbeddedBroker:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
