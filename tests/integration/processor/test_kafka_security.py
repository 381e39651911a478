"""Every client of ours against a real broker that asks for TLS, a certificate, or a name and a
password; and a wrong password is said, not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards.monitor.live.feed import Arrival, KafkaFeed
from ecgwatch.settings import load
from ingest.broker import create_topics, lags
from ingest.clock import SystemClock
from ingest.consumers import extents, open_reader, read_to_end
from ingest.errors import BadInputError, UnreachableError
from ingest.kafka_access import Broker
from ingest.messages import Action
from ingest.operator import OperatorOutlet
from ingest.producer import Producer
from stream_processor.worker.assembly import build_processor
from tests.conftest import _running
from tests.fakes import FakeWard, chunk
from tools import fetching, secure_services

WAIT_S = 60.0


@pytest.fixture(scope="module")
def secure() -> Iterator[secure_services.SecureKafka]:
    yield from _running(secure_services.SecureKafka, fetching.have_kafka(), "Apache Kafka")


def broker_of(kafka: secure_services.SecureKafka, way: str, password: str | None = None) -> Broker:
    """As a deployment's environment would say it."""
    tls = {"KAFKA_CA": str(kafka.ca)}
    login = {"KAFKA_USERNAME": kafka.user, "KAFKA_PASSWORD": password or kafka.password}
    client = {"KAFKA_CERTIFICATE": str(kafka.certificate), "KAFKA_KEY": str(kafka.key)}
    said = {
        "mTLS": {"BROKER": kafka.mtls, "KAFKA_PROTOCOL": "ssl", **tls, **client},
        "PLAIN": {"BROKER": kafka.sasl_tls, "KAFKA_PROTOCOL": "sasl_ssl", **tls, **login},
        "SCRAM-SHA-256": {"BROKER": kafka.sasl_tls, "KAFKA_PROTOCOL": "sasl_ssl", **tls, **login},
        "SCRAM-SHA-512": {"BROKER": kafka.sasl, "KAFKA_PROTOCOL": "sasl_plaintext", **login},
    }[way]
    mechanism = {} if way == "mTLS" else {"KAFKA_MECHANISM": way}
    environment = {f"ECGWATCH_{name}": value for name, value in (said | mechanism).items()}
    return load({}, environment)[0].kafka


async def until_processed(broker: Broker, ward: FakeWard) -> None:
    """Run the processor, faust and all, until it has committed everything."""
    processor = build_processor(broker, lambda: ward, SystemClock())
    running = asyncio.create_task(processor.run())
    async with asyncio.timeout(WAIT_S):
        while not running.done():
            found = await asyncio.to_thread(lags, broker, "ecgwatch", "ecg.samples")
            if not any(lag.left for lag in found):
                break
            await asyncio.sleep(0.3)
    processor.stop()
    await running


async def first_arrival(broker: Broker) -> Arrival:
    """What the monitor hears first."""
    arrivals: asyncio.Queue[Arrival] = asyncio.Queue()
    feed = KafkaFeed(broker, SystemClock())
    running = asyncio.create_task(feed.run(lambda found: [arrivals.put_nowait(a) for a in found]))
    try:
        async with asyncio.timeout(WAIT_S):
            return await arrivals.get()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["mTLS", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_every_client_gets_in(secure, way: str) -> None:
    broker = broker_of(secure, way)
    assert secure.password not in f"{broker} {broker!r}"
    await asyncio.to_thread(create_topics, broker)
    patient = f"by {way}"
    with Producer(broker, SystemClock()) as producer:  # kafka-python
        for number in range(5):
            producer.send(chunk(patient, number))
    action = Action(patient_id=patient, time_ns=1, id="1", by="Ada", action="resume")
    await asyncio.to_thread(OperatorOutlet(broker).send, action)  # confluent-kafka
    ward = FakeWard()
    await until_processed(broker, ward)  # aiokafka in faust
    assert ward.state[patient][1] == 5
    reader = open_reader(broker)
    beats = list(read_to_end(reader, "ecg.beats", extents(reader, "ecg.beats")))
    reader.close()
    assert sum(m.key() == patient.encode() for m in beats) == 5
    assert (await first_arrival(broker)).message.patient_id.startswith("by ")  # aiokafka


@pytest.mark.slow
def test_a_wrong_password_is_said(secure) -> None:
    broker = broker_of(secure, "SCRAM-SHA-512", password="wrong")
    with pytest.raises(UnreachableError, match="over sasl_plaintext") as caught:
        create_topics(broker)
    assert "name and password" in caught.value.remedy
    assert "wrong" not in str(caught.value)


def test_settings_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="name or password is missing"):
        _ = load({}, {"ECGWATCH_KAFKA_PROTOCOL": "sasl_ssl"})[0].kafka
    with pytest.raises(BadInputError, match="TLS files"):
        _ = load(
            {}, {"ECGWATCH_KAFKA_PROTOCOL": "ssl", "ECGWATCH_KAFKA_CA": str(tmp_path / "none.pem")}
        )[0].kafka
