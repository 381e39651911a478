"""Which brokers a test runs on, and which of these runs belong to the slow ones.

A group's first member waits 3 s for others on the embedded broker, and one that comes after the last
has left waits for the session to end (ingest/embedded.py). Tests that start members again and again
take minutes there, and seconds on Kafka: there they run quickly, and on the embedded one with --slow.
"""

import pytest

kafka_first = pytest.mark.parametrize(
    "broker", [pytest.param("embedded", marks=pytest.mark.slow), "kafka"], indirect=True
)
