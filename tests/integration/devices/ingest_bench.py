"""An ingest server on a real broker, for tests: devices, people, chunks, and what Kafka has."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from uuid import uuid4

import confluent_kafka
import httpx
import uvloop

from dashboards.monitor.http.guard import SafeHeaders
from dashboards.monitor.http.phone import routes as phone_routes
from dashboards.monitor.http.serve import serve
from ingest.clock import SystemClock
from ingest.messages import JournalEntry, SampleChunk, decode
from ingest.operator import OperatorOutlet
from ingest.registry import steps
from ingest.registry.reader import read_registry
from ingest.registry.step import Author, Steps
from ingest.server import app
from ingest.server.service import IngestService
from ingest.topics import JOURNAL, SAMPLES
from ingest.wire import Chunk, encode_chunks

FS, N = 130.0, 65


class Server:
    """An ingest server in a thread. `stop` may be followed by `start` on the same port."""

    def __init__(self, broker: str, port: int = 0) -> None:
        self._broker, self.port = broker, port

    def start(self, make_beside=lambda service: ()) -> None:
        """Begin; `make_beside` makes what runs beside it."""
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: self._until_stopped(make_beside))
        self._thread.start()
        while not self._up.wait(0.1):
            assert self._thread.is_alive(), "the server has ended"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _until_stopped(self, make_beside) -> None:
        """On the loop that the command runs on."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._run(make_beside))

    async def _run(self, make_beside) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self.service = IngestService(self._broker, SystemClock())

        def announce(url: str) -> None:
            self.port = int(url.rstrip("/").rpartition(":")[2])
            self._up.set()

        with contextlib.suppress(asyncio.CancelledError):
            async with app.running(self.service, make_beside(self.service)):
                served = SafeHeaders(app.create_app(self.service, phone_routes()))
                await serve(served, "127.0.0.1", self.port, announce)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running(broker: str, make_beside=lambda service: ()) -> Iterator[Server]:
    """A server between its start and its stop."""
    server = Server(broker)
    server.start(make_beside)
    try:
        yield server
    finally:
        server.stop()


class People:
    """What an admin does."""

    def __init__(self, broker: str) -> None:
        self.broker, self._outlet = broker, OperatorOutlet(broker)

    def take(self, make, *arguments, **fields) -> None:
        by = Author("Kim", time.time_ns())
        self._send(make(read_registry(self.broker), *arguments, by, **fields))

    def device(self, name: str, patient: str = "", ago_s: float = 0.0) -> str:
        """A new device's token; worn by a person admitted for it some time ago, if one is named."""
        by = Author("Kim", time.time_ns() - round(ago_s * 1e9))
        registry = read_registry(self.broker)
        made, token = steps.add_device(registry, name, by)
        self._send(made)
        for record in made.records:
            registry.apply(record)
        if patient:
            self._send(steps.admit(registry, patient, by, device_id=name))
        return token

    def _send(self, made: Steps) -> None:
        for message in made.messages:
            self._outlet.send(message)


def chunk(start_ns: int, k: int, **fields) -> Chunk:
    base = {
        "first_sample": k * N,
        "t0_ns": start_ns + round(k * N * 1e9 / FS),
        "fs_hz": FS,
        "counts_per_mv": 1000.0,
        "samples": bytes([k % 251, 1] * N),
    }
    return Chunk(**(base | fields))


class Sender:
    """One device over HTTP."""

    def __init__(self, url: str, token: str, stream: str = "") -> None:
        self.stream, self.token, self.start_ns = stream or str(uuid4()), token, time.time_ns()
        self.client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"} if token else {}, timeout=30
        )

    def send(self, *numbers: int, media: str = "application/msgpack", **fields) -> httpx.Response:
        body = encode_chunks([chunk(self.start_ns, k, **fields) for k in numbers], media)
        return self.post(body, media)

    def post(self, body: bytes, media: str = "application/msgpack") -> httpx.Response:
        path = f"/api/ingest/v1/streams/{self.stream}/chunks"
        return self.client.post(path, content=body, headers={"Content-Type": media})

    def until_taken(self, number: int, seconds: float = 30) -> httpx.Response:
        """Repeat while it is 401, 409 or 429: the registry takes a moment, a broker longer."""
        deadline = time.monotonic() + seconds
        while (answer := self.send(number)).status_code != 202 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert answer.status_code == 202, answer.text
        return answer


def kept(broker: str, patient: str = "") -> list[SampleChunk]:
    """All that Kafka has, of one patient or of all, in order."""
    return [
        c for c in read_topic(broker, SAMPLES.name, SampleChunk) if patient in ("", c.patient_id)
    ]


def journal(broker: str) -> list[JournalEntry]:
    return read_topic(broker, JOURNAL.name, JournalEntry)


def read_topic(broker: str, topic: str, kind):
    settings = {"bootstrap.servers": broker, "group.id": str(uuid4()), "log_level": 0}
    consumer = confluent_kafka.Consumer(settings)
    found = consumer.list_topics(topic, timeout=30).topics[topic]
    parts = [
        confluent_kafka.TopicPartition(topic, p, confluent_kafka.OFFSET_BEGINNING)
        for p in found.partitions
    ]
    left = {p.partition: consumer.get_watermark_offsets(p, 30)[1] for p in parts}
    left = {partition: end for partition, end in left.items() if end}
    consumer.assign(parts)
    messages = []
    while left:
        message = consumer.poll(10)
        assert message is not None, f"{topic} does not end"
        messages.append(decode(message.value(), kind))
        if message.offset() + 1 >= left.get(message.partition(), 0):
            left.pop(message.partition(), None)
    consumer.close()
    return messages
