"""The moving trace through Grafana Live: chosen patients' samples, pushed as they arrive.

    ecg.samples -> LiveFeed -> Thinner -> Publisher -> POST /api/live/push/STREAM (Influx line protocol)

Grafana forwards each measurement of a push as a channel, stream/STREAM/MEASUREMENT; the
measurements are patient ids. Grafana stores nothing of a push, so lines that cannot be sent within
KEPT_S are dropped, and only the viewer of the panel notices. Use the monitor to watch patients.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import httpx
import numpy as np
import numpy.typing as npt
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from ingest import topics
from ingest.clock import Clock
from ingest.errors import BadInputError
from ingest.kafka_access import aiokafka
from ingest.messages import BadMessageError, SampleChunk, decode, sample_offset_ns

log = logging.getLogger(__name__)
RATE_HZ = 125.0  # highest rate that is sent: 8 s are 1,000 points, about the pixels of a panel
BATCH_S = 0.15
KEPT_S = 2.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 10.0
TIMEOUT_S = 3.0
RETRY_S = 1.0
_CHANNEL = re.compile(r"[A-Za-z0-9_\-.=/]{1,120}")


class LineBatch(NamedTuple):
    """Lines to send, and their arrival time in seconds of the steady clock."""

    lines: list[str]
    at_s: float


def check_names(patients: Iterable[str], stream: str) -> None:
    """Raise BadInputError for a patient or a stream whose name cannot be part of a channel's
    name."""
    for name in (stream, *patients):
        if not _CHANNEL.fullmatch(name):
            problem = f"{name!r} cannot be a channel of Grafana Live"
            raise BadInputError(
                problem,
                "Its names have letters, digits and _ - . = / only: stream under such a patient id.",
            )


class Thinner:
    """Thins the samples of many patients to at most RATE_HZ: sends, of each group, the sample
    furthest from the one sent before, so that peaks stay.

    Real samples at their own times, never means; groups lie on a grid fixed by the stream's first
    sample.
    """

    def __init__(self) -> None:
        # number of the first sample, samples of an incomplete group
        self._rest: dict[str, tuple[int, npt.NDArray[np.int16]]] = {}

    def push(self, chunk: SampleChunk) -> list[str]:
        """Lines for the groups that the chunk completes: mV at nanosecond precision."""
        size = max(1, round(chunk.fs_hz / RATE_HZ))
        first, counts = self._joined(chunk)
        skip = -first % size
        whole = (len(counts) - skip) // size
        if whole < 1:
            self._rest[chunk.patient_id] = first, counts
            return []
        end = skip + whole * size
        self._rest[chunk.patient_id] = first + end, counts[end:]
        groups = counts[skip:end].reshape(whole, size).astype(np.int32)
        before = np.concatenate([groups[:1, 0], groups[:-1, -1]])
        chosen = np.abs(groups - before[:, None]).argmax(axis=1)
        millivolts = groups[np.arange(whole), chosen] / chunk.counts_per_mv
        numbers = first + skip + np.arange(whole) * size + chosen
        return [
            f"{chunk.patient_id} mv={mv:.4f} {chunk.start_ns + sample_offset_ns(number, chunk.fs_hz)}"
            for number, mv in zip(numbers.tolist(), millivolts.tolist(), strict=True)
        ]

    def _joined(self, chunk: SampleChunk) -> tuple[int, npt.NDArray[np.int16]]:
        """The chunk appended to the incomplete group of the one before, unless samples are missing
        between them."""
        first, rest = self._rest.pop(chunk.patient_id, (0, np.empty(0, np.int16)))
        if first + len(rest) != chunk.first_sample:
            return chunk.first_sample, chunk.counts()
        return first, np.concatenate([rest, chunk.counts()])


class Publisher:
    """Sends the lines that it is given every BATCH_S; while Grafana is unreachable, it backs off
    and keeps the lines of the last KEPT_S."""

    def __init__(self, url: str, token: str, stream: str, clock: Clock) -> None:
        user, colon, password = token.partition(":")
        auth = httpx.BasicAuth(user, password) if colon else None
        headers = {} if colon else {"Authorization": f"Bearer {token}"}
        self._client = httpx.AsyncClient(auth=auth, headers=headers, timeout=TIMEOUT_S)
        self._url, self._clock = f"{url.rstrip('/')}/api/live/push/{stream}", clock
        self._waiting: deque[LineBatch] = deque()
        self.sent = self.dropped = 0  # lines

    def give(self, lines: list[str]) -> None:
        """Queue lines for the next push. Never blocks."""
        now = self._clock.steady_s()
        if lines:
            self._waiting.append(LineBatch(lines, now))
        while self._waiting and now - self._waiting[0].at_s > KEPT_S:
            self.dropped += len(self._waiting.popleft().lines)

    async def run(self) -> None:
        """Push until cancelled."""
        wait_s = 0.0
        try:
            while True:
                await asyncio.sleep(wait_s or BATCH_S)
                self.give([])  # drops lines that are too old
                problem = await self._push()
                if problem and not wait_s:
                    log.warning("%s; trying again, samples meanwhile are dropped", problem)
                wait_s = min(max(2 * wait_s, FIRST_WAIT_S), LONGEST_WAIT_S) if problem else 0.0
        finally:
            await self._client.aclose()

    async def _push(self) -> str:
        """Send all queued lines; returns the problem, "" if there is none. After a problem the
        lines stay queued."""
        batches = list(self._waiting)
        if not batches:
            return ""
        lines = [line for batch in batches for line in batch.lines]
        try:
            answer = await self._client.post(self._url, content="\n".join(lines))
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            return f"Grafana refuses the samples ({status})" + (
                ": is ECGWATCH_GRAFANA_TOKEN right?" if status in (401, 403) else ""
            )
        except httpx.HTTPError as error:
            return f"Grafana does not answer ({type(error).__name__})"
        for batch in batches:
            if self._waiting and self._waiting[0] is batch:
                self._waiting.popleft()
        self.sent += len(lines)
        return ""


class LiveFeed:
    """Reads the chosen patients' chunks from now on, without a consumer group; survives a broker's
    restart."""

    def __init__(self, broker: str, patients: Sequence[str]) -> None:
        self._broker, self._keys = broker, {patient.encode() for patient in patients}

    async def run(self, deliver: Callable[[SampleChunk], None]) -> None:
        """Deliver arriving chunks until cancelled."""
        while True:
            try:
                await self._session(deliver)
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning(
                    "broker %s: %s; trying again", self._broker, error or type(error).__name__
                )
            await asyncio.sleep(RETRY_S)

    async def _session(self, deliver: Callable[[SampleChunk], None]) -> None:
        consumer = AIOKafkaConsumer(
            topics.SAMPLES.name,
            **aiokafka(self._broker),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_wait_ms=100,
        )
        try:
            await consumer.start()
            async for record in consumer:
                if record.key in self._keys and (chunk := _chunk(record)) is not None:
                    deliver(chunk)
        finally:
            await asyncio.gather(consumer.stop(), return_exceptions=True)


async def publish(feed: LiveFeed, publisher: Publisher) -> None:
    """Feed the publisher until cancelled."""
    thinner = Thinner()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publisher.run())
        tasks.create_task(feed.run(lambda chunk: publisher.give(thinner.push(chunk))))


def _chunk(record: Any) -> SampleChunk | None:
    try:
        return decode(record.value or b"", SampleChunk)
    except BadMessageError:  # the processor reports undecodable messages
        return None
