"""MQTT 5 through a real mosquitto, if it is installed, to a broker."""

from __future__ import annotations

import contextlib
import queue
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.clock import SystemClock
from ingest.embedded import EmbeddedBroker
from ingest.errors import BadInputError, UnreachableError
from ingest.registry.device_states import read_states
from ingest.server.mqtt import MqttSubscriber
from ingest.server.service import IngestService
from ingest.wire import JSON, MESSAGEPACK, Reply, encode_chunks, mqtt_topic
from tests.integration.devices.ingest_bench import N, People, chunk, journal, kept, running
from tools.service_base import free_port

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[str]:
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed; apt-get install mosquitto")
    port = free_port()
    settings = tmp_path / "mosquitto.conf"
    settings.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\n"
    )
    process = subprocess.Popen([MOSQUITTO, "-c", str(settings)], stderr=subprocess.DEVNULL)
    yield f"mqtt://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


class Device:
    """A device that publishes, and what it hears back."""

    def __init__(self, url: str, name: str, token: str) -> None:
        self.name, self.token, self.heard = name, token, queue.Queue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_message = lambda c, u, m: self.heard.put(
            msgspec.json.decode(m.payload, type=Reply)
        )
        self.client.connect("127.0.0.1", int(url.rpartition(":")[2]))
        self.client.subscribe(mqtt_topic("ward", name, "reply"))
        self.client.loop_start()

    def publish(
        self, what: str, payload: bytes, media: str = MESSAGEPACK, stream: str = ""
    ) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = media
        properties.UserProperty = [("token", self.token), ("stream", stream)]
        sent = self.client.publish(
            mqtt_topic("ward", self.name, what), payload, 1, properties=properties
        )
        sent.wait_for_publish(10)

    def hear(self) -> Reply:
        return self.heard.get(timeout=15)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_chunks_status_and_symptom_by_mqtt(mosquitto):
    with EmbeddedBroker() as embedded:
        people = People(embedded.address)
        token = people.device("h1", "ada")
        with running(embedded.address, lambda service: [MqttSubscriber(mosquitto, service)]):
            device, stream, start_ns = Device(mosquitto, "h1", token), str(uuid4()), time.time_ns()
            for k, media in enumerate([MESSAGEPACK, JSON, MESSAGEPACK]):
                device.publish("samples", encode_chunks([chunk(start_ns, k)], media), media, stream)
            told = [device.hear().next_sample for _ in range(3)]
            assert told == sorted(told)
            assert told[-1] == 3 * N
            device.publish("samples", encode_chunks([chunk(start_ns, 1)]), MESSAGEPACK, stream)
            assert device.hear().next_sample == 3 * N  # a repeat
            for refused, status, field in (
                (b"nonsense", 422, ""),
                (encode_chunks([chunk(start_ns, 3, battery=2.0)]), 422, "battery"),
                (encode_chunks([chunk(start_ns, 0, samples=bytes(2 * N))]), 409, "samples"),
            ):
                device.publish("samples", refused, MESSAGEPACK, stream)
                heard = device.hear()
                assert (heard.status, heard.field) == (status, field)
            device.publish("samples", b"[]", "text/csv", stream)
            assert device.hear().status == 415
            event = {"id": "e1", "time_ns": time.time_ns(), "text": "dizzy"}
            device.publish("event", msgspec.json.encode(event), JSON)
            device.publish("status", b'{"online": true, "battery": 0.4}', JSON)
            thief = Device(mosquitto, "h2", token)
            thief.publish("samples", encode_chunks([chunk(start_ns, 3)]), MESSAGEPACK, stream)
            assert thief.hear().status == 403
            thief.token = "wrong"
            thief.publish("samples", encode_chunks([chunk(start_ns, 3)]), MESSAGEPACK, stream)
            assert thief.hear().status == 401
            device.close()
            thief.close()
        assert [c.first_sample for c in kept(embedded.address, "ada")] == [0, N, 2 * N]
        assert [e.text for e in journal(embedded.address) if e.kind == "symptom"] == ["dizzy"]
        assert read_states(embedded.address)["h1"].battery == 0.4


def test_what_was_published_while_the_server_was_away_comes_when_it_is_back(mosquitto):
    with EmbeddedBroker() as embedded:
        token = People(embedded.address).device("h1", "ada")
        device, stream, start_ns = Device(mosquitto, "h1", token), str(uuid4()), time.time_ns()
        with running(embedded.address, lambda service: [MqttSubscriber(mosquitto, service)]):
            device.publish("samples", encode_chunks([chunk(start_ns, 0)]), MESSAGEPACK, stream)
            assert device.hear().next_sample == N
        for k in range(1, 40):
            device.publish("samples", encode_chunks([chunk(start_ns, k)]), MESSAGEPACK, stream)
        with running(embedded.address, lambda service: [MqttSubscriber(mosquitto, service)]):
            while device.hear().next_sample != 40 * N:
                pass
        device.close()
        assert [c.first_sample for c in kept(embedded.address, "ada")] == [k * N for k in range(40)]


def test_a_broker_that_restarts_is_connected_to_again(tmp_path):
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed; apt-get install mosquitto")
    port = free_port()
    url, settings = f"mqtt://127.0.0.1:{port}", tmp_path / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    command = [MOSQUITTO, "-c", str(settings)]
    with EmbeddedBroker() as embedded:
        token = People(embedded.address).device("h1", "ada")
        first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        _until_it_listens(port)
        stream, start_ns = str(uuid4()), time.time_ns()
        with running(embedded.address, lambda service: [MqttSubscriber(url, service)]):
            device = Device(url, "h1", token)
            device.publish("samples", encode_chunks([chunk(start_ns, 0)]), MESSAGEPACK, stream)
            assert device.hear().next_sample == N
            device.close()
            first.kill()
            first.wait(10)
            second = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            _until_it_listens(port)
            device, heard, k = Device(url, "h1", token), 0, 1
            deadline = time.monotonic() + 60
            while heard < 2 * N and time.monotonic() < deadline:  # until it has subscribed again
                device.publish("samples", encode_chunks([chunk(start_ns, k)]), MESSAGEPACK, stream)
                with contextlib.suppress(queue.Empty):
                    heard = device.heard.get(timeout=1).next_sample
            device.close()
        second.terminate()
        second.wait(10)
    assert heard == 2 * N


def _until_it_listens(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("mosquitto does not start")


async def test_a_broker_that_is_not_there_is_an_error_that_says_so():
    service = IngestService("127.0.0.1:1", SystemClock())
    subscriber = MqttSubscriber(f"mqtt://127.0.0.1:{free_port()}", service)
    with pytest.raises(UnreachableError, match="MQTT broker"):
        await subscriber.start()
    with pytest.raises(BadInputError, match="mqtt://HOST"):
        MqttSubscriber("http://x", service)
