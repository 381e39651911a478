"""Sends one device's spool to the ingest server, in order, for as long as it takes.

Nothing is given up but what the server can never use: chunks that it calls wrong, and samples from
before the device was given to its wearer. They are counted, logged and passed over, because
everything behind them would wait for ever. A stream that is over for the server (another wearer, or
it has forgotten it) goes on as a new one. A server that is away, busy or refuses the device is
asked again, ever less often.
"""

from __future__ import annotations

import asyncio
import logging
import random

import httpx
import msgspec

from ingest.gateway.spool import ChunkBatch, Cursor, Spool
from ingest.wire import CHUNKS_PATH, DEVICE_PATH, MESSAGEPACK, Refusal, Reply, encode_chunks

log = logging.getLogger(__name__)

MAX_CHUNKS = 60
MAX_BYTES = 256 * 1024
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
REFUSED_WAIT_S = 30.0  # a person has to do something first
TIMEOUT = httpx.Timeout(15.0, connect=5.0)
UNUSABLE, TOO_LARGE, BUSY, OVER = 422, 413, 429, 409
REFUSED = (401, 403, 404, 410)
AHEAD_S = 60.0  # samples may be so much ahead of the server's clock


class _Stream(msgspec.Struct, frozen=True):
    id: str
    over: str = ""


class _Device(msgspec.Struct, frozen=True):
    """What the server knows of this device."""

    worn_by: dict[str, str] | None
    since_ns: int | None
    stream: _Stream | None
    now_ns: int


