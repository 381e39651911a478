"""Make the topics of a Kafka broker and read how much is left to process, through kafka-python."""

from __future__ import annotations

import contextlib
import logging
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from ingest.errors import BadInputError, UnreachableError
from ingest.kafka_access import kafka_python, security_of
from ingest.topics import ALL, FOREVER, PARTITIONS, SAMPLES, Topic

if TYPE_CHECKING:  # each function imports kafka-python itself: it is slow, and --help needs none
    from kafka import KafkaAdminClient

# The protocol of Kafka 2.3, which every later broker and the embedded one speak; kafka-python
# cannot negotiate a version with the embedded one.
API_VERSION = (2, 3)
TIMEOUT_S = 10.0
MAX_REPLICATION = 3
METADATA_MS = (
    5_000  # a client learns of added partitions within this time: meanwhile who has moved waits
)

# kafka-python logs many lines; those that matter are logged here, once
logging.getLogger("kafka").addHandler(logging.NullHandler())


class CreatedTopic(NamedTuple):
    """A topic as `create_topics` left it."""

    topic: Topic
    created: bool  # False: it existed already
    partitions: int


class Lag(NamedTuple):
    """Messages of one partition that a consumer group has left to read."""

    partition: int
    begin: int  # offset of the oldest message that is still kept
    end: int  # offset of the next message
    committed: int | None  # None: the group has never committed

    @property
    def left(self) -> int:
        """Number of messages that the group has not processed."""
        return self.end - max(self.committed or 0, self.begin)


def unreachable(broker: str) -> UnreachableError:
    """Build the error for a broker that does not answer."""
    security = security_of(broker)
    if security.protocol != "plaintext":
        remedy = "Is it running, does this port speak that protocol, and does it take our certificate or name and password (ECGWATCH_KAFKA_...)?"
        return UnreachableError(
            f"Kafka broker {broker} does not answer over {security.protocol}", remedy
        )
    remedy = "Start it, or name another with --broker HOST:PORT (ECGWATCH_BROKER). `ecgwatch demo` brings a broker of its own."
    return UnreachableError(f"Kafka broker {broker} does not answer", remedy)


def check_reachable(broker: str) -> None:
    """Raise UnreachableError if no server of HOST:PORT[,HOST:PORT...] accepts a connection,
    BadInputError if the address has another form.

    Checked here because kafka-python itself retries for a minute without any message.
    """
    for server in broker.split(","):
        host, _, port = server.rpartition(":")
        if not host or not port.isdigit():
            raise BadInputError(
                f"broker {broker!r}", "Write --broker HOST:PORT, for example localhost:9092."
            )
        with contextlib.suppress(OSError):
            socket.create_connection((host, int(port)), timeout=TIMEOUT_S / 2).close()
            return
    raise unreachable(broker)


def settings(broker: str) -> dict[str, Any]:
    """Settings with which every kafka-python client here is opened."""
    return {
        **kafka_python(broker),
        "api_version": API_VERSION,
        "reconnect_backoff_max_ms": 1000,
        "metadata_max_age_ms": METADATA_MS,
    }


def create_topics(broker: str, partitions: int = PARTITIONS) -> list[CreatedTopic]:
    """Make the topics that do not exist yet, with their retention; the others stay as they are.
    Topics made later get as many partitions as ecg.samples has. Raises UnreachableError."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    check_reachable(broker)
    admin = None
    try:
        admin = KafkaAdminClient(**settings(broker), bootstrap_timeout_ms=TIMEOUT_S * 1000)
        missing = [topic for topic in ALL if topic.name not in admin.list_topics()]
        # the embedded broker cannot create topics on request; it has all of them from its start
        if missing:
            replication = min(len(admin.describe_cluster()["brokers"]), MAX_REPLICATION)
            if SAMPLES not in missing:
                (samples,) = admin.describe_topics([SAMPLES.name])
                partitions = len(samples["partitions"])
            _create(admin, missing, partitions, replication)
        found = {
            t["name"]: len(t["partitions"]) for t in admin.describe_topics([t.name for t in ALL])
        }
    except KafkaError as error:
        raise unreachable(broker) from error
    finally:
        if admin is not None:
            admin.close()
    return [CreatedTopic(topic, topic in missing, found[topic.name]) for topic in ALL]


def lags(broker: str, group: str, topic: str) -> list[Lag]:
    """Read how far the group lags behind in each partition of the topic. Raises
    UnreachableError."""
    from kafka import KafkaConsumer, TopicPartition
    from kafka.errors import KafkaError

    check_reachable(broker)
    consumer = None
    try:
        consumer = KafkaConsumer(**settings(broker), group_id=group, enable_auto_commit=False)
        partitions = [
            TopicPartition(topic, n) for n in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        return [Lag(p.partition, begins[p], ends[p], consumer.committed(p)) for p in partitions]
    except KafkaError as error:
        raise unreachable(broker) from error
    finally:
        if consumer is not None:
            consumer.close()


def grow_topics(broker: str, partitions: int) -> list[str]:
    """Raise every topic with fewer partitions to this number; returns the names of those changed.
    ecg.samples comes last, so that a consumer that gets a new partition of it finds the same
    partition in every other topic. Raises UnreachableError."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    fewer = [made.topic for made in create_topics(broker) if made.partitions < partitions]
    fewer.sort(key=lambda topic: topic == SAMPLES)
    admin = None
    try:
        admin = KafkaAdminClient(**settings(broker))
        for topic in fewer:
            admin.create_partitions({topic.name: partitions})
    except KafkaError as error:
        raise unreachable(broker) from error
    finally:
        if admin is not None:
            admin.close()
    return [topic.name for topic in fewer]


def _cleanup(topic: Topic) -> str:
    if not topic.compacted:
        return "delete"
    return "compact" if topic.retention_ms == FOREVER else "compact,delete"


def _create(
    admin: KafkaAdminClient, topics: list[Topic], partitions: int, replication: int
) -> None:
    from kafka.errors import TopicAlreadyExistsError

    wanted = {
        topic.name: {
            "num_partitions": partitions,
            "replication_factor": replication,
            "configs": {"retention.ms": str(topic.retention_ms), "cleanup.policy": _cleanup(topic)},
        }
        for topic in topics
    }
    with contextlib.suppress(TopicAlreadyExistsError):  # another process has created it meanwhile
        admin.create_topics(wanted, wait_for_metadata=True)
