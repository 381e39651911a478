"""One device: its link, made again whenever it is lost; its timeline; its spool."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import aclosing

import numpy as np

from ingest.clock import Clock
from ingest.gateway.base import (
    LINK_LOST,
    BadPacketError,
    LinkError,
    LiveBlock,
    LiveSource,
    Packet,
    RateBlock,
)
from ingest.gateway.recording import Recorder
from ingest.gateway.spool import Spool
from ingest.gateway.timing.rates import RateTimeline
from ingest.gateway.timing.timeline import OutgoingChunk, Timeline

log = logging.getLogger(__name__)

CONNECT_S = 120.0
FIRST_BLOCK_S = 45.0  # straps take up to 30 s until their first samples
SILENT_S = 10.0  # a link without samples for longer is dead, whatever it says
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
STEADY_S = 60.0  # a link that lived this long resets the waiting time
CLOCK_STEP_S = 0.5  # this machine's clock was set
SIGNAL_S = 5.0  # seconds of signal whose swing the status line shows


class Device:
    """Runs one source for as long as it takes. Nothing that a device does holds up another."""

    def __init__(
        self, source: LiveSource, spool: Spool, clock: Clock, recorder: Recorder | None = None,
        on_chunk: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.source, self.spool = source, spool
        self.timeline: Timeline | None = None
        self.rates = RateTimeline(source.wearing)  # of a source without a trace
        self.linked = False
        self.problem = "connecting"
        self.bad_packets = self.links = 0
        self.last_block_s: float | None = None  # steady time of the last samples
        self.recent: list[LiveBlock] = []
        self._clock, self._recorder, self._on_chunk = clock, recorder, on_chunk
        self._packets: list[Packet] = []
        self._wall_less_steady_s: float | None = None

    async def run(self) -> None:
        """Link, and link again, until cancelled."""
        wait_s = FIRST_WAIT_S
        try:
            while True:
                began_s = self._clock.steady_s()
                await self._link()
                if self._clock.steady_s() - began_s > STEADY_S:
                    wait_s = FIRST_WAIT_S
                await asyncio.sleep(wait_s * random.uniform(0.7, 1.0))
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        finally:
            self._lost()

    async def _link(self) -> None:
        """One link, from connecting to its loss."""
        try:
            await self._listen()
            self._unlinked("the device ended the link")
        except LinkError as error:
            self._unlinked(str(error))
        except TimeoutError:
            self._unlinked("no samples come, though the link stands")
        except (OSError, EOFError) as error:
            self._unlinked(f"{type(error).__name__}: {error}")
        except Exception:
            log.exception("the source breaks down", extra={"device": self.source.name})
            self._unlinked("the source breaks down; see the log")

    async def _listen(self) -> None:
        async with aclosing(self.source.packets()) as packets, asyncio.timeout(CONNECT_S) as limit:
            now_s = asyncio.get_running_loop().time
            async for packet in packets:
                first = not self.linked
                if self.take(packet) or not self.source.trace:
                    limit.reschedule(now_s() + SILENT_S)
                elif first:
                    limit.reschedule(now_s() + FIRST_BLOCK_S)

    def take(self, packet: Packet) -> bool:
        """Take a packet that has arrived. Returns True if it held samples."""
        if self._recorder is not None:
            self._recorder.write(packet)
        if not self.linked:
            self.linked, self.problem = True, ""
            self.links += 1
            log.info("linked", extra={"device": self.source.name, "link": self.links})
        self._packets.append(packet)
        try:
            block = self.source.decode(packet)
        except BadPacketError as error:
            self.bad_packets += 1
            if self.bad_packets.bit_count() == 1:  # 1, 2, 4, 8 ...
                details = {
                    "device": self.source.name,
                    "why": str(error),
                    "so_far": self.bad_packets,
                }
                log.warning("bad packet", extra=details)
            return False
        if isinstance(block, RateBlock):
            self._rates(block)
            return True
        if block is None or not len(block.microvolts):
            return False
        self._samples(block)
        return True

    def _rates(self, block: RateBlock) -> None:
        if step_s := self._clock_step_s():
            self._restarted(f"this machine's clock was set by {step_s:+.1f} s")
            self._keep(self.rates.restart())
        self.last_block_s = self._clock.steady_s()
        self._keep(self.rates.push(block))

    def _samples(self, block: LiveBlock) -> None:
        if self.timeline is None or self.timeline.fs_hz != self.source.fs_hz:
            if self.timeline is not None:
                self._keep(self.timeline.restart("the device has another sampling frequency"))
            source = self.source
            self.timeline = Timeline(source.fs_hz, source.lead, source.wearing, self._restarted)
        if step_s := self._clock_step_s():  # times before and after differ: another stream
            self._keep(self.timeline.restart(f"this machine's clock was set by {step_s:+.1f} s"))
        self.last_block_s = self._clock.steady_s()
        enough = int(SIGNAL_S * self.source.fs_hz / len(block.microvolts)) + 1
        self.recent = [*self.recent, block][-enough:]
        self._keep(self.timeline.push(block))

    def _clock_step_s(self) -> float:
        """By how much this machine's clock was set since the last samples; 0 if it was not."""
        difference_s = self._clock.now_ns() / 1e9 - self._clock.steady_s()
        before_s, self._wall_less_steady_s = self._wall_less_steady_s, difference_s
        step_s = 0.0 if before_s is None else difference_s - before_s
        return step_s if abs(step_s) > CLOCK_STEP_S else 0.0

    def _keep(self, outgoing: list[OutgoingChunk]) -> None:
        for stream, chunk in outgoing:
            packets, self._packets = self._packets, []
            self.spool.append(stream, chunk, packets)
        if outgoing:
            self._on_chunk()

    def _restarted(self, reason: str) -> None:
        log.warning("a new stream begins", extra={"device": self.source.name, "why": reason})

    def _unlinked(self, problem: str) -> None:
        if self.linked or problem != self.problem:
            log.warning("no link", extra={"device": self.source.name, "why": problem})
        self.problem = problem
        self._lost()

    def _lost(self) -> None:
        """Complete and spool what has arrived: the link is lost."""
        if self.linked and self._recorder is not None:
            self._recorder.write(self.source.packet(b"", LINK_LOST))
        self.linked = False
        self._keep(self.rates.unlink())
        if self.timeline is not None:
            self._keep(self.timeline.unlink())

    def swing_mv(self) -> float | None:
        """Peak to peak of the last seconds; None if there are none."""
        if not self.recent:
            return None
        return float(np.ptp(np.concatenate([b.microvolts for b in self.recent]))) / 1000
