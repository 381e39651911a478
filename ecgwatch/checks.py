"""Checks of `ecgwatch check`: the broker, the store, Grafana, this installation."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from typing import NamedTuple

import httpx
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from ecgwatch.settings import Settings
from ecgwatch.stores import missing_file, open_sink
from ingest.broker import check_reachable, unreachable
from ingest.embedded import is_embedded_id
from ingest.errors import EcgwatchError, UnreachableError
from ingest.kafka_access import kafka_python, librdkafka
from ingest.redact import STARS, redacted
from ingest.topic_upkeep import topics_kept_too_briefly
from ingest.topics import ALL
from stream_processor.sinks.base import SinkBusyError

TIMEOUT_S = 5.0
SECRET = ("_token", "_password")  # how the names of secret settings end


class CheckResult(NamedTuple):
    """Result of the check of one part."""

    part: str
    works: bool
    text: str
    remedy: str = ""


def findings(settings: Settings) -> list[CheckResult]:
    """Check each part; never raises for a part that does not work."""
    parts: dict[str, Callable[[Settings], str]] = {
        "ecgwatch": _installation,
        "broker": _broker,
        "sink": _sink,
        "grafana": _grafana,
    }
    return [_find(part, look, settings) for part, look in parts.items()]


def shown(settings: Settings) -> dict[str, str]:
    """Return each setting's value for display, without tokens and passwords."""
    values = {name: str(getattr(settings, name)) for name in Settings.model_fields}
    values |= {name: STARS for name, value in values.items() if value and name.endswith(SECRET)}
    return {name: redacted(value) or "(not set)" for name, value in values.items()}


def _find(part: str, look: Callable[[Settings], str], settings: Settings) -> CheckResult:
    try:
        return CheckResult(part, True, look(settings))
    except EcgwatchError as error:
        return CheckResult(part, False, redacted(error.problem), error.remedy)
    except SinkBusyError as error:
        return CheckResult(part, False, redacted(str(error)))


def _installation(settings: Settings) -> str:
    others = set(importlib.metadata.packages_distributions().get("models", [])) - {"ecgwatch"}
    if others:
        problem = f"another package has installed a top-level package `models`: {', '.join(sorted(others))}"
        raise UnreachableError(
            problem, "Install ecgwatch into a virtual environment of its own: python3 run.py does."
        )
    return f"{importlib.metadata.version('ecgwatch')} on Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def _broker(settings: Settings) -> str:
    broker = settings.kafka
    check_reachable(broker)
    try:
        cluster = AdminClient(
            {**librdkafka(broker), "log_level": 0, "socket.timeout.ms": round(TIMEOUT_S * 1000)}
        ).list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        raise unreachable(broker) from error
    embedded = is_embedded_id(cluster.cluster_id)
    version = (
        "the embedded broker (in memory)" if embedded else f"Apache Kafka {_kafka_version(broker)}"
    )
    missing = [topic.name for topic in ALL if topic.name not in cluster.topics]
    topics = (
        f"topics missing: {', '.join(missing)} (`ecgwatch topics create` makes them)"
        if missing
        else "all topics are there"
    )
    if forgetful := topics_kept_too_briefly(broker):
        raise UnreachableError(
            f"{version} at {broker} deletes from {', '.join(forgetful)}, which should be kept for ever",
            "`ecgwatch topics create` sets their cleanup.policy to compact.",
        )
    return f"{version} at {broker}, {len(cluster.brokers)} node{'s' if len(cluster.brokers) > 1 else ''}, {topics}"


def _kafka_version(broker: str) -> str:
    """Return Kafka's version, derived from its protocol versions because a broker does not report
    it."""
    admin = None
    try:
        admin = KafkaAdminClient(**kafka_python(broker), bootstrap_timeout_ms=TIMEOUT_S * 1000)
        node = admin.describe_cluster()["brokers"][0]["broker_id"]
        return ".".join(map(str, admin.get_broker_version_data(node).broker_version))
    except KafkaError as error:
        raise unreachable(broker) from error
    finally:
        if admin is not None:
            admin.close()


def _sink(settings: Settings) -> str:
    if missing := missing_file(settings):
        return f"SQLite file {missing.absolute()} is not there yet; the first events make it"
    sink = open_sink(settings)
    try:
        return sink.check()
    finally:
        sink.close()


def _grafana(settings: Settings) -> str:
    if not settings.grafana:
        return "not set (ECGWATCH_GRAFANA); the monitor page needs none"
    try:
        answer = httpx.get(
            f"{settings.grafana.rstrip('/')}/api/health", timeout=TIMEOUT_S, follow_redirects=True
        )
        answer.raise_for_status()
        health = answer.json()
        return f"Grafana {health['version']} at {redacted(settings.grafana)}, database {health['database']}"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        problem = f"no Grafana answers at {redacted(settings.grafana)}: {error}"
        raise UnreachableError(
            problem,
            "Start it, or set ECGWATCH_GRAFANA to its address, such as http://localhost:3000.",
        ) from error
