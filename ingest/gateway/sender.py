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

from ingest.gateway.spool import ChunkBatch, Cursor, Spool
from ingest.gateway.uplink.base import ACCEPTED, Answer, Uplink
from ingest.wire import Refusal

log = logging.getLogger(__name__)

MAX_CHUNKS = 60
MAX_BYTES = 256 * 1024
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
REFUSED_WAIT_S = 30.0  # a person has to do something first
UNUSABLE, TOO_LARGE, BUSY, OVER = 422, 413, 429, 409
REFUSED = (401, 403, 404, 410)
AHEAD_S = 60.0  # how far samples may be ahead of the server's clock


class Sender:
    """Sends the spool of one device. `problem` says why it cannot send; "" if it can."""

    def __init__(self, uplink: Uplink, spool: Spool, name: str) -> None:
        self.problem = ""
        self.sent = self.refused = 0  # chunks
        self._uplink, self._spool, self._name = uplink, spool, name
        self._more = asyncio.Event()
        self._wait_s = FIRST_WAIT_S
        self._limit = MAX_CHUNKS

    def wake(self) -> None:
        """Wake the sender: there is something new in the spool."""
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
        """One batch; returns how long to wait before the next."""
        answer = await self._uplink.send(batch)
        if not answer.status:
            return self._later(answer.refusal.problem)
        if answer.status == ACCEPTED:
            return self._accepted(batch, answer)
        return await self._refuse(batch, answer)

    def _accepted(self, batch: ChunkBatch, answer: Answer) -> float:
        have = [
            behind
            for chunk, behind in zip(batch.chunks, batch.behind, strict=True)
            if answer.next_sample is not None and chunk.first_sample + chunk.n <= answer.next_sample
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

    async def _refuse(self, batch: ChunkBatch, answer: Answer) -> float:
        status, refusal = answer.status, answer.refusal
        problem = _problem_of(refusal)
        if status == BUSY:
            return self._later(f"the server is busy: {problem}", answer.retry_after_s)
        if status in REFUSED:
            return self._later(f"refused ({status}): {problem}", REFUSED_WAIT_S)
        over = status == OVER and refusal.field != "samples"
        begun = batch.chunks[0].first_sample > 0
        if over or (status == UNUSABLE and refusal.field == "first_sample" and begun):
            return await self._renew(batch, problem)
        if status == UNUSABLE and refusal.field == "t0_ns" and (wait_s := await self._ahead(batch)):
            return wait_s
        if status not in (UNUSABLE, TOO_LARGE, OVER):
            return self._later(f"the server answers {status}: {problem}")
        if len(batch.chunks) > 1:
            self._limit = max(len(batch.chunks) // 2, 1)  # which of them is it?
        else:
            self._pass_over(batch.behind[0], 1, problem)
        return 0.0

    async def _renew(self, batch: ChunkBatch, problem: str) -> float:
        """Send the rest as a new stream, if the device may: the server has ended the present
        one."""
        device = await self._uplink.ask()
        if device is None:
            return self._later(f"refused: {problem}")
        first = batch.chunks[0]
        other = (
            device.stream is not None
            and device.stream.id != batch.stream
            and not device.stream.over
        )
        if device.worn_by is None or (other and first.first_sample > 0):
            return self._later(f"refused: {problem}", REFUSED_WAIT_S)
        early = [c for c in batch.chunks if c.t0_ns < (device.since_ns or 0)]
        if early:
            self._pass_over(batch.behind[len(early) - 1], len(early), problem)
        else:
            self._spool.rename()
            log.warning("continuing as a new stream", extra={"device": self._name, "why": problem})
        return 0.0

    async def _ahead(self, batch: ChunkBatch) -> float:
        """How long to wait because this machine's clock is ahead of the server's; 0 if it is not."""
        device = await self._uplink.ask()
        ahead_s = 0.0 if device is None else (batch.chunks[-1].t0_ns - device.now_ns) / 1e9
        if ahead_s <= AHEAD_S:
            return 0.0
        problem = f"this machine's clock is {ahead_s:.0f} s ahead of the server's"
        return self._later(problem, REFUSED_WAIT_S)

    def _pass_over(self, behind: Cursor, chunks: int, problem: str) -> None:
        self.refused += chunks
        self._spool.acknowledge(behind)
        details = {"device": self._name, "chunks": chunks, "said": problem}
        log.error("the server cannot use this; it is skipped", extra=details)
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


def _problem_of(refusal: Refusal) -> str:
    field = f" (field {refusal.field})" if refusal.field else ""
    return f"{refusal.problem}{field}. {refusal.remedy}".strip()
