"""The services script and the fixtures on it: what recovery tests lean on."""

import time
import uuid

import confluent_kafka


def watermarks(consumer: confluent_kafka.Consumer, topic: str, partition: int) -> tuple[int, int]:
    """First and next offset. Just started, or with a topic just made, Kafka answers before it leads
    the partition."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return consumer.get_watermark_offsets(
                confluent_kafka.TopicPartition(topic, partition), timeout=30
            )
        except confluent_kafka.KafkaException as error:
            if (
                error.args[0].code() != confluent_kafka.KafkaError.NOT_LEADER_FOR_PARTITION
                or time.monotonic() > deadline
            ):
                raise
            time.sleep(0.2)


def test_broker_is_empty_and_takes_messages(broker):
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker.address, "log.connection.close": False}
    )
    producer.produce("ecg.samples", b"x", key=b"p")
    assert producer.flush(60) == 0
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker.address, "group.id": "looker", "log.connection.close": False}
    )
    parts = consumer.list_topics("ecg.samples", timeout=30).topics["ecg.samples"].partitions
    ends = [watermarks(consumer, "ecg.samples", p)[1] for p in parts]
    consumer.close()
    assert sum(ends) == 1  # nothing of the run against the other broker, nothing of an earlier test


def test_kafka_keeps_messages_over_a_stop_and_a_kill(kafka):
    topic = f"test.{uuid.uuid4().hex}"
    quiet = {"bootstrap.servers": kafka.address, "log_level": 0}
    producer = confluent_kafka.Producer(quiet)
    for end in (kafka.stop, kafka.kill):
        producer.produce(topic, b"x", partition=0)
        assert producer.flush(60) == 0
        end()
        assert not kafka.running
        kafka.start()
    consumer = confluent_kafka.Consumer({**quiet, "group.id": "looker"})
    assert watermarks(consumer, topic, 0) == (0, 2)
    consumer.close()


def test_influxdb_keeps_its_setup_over_a_stop(influxdb):
    influxdb.stop()
    influxdb.start()
    assert not influxdb.request("GET", "/api/v2/setup")["allowed"]
    assert [
        b["name"]
        for b in influxdb.request("GET", f"/api/v2/buckets?name={influxdb.bucket}")["buckets"]
    ] == [influxdb.bucket]
