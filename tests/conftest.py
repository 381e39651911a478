"""Real parts for the tests: brokers, a database, records.

A test skips, with the reason, where a part cannot be had quickly. With ECGWATCH_REQUIRE_SERVICES=1
services are fetched and built, and a test whose service cannot be had fails.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from confluent_kafka.admin import AdminClient
from hypothesis import settings

from ingest.embedded import EmbeddedBroker
from tools import fetching, services

REQUIRED = os.environ.get("ECGWATCH_REQUIRE_SERVICES") == "1"
# Property tests draw new examples wherever they run, but in CI the same ones again: what fails
# there is then the change's doing.
settings.register_profile("ecgwatch", deadline=None, derandomize=REQUIRED)
settings.load_profile("ecgwatch")
S = TypeVar("S", bound=services.Service)


# A shell's background job ignores SIGINT, and so would every command that a test starts and stops.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--slow: also the tests that take longer than five seconds, as CI does."""
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the slow tests out, unless they were asked for or named."""
    named = any("::" in argument for argument in config.args)
    if config.getoption("--slow") or config.getoption("-m") or named:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in set(slow)]


def _running(make: Callable[[], S], have: bool, name: str) -> Iterator[S]:
    if not have and not REQUIRED:
        pytest.skip(
            f"{name} is not in {fetching.CACHE}; get it with: python -m tools.services fetch"
        )
    try:
        service = make()
        service.start()
    except fetching.ServiceError as error:
        pytest.fail(str(error)) if REQUIRED else pytest.skip(str(error))
    yield service
    service.remove()


@pytest.fixture(scope="session")
def kafka() -> Iterator[services.Kafka]:
    """A real Apache Kafka: .address, .stop(), .kill(), .start(). Topics of earlier tests are still
    there; who stops it starts it again."""
    yield from _running(services.Kafka, fetching.have_kafka(), "Apache Kafka")


@pytest.fixture(scope="session")
def influxdb() -> Iterator[services.Influxdb]:
    """A real InfluxDB 2: .url, .token, .org, .bucket, .stop(), .kill(), .start(), .clear(). Who
    stops it starts it again."""
    yield from _running(services.Influxdb, fetching.have_influxd(), "InfluxDB")


@pytest.fixture
def empty_influxdb(influxdb: services.Influxdb) -> services.Influxdb:
    """The InfluxDB with nothing in its bucket."""
    influxdb.clear()
    return influxdb


@pytest.fixture
def empty_kafka(kafka: services.Kafka) -> services.Kafka:
    """The Kafka without any topic (they come to be on first use, with 12 partitions) and without
    consumer groups."""
    admin = AdminClient({"bootstrap.servers": kafka.address, "log.connection.close": False})
    groups = [g.group_id for g in admin.list_consumer_groups().result(60).valid]
    topics = [t for t in admin.list_topics(timeout=30).topics if not t.startswith("__")]
    for future in (admin.delete_consumer_groups(groups) if groups else {}).values():
        future.exception(60)  # a group that is still in use stays
    for future in (admin.delete_topics(topics) if topics else {}).values():
        future.result(60)
    deadline = time.monotonic() + 60
    while set(topics) & set(admin.list_topics(timeout=30).topics):
        assert time.monotonic() < deadline, "Kafka does not delete its topics"
        time.sleep(0.05)
    return kafka


@pytest.fixture(params=["embedded", "kafka"])
def broker(request: pytest.FixtureRequest) -> Iterator[EmbeddedBroker | services.Kafka]:
    """An empty broker, .address: the embedded one (4 partitions), then a real Apache Kafka (12)."""
    if request.param == "kafka":
        yield request.getfixturevalue("empty_kafka")
        return
    with EmbeddedBroker() as embedded:
        yield embedded


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with PhysioNet records ($ECG_DATA, default ~/.cache/ecg-data), one folder per
    database."""
    folder = Path(os.environ.get("ECG_DATA", "~/.cache/ecg-data")).expanduser()
    if not folder.is_dir():
        pytest.skip(
            f"no records in {folder}; set ECG_DATA to a folder with PhysioNet databases such as mitdb/"
        )
    return folder
