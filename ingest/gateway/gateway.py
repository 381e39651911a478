"""All devices of this machine: each linked, spooled and sent by tasks of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ingest.clock import Clock
from ingest.errors import BadInputError
from ingest.gateway.base import LiveSource
from ingest.gateway.device import Device
from ingest.gateway.recording import Recorder
from ingest.gateway.sender import Sender
from ingest.gateway.spool import Spool, keep_within
from ingest.gateway.status import figures, line
from ingest.gateway.uplink.base import Uplink
from ingest.gateway.uplink.http import HttpUplink
from ingest.gateway.uplink.socket import SocketUplink

log = logging.getLogger(__name__)

STATUS_S = 10.0
SYNC_S = 5.0  # what a power cut may take
DRAIN_S = 5.0  # for the last chunks when the gateway is ended


@dataclass(frozen=True)
class NamedDevice:
    """A device that the user named."""

    spec: str
    source: LiveSource
    token: str
    recorder: Recorder | None = None


class Gateway:
    """Runs until it is cancelled. Without a server, what comes is only recorded and spooled.

    `server` is http(s)://HOST:PORT, or ws(s)://HOST:PORT to send by WebSocket. `show` gets the status
    lines.
    """

    def __init__(
        self, wanted: Sequence[NamedDevice], server: str, spool: Path, clock: Clock, *,
        budget_bytes: int, show: Callable[[list[str]], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._clock, self._show, self._budget_bytes = clock, show, budget_bytes
        by_socket = server.startswith(("ws://", "wss://"))
        asked = f"http{server.removeprefix('ws')}" if by_socket else server
        self._client = httpx.AsyncClient(base_url=asked) if server else None
        self._uplinks: list[Uplink] = []
        self.devices: list[Device] = []
        self.senders: list[Sender | None] = []
        for one in wanted:
            kept = Spool(spool, one.spec)
            sender = None
            if self._client is not None:
                uplink: Uplink = HttpUplink(self._client, one.token)
                if by_socket:
                    uplink = SocketUplink(server, one.token, uplink)
                self._uplinks.append(uplink)
                sender = Sender(uplink, kept, one.source.name)
            wake = sender.wake if sender else (lambda: None)
            self.devices.append(Device(one.source, kept, clock, one.recorder, wake))
            self.senders.append(sender)

    async def run(self) -> None:
        """Everything, until cancelled; then send what is left, if the server takes it at once."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for device in self.devices:
                    tasks.create_task(device.run())
                for sender in filter(None, self.senders):
                    tasks.create_task(sender.run())
                tasks.create_task(self._watch())
        finally:
            await self._end()

    async def _watch(self) -> None:
        """The status lines, the disk and its budget."""
        shown_s = self._clock.steady_s()
        while True:
            await asyncio.sleep(SYNC_S)
            for device in self.devices:
                await asyncio.to_thread(device.spool.sync)
            for spool, lost_s in keep_within(
                [d.spool for d in self.devices], self._budget_bytes
            ).items():
                details = {"spool": spool.folder.name, "lost_s": lost_s}
                log.error("the disk budget is used up: the oldest signal is dropped", extra=details)
            if self._clock.steady_s() - shown_s >= STATUS_S:
                shown_s = self._clock.steady_s()
                self.report()

    def report(self) -> None:
        """Show and log where each device stands."""
        lines = []
        for device, sender in zip(self.devices, self.senders, strict=True):
            found = figures(device, sender, self._clock)
            log.info("status", extra=found)
            lines.append(line(found, trace=device.source.trace))
        self._show(lines)

    async def _end(self) -> None:
        try:
            async with asyncio.timeout(DRAIN_S):
                await asyncio.gather(*(s.drain() for s in self.senders if s is not None))
        except TimeoutError:
            log.warning("not everything was sent; the rest waits in the spool")
        for device in self.devices:
            device.spool.close()
        for uplink in self._uplinks:
            await uplink.close()
        if self._client is not None:
            await self._client.aclose()


@contextmanager
def held_by_this_process(spool: Path) -> Iterator[None]:
    """Holds the spool for this process. Raises BadInputError if another gateway has it."""
    spool.mkdir(parents=True, exist_ok=True)
    with (spool / "lock").open("w") as file:
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BadInputError(
                f"another gateway runs on the spool {spool}", "End it, or give --spool FOLDER."
            ) from error
        yield
