"""The ingest server without its protocols: registry, streams and Kafka, from `start` to `stop`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from ingest import topics
from ingest.clock import Clock
from ingest.messages import JournalEntry, encode
from ingest.registry.device_states import read_states
from ingest.registry.reader import RegistryFollower
from ingest.registry.records import DeviceRecord
from ingest.server.gate import Gate
from ingest.server.outlet import KafkaOutlet, KafkaRefusedError
from ingest.server.refusals import IngestRefusedError, RefusalLog, away
from ingest.server.stream import Done
from ingest.server.stream_checks import AHEAD_NS
from ingest.server.streams import StreamBook
from ingest.wire import WearerEvent

log = logging.getLogger(__name__)
ANSWER_S = 5.0  # how long an answer waits for Kafka
ANNOUNCE_S = 30.0
MAX_EVENT_TEXT = 500


class IngestService:
    """The part of the ingest server that HTTP, WebSocket and MQTT share. `start` and `stop` on the
    event loop."""

    def __init__(self, broker: str, clock: Clock) -> None:
        self.clock, self._broker = clock, broker
        self.refusals = RefusalLog(clock)
        self.gate = Gate(clock)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read registry and streams, then begin. Raises UnreachableError."""
        loop = asyncio.get_running_loop()

        def changed() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                loop.call_soon_threadsafe(self._registry_changed)

        states = await asyncio.to_thread(read_states, self._broker)
        self.outlet = KafkaOutlet(self._broker, self.clock)
        self.book = StreamBook(self.outlet, self.clock)
        self.book.restore(list(states.values()))
        self._follower = RegistryFollower(self._broker, changed)
        await asyncio.to_thread(self._follower.start)
        self._registry_changed()
        self._tasks = [
            asyncio.create_task(self.outlet.run()),
            asyncio.create_task(self._announce()),
        ]

    async def stop(self) -> None:
        """Publish the streams' states a last time, and send waiting messages to Kafka."""
        self.book.announce(self.clock.now_ns() - round(ANNOUNCE_S * 1e9))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.outlet.close)
        await asyncio.to_thread(self._follower.stop)

    def device(self, token: str, address: str) -> DeviceRecord:
        """Return the device that has this token. Raises RefusedError."""
        return self.gate.device(self.book.registry, token, address)

    def device_now(self, device: DeviceRecord) -> DeviceRecord:
        """Return the device's present record, for a lasting connection. Raises RefusedError 401 if
        its token is no longer valid."""
        now = self.book.registry.devices.get(device.device_id)
        if now is None or now.token_sha256 != device.token_sha256:
            raise IngestRefusedError(401, "the token was revoked", "Ask for a new one.")
        return now

    async def settle(self, done: Sequence[Done]) -> None:
        """Wait until Kafka has all of these. Raises RefusedError 429 if that takes too long:
        nothing is lost, the sender may repeat them."""
        pending = [one for one in done if not one.done()]
        if pending:
            await asyncio.wait(pending, timeout=ANSWER_S)
        for one in done:
            if not one.done():
                raise away()
            error = one.exception()
            if isinstance(error, KafkaRefusedError):
                raise IngestRefusedError(
                    429,
                    f"Kafka refused the message: {error}",
                    "Send it again; see the broker's log.",
                    retry_after_s=5.0,
                )

    def event(self, device: DeviceRecord, event: WearerEvent) -> Done:
        """Take what the wearer says. Raises RefusedError."""
        bound = self.book.registry.binding(device.device_id)
        if bound is None:
            raise IngestRefusedError(
                409,
                f"nobody wears device {device.device_id!r}",
                "Assign it: ecgwatch devices assign.",
            )
        checks = (
            (
                0 < len(event.id) <= 64 and event.id.isprintable(),
                "id",
                "is empty, longer than 64, or not printable",
            ),
            (
                bound.device.bound_ns <= event.time_ns <= self.clock.now_ns() + AHEAD_NS,
                "time_ns",
                "is before the device was given to the person, or ahead of the server's clock",
            ),
            (
                len(event.text) <= MAX_EVENT_TEXT,
                "text",
                f"is longer than {MAX_EVENT_TEXT} characters",
            ),
            (
                all(c.isprintable() or c == "\n" for c in event.text),
                "text",
                "holds characters that cannot be printed",
            ),
        )
        for good, field, problem in checks:
            if not good:
                raise IngestRefusedError(422, f"{field} {problem}", field=field)
        patient = bound.person.patient_id
        entry = JournalEntry(
            patient_id=patient,
            time_ns=event.time_ns,
            id=event.id,
            by=device.device_id,
            kind=event.kind,
            text=event.text,
        )
        return self.outlet.send(topics.JOURNAL.name, patient.encode(), encode(entry))

    def _registry_changed(self) -> None:
        self.book.registry_changed(self._follower.registry)

    async def _announce(self) -> None:
        while True:
            since_ns = self.clock.now_ns()
            await asyncio.sleep(ANNOUNCE_S)
            self.book.announce(since_ns)
