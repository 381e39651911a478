"""The private parts of faust that whole-fetch delivery stands on are the ones it was written
against."""

import hashlib
import inspect

import pytest
from faust.transport.consumer import Consumer, Fetcher, ThreadDelegateConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread

KNOWN = {
    "Consumer._drain_messages": (Consumer._drain_messages, "44a2500309e8"),
    "Consumer._wait_next_records": (Consumer._wait_next_records, "6218e1969a63"),
    "Consumer._commit_offsets": (Consumer._commit_offsets, "1a6979904118"),
    "Consumer.perform_seek": (Consumer.perform_seek, "0e8c130ff4b0"),
    "Fetcher._fetcher": (Fetcher._fetcher.fun, "68f894f0b577"),
    "ThreadDelegateConsumer._getmany": (ThreadDelegateConsumer._getmany, "f9d47aa9010b"),
    "AIOKafkaConsumerThread._fetch_records": (
        AIOKafkaConsumerThread._fetch_records,
        "39a2c6c79fc1",
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_faust_is_the_one_we_know(name):
    part, digest = KNOWN[name]
    found = hashlib.sha256(inspect.getsource(part).encode()).hexdigest()[:12]
    assert found == digest, (
        f"faust's {name} has changed: read it, adapt stream_processor/kafka/delivery.py, run tests/integration/processor/test_process.py"
    )
