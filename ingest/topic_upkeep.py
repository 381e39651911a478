"""Topics of older versions: those that are kept for ever now had `cleanup.policy=compact,delete`,
so a broker that was set up then still deletes snapshots, orders and registrations when they age."""

from __future__ import annotations

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource  # type: ignore[attr-defined]

from ingest.broker import unreachable
from ingest.embedded import is_embedded_id
from ingest.kafka_access import librdkafka
from ingest.topics import ALL, FOREVER

TIMEOUT_S = 10.0
POLICY, KEPT = "cleanup.policy", "compact"


def topics_kept_too_briefly(broker: str) -> list[str]:
    """Return the existing topics that should be kept for ever and are not. Raises UnreachableError,
    also for a broker that does not show its topics' settings."""
    return _forgetful(_admin(broker), broker)


def keep_for_ever(broker: str) -> list[str]:
    """Make the forgetful topics keep each key's last message for ever; returns their names. Other
    settings of them stay. Raises UnreachableError, also if the broker does not let us."""
    admin = _admin(broker)
    found = _forgetful(admin, broker)
    kept = ConfigEntry(POLICY, KEPT, incremental_operation=AlterConfigOpType.SET)
    changes = [_of(name, [kept]) for name in found]
    try:
        for future in (admin.incremental_alter_configs(changes) if changes else {}).values():
            future.result(TIMEOUT_S)
    except (KafkaException, TimeoutError) as error:
        raise unreachable(broker) from error
    return found


def _forgetful(admin: AdminClient, broker: str) -> list[str]:
    try:
        cluster = admin.list_topics(timeout=TIMEOUT_S)
        if is_embedded_id(cluster.cluster_id):  # it deletes by size alone
            return []
        there = cluster.topics
        names = [t.name for t in ALL if t.retention_ms == FOREVER and t.name in there]
        asked = admin.describe_configs([_of(name) for name in names]) if names else {}
        held = {of.name: future.result(TIMEOUT_S) for of, future in asked.items()}
    except (KafkaException, TimeoutError) as error:
        raise unreachable(broker) from error
    return [name for name in names if held[name][POLICY].value != KEPT]


def _admin(broker: str) -> AdminClient:
    quiet = {"log_level": 0, "socket.timeout.ms": round(TIMEOUT_S * 1000)}
    return AdminClient({**librdkafka(broker), **quiet})


def _of(name: str, entries: list[ConfigEntry] | None = None) -> ConfigResource:
    return ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries)