class Sender:
    """Of one device. `problem` says what holds it up; "" if nothing does."""

    def __init__(self, client: httpx.AsyncClient, token: str, spool: Spool, name: str) -> None:
        self.problem = ""
        self.sent = self.refused = 0  # chunks
        self._client, self._spool, self._name = client, spool, name
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": MESSAGEPACK}
        self._more = asyncio.Event()
        self._wait_s = FIRST_WAIT_S
        self._limit = MAX_CHUNKS

    def wake(self) -> None:
        """There is something new in the spool."""
        self._more.set()

    async def run(self) -> None:
        """Send, until cancelled."""
        while True:
            self._more.clear()
            batch = self._spool.next(self._limit, MAX_BYTES)
            if batch is None:
                await self._more.wait()
            elif (pause_s := await self._send(batch)) > 0:
                await asyncio.sleep(pause_s)

    async def drain(self) -> None:
        """Send what there is, once, without waiting for a server that does not take it."""
        while (batch := self._spool.next(self._limit, MAX_BYTES)) is not None:
            if await self._send(batch) > 0:
                return

    async def _send(self, batch: ChunkBatch) -> float:
        """One request; returns how long to wait before the next."""
        path = CHUNKS_PATH.format(stream=batch.stream)
        body = encode_chunks(batch.chunks, MESSAGEPACK)
        headers = self._headers | {"Accept": MESSAGEPACK}
        try:
            answer = await self._client.post(path, content=body, headers=headers, timeout=TIMEOUT)
        except httpx.HTTPError as error:
            return self._later(f"the server does not answer ({type(error).__name__})")
        if answer.status_code == httpx.codes.ACCEPTED:
            return self._accepted(batch, answer)
        return await self._refuse(batch, answer)

    def _accepted(self, batch: ChunkBatch, answer: httpx.Response) -> float:
        try:
            reply = _decode(answer, Reply)
        except msgspec.MsgspecError:
            return self._later("the server's answer cannot be read: is it of this version?")
        have = [
            behind
            for chunk, behind in zip(batch.chunks, batch.behind, strict=True)
            if reply.next_sample is not None and chunk.first_sample + chunk.n <= reply.next_sample
        ]
        if not have:
            return self._later("the server has taken nothing")
        self._spool.acknowledge(have[-1])
        self.sent += len(have)
        if self.problem:
            log.info("sending", extra={"device": self._name})
        self.problem, self._wait_s = "", FIRST_WAIT_S
        self._limit = min(2 * self._limit, MAX_CHUNKS)
        return 0.0

    async def _refuse(self, batch: ChunkBatch, answer: httpx.Response) -> float:
        status, refusal = answer.status_code, _refusal(answer)
        said = _said(refusal)
        if status == BUSY:
            return self._later(f"the server is busy: {said}", _retry_after(answer))
        if status in REFUSED:
            return self._later(f"refused ({status}): {said}", REFUSED_WAIT_S)
        over = status == OVER and refusal.field != "samples"
        begun = batch.chunks[0].first_sample > 0
        if over or (status == UNUSABLE and refusal.field == "first_sample" and begun):
            return await self._renew(batch, said)
        if status == UNUSABLE and refusal.field == "t0_ns" and (wait_s := await self._ahead(batch)):
            return wait_s
        if status not in (UNUSABLE, TOO_LARGE, OVER):
            return self._later(f"the server answers {status}: {said}")
        if len(batch.chunks) > 1:
            self._limit = max(len(batch.chunks) // 2, 1)  # which of them is it?
        else:
            self._pass_over(batch.behind[0], 1, said)
        return 0.0

    async def _renew(self, batch: ChunkBatch, said: str) -> float:
        """The stream is over for the server: may the device begin another with what is left?"""
        device = await self._ask()
        if device is None:
            return self._later(f"refused: {said}")
        first = batch.chunks[0]
        other = (
            device.stream is not None
            and device.stream.id != batch.stream
            and not device.stream.over
        )
        if device.worn_by is None or (other and first.first_sample > 0):
            return self._later(f"refused: {said}", REFUSED_WAIT_S)
        early = [c for c in batch.chunks if c.t0_ns < (device.since_ns or 0)]
        if early:
            self._pass_over(batch.behind[len(early) - 1], len(early), said)
        else:
            self._spool.rename()
            log.warning("goes on as a new stream", extra={"device": self._name, "why": said})
        return 0.0

    async def _ahead(self, batch: ChunkBatch) -> float:
        """How long to wait because this machine's clock is ahead of the server's; 0 if it is not."""
        device = await self._ask()
        ahead_s = 0.0 if device is None else (batch.chunks[-1].t0_ns - device.now_ns) / 1e9
        if ahead_s <= AHEAD_S:
            return 0.0
        problem = f"this machine's clock is {ahead_s:.0f} s ahead of the server's"
        return self._later(problem, REFUSED_WAIT_S)

    async def _ask(self) -> _Device | None:
        """What the server knows of the device; None if it does not say."""
        try:
            answer = await self._client.get(DEVICE_PATH, headers=self._headers, timeout=TIMEOUT)
            return msgspec.json.decode(answer.content, type=_Device)
        except (httpx.HTTPError, msgspec.MsgspecError):
            return None

    def _pass_over(self, behind: Cursor, chunks: int, said: str) -> None:
        self.refused += chunks
        self._spool.acknowledge(behind)
        details = {"device": self._name, "chunks": chunks, "said": said}
        log.error("the server cannot use this; it is passed over", extra=details)
        self._limit = MAX_CHUNKS

    def _later(self, problem: str, wait_s: float | None = None) -> float:
        """Note what is wrong, once, and wait longer each time."""
        if problem != self.problem:
            log.warning("not sending", extra={"device": self._name, "problem": problem})
        self.problem = problem
        if wait_s is not None:
            return wait_s
        wait_s, self._wait_s = self._wait_s, min(2 * self._wait_s, LONGEST_WAIT_S)
        return wait_s * random.uniform(0.7, 1.0)  # many gateways come back at the same moment


def _decode(answer: httpx.Response, kind: type[Reply]) -> Reply:
    packed = answer.headers.get("content-type", "").startswith(MESSAGEPACK)
    return (msgspec.msgpack.decode if packed else msgspec.json.decode)(answer.content, type=kind)


def _refusal(answer: httpx.Response) -> Refusal:
    try:
        return msgspec.json.decode(answer.content, type=Refusal)
    except msgspec.MsgspecError:
        return Refusal(problem=answer.reason_phrase)


def _said(refusal: Refusal) -> str:
    field = f" (field {refusal.field})" if refusal.field else ""
    return f"{refusal.problem}{field}. {refusal.remedy}".strip()


def _retry_after(answer: httpx.Response) -> float:
    try:
        return max(float(answer.headers.get("retry-after", "1")), 0.1)
    except ValueError:
        return 1.0
