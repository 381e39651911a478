"""Chunks over WebSocket: one socket for one stream, and the server's word back."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Literal

import anyio
import msgspec
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ingest import wire
from ingest.registry.records import DeviceRecord
from ingest.server.gate import bearer
from ingest.server.http import read_chunks, stream_id
from ingest.server.outlet import KafkaRefusedError
from ingest.server.refusals import IngestRefusedError, away
from ingest.server.service import ANSWER_S, IngestService
from ingest.server.stream import Done, IngestStream
from ingest.wire import MESSAGEPACK, Reply

FIRST_S = (
    30.0  # until the first frame, and between two: a gateway without samples sends an empty frame
)
MOST_UNANSWERED = 256  # chunks; more are not read until Kafka has some
ASK_BATTERY_S = 600.0


def route(service: IngestService) -> WebSocketRoute:
    """The socket of a stream."""

    async def endpoint(socket: WebSocket) -> None:
        await _Session(service, socket).run()

    return WebSocketRoute(wire.SOCKET_PATH, endpoint)


class _Session:
    """One socket, from its handshake to its end."""

    def __init__(self, service: IngestService, socket: WebSocket) -> None:
        self._service, self._socket = service, socket
        self._who = socket.client.host if socket.client else ""
        self._stream: IngestStream | None = None
        self._unanswered: deque[Done] = deque()
        self._replies: deque[Reply] = deque()  # of the registry: released
        self._news = asyncio.Event()
        self._asked_s = service.clock.steady_s()

    async def run(self) -> None:
        token = bearer(self._socket.headers.get("authorization")) or self._token()
        offered = self._socket.scope.get("subprotocols", [])
        await self._socket.accept(wire.SUBPROTOCOL if wire.SUBPROTOCOL in offered else None)
        try:
            device = self._service.device(token, self._who)
            self._who = f"{device.device_id} at {self._who}"
            name = stream_id(self._socket.path_params["stream"])
            async with anyio.create_task_group() as group:
                group.start_soon(self._reply_loop)
                await self._listen(device, name)
                group.cancel_scope.cancel()
        except* IngestRefusedError as refused:
            error = refused.exceptions[0]
            assert isinstance(error, IngestRefusedError)
            await self._refuse(error)
        except* KafkaRefusedError:
            await self._refuse(away())
        except* (WebSocketDisconnect, RuntimeError):
            pass
        finally:
            if self._stream is not None:
                self._stream.listeners.discard(self._send)

    async def _listen(self, device: DeviceRecord, name: str) -> None:
        """Take frames until the sender leaves or the stream is over. Raises RefusedError."""
        service = self._service
        while True:
            try:
                async with asyncio.timeout(FIRST_S):
                    frame = await self._socket.receive_bytes()
            except TimeoutError:
                raise IngestRefusedError(
                    408, f"nothing came for {FIRST_S:g} s", "Send an empty frame to stay."
                ) from None
            except KeyError:
                raise IngestRefusedError(
                    415, "a text frame", "Send binary frames of MessagePack."
                ) from None
            device = service.device_now(device)
            service.gate.charge(device.device_id, len(frame))  # an empty frame is a message too
            if not frame:
                continue
            if self._stream is not None and self._stream.over:
                raise IngestRefusedError(
                    409, f"stream {name} is over: {self._stream.over}", "Begin a new stream."
                )
            chunks = read_chunks(frame, MESSAGEPACK)
            if service.outlet.away or len(self._unanswered) >= MOST_UNANSWERED:
                await self._hold()
            taken = service.book.take(device, name, chunks)
            if self._stream is None:
                self._stream = taken.stream
                taken.stream.listeners.add(self._send)
            self._unanswered.extend(taken.done)
            self._news.set()

    async def _hold(self) -> None:
        """Accept nothing until Kafka is back; notify the sender once."""
        if self._service.outlet.away:
            await self._push(away().reply())
        while self._service.outlet.away or len(self._unanswered) >= MOST_UNANSWERED:
            await asyncio.sleep(0.05)

    async def _reply_loop(self) -> None:
        """Acknowledge what Kafka has, in order, and say what else there is to say."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self._acknowledge()
            while self._replies:
                await self._push(self._replies.popleft())

    async def _acknowledge(self) -> None:
        while self._unanswered:
            first = self._unanswered[0]
            if not first.done():
                await asyncio.wait([first], timeout=ANSWER_S)
                if not first.done():
                    continue
            while self._unanswered and self._unanswered[0].done():
                self._unanswered.popleft().result()  # a refusal of Kafka's ends the socket; the sender repeats
            await asyncio.sleep(
                0
            )  # until the stream, which waits for these futures too, has noted it
            assert self._stream is not None
            await self._push(Reply(next_sample=self._stream.kept, wants=self._wants(self._stream)))

    def _wants(self, stream: IngestStream) -> Literal["", "battery"]:
        """Return "battery" if the device's level is unknown or old, else ""."""
        now = self._service.clock.steady_s()
        if now - max(stream.battery_s, self._asked_s) < ASK_BATTERY_S:
            return ""
        self._asked_s = now
        return "battery"

    def _send(self, reply: Reply) -> None:
        self._replies.append(reply)
        self._news.set()

    async def _push(self, reply: Reply) -> None:
        await self._socket.send_bytes(msgspec.msgpack.encode(reply))

    async def _refuse(self, refused: IngestRefusedError) -> None:
        self._service.refusals.add(self._who, refused)
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._push(refused.reply())
            await self._socket.close(wire.CLOSE_BASE + refused.status, refused.problem[:100])

    def _token(self) -> str:
        offered = self._socket.scope.get("subprotocols", [])
        found = (name for name in offered if name.startswith(wire.TOKEN_PREFIX))
        return next(found, "").removeprefix(wire.TOKEN_PREFIX)
