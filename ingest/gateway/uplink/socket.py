"""Chunks to the ingest server by WebSocket: one socket for one stream, a frame for each batch.

A batch is answered when the server has said `next_sample` beyond its end, so the sender's rules are
those of HTTP. What the server says of a stream that is over (`released`) needs no answer here: it
acknowledges what it took before, and refuses what comes after. While Kafka is away the server says
429 once and holds the frame: then nothing more is sent, and the same socket is listened to.
Otherwise a socket that is lost, refused or too slow is closed; the next batch opens another.
"""

from __future__ import annotations

import asyncio
import contextlib

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.protocol import State
from websockets.typing import Subprotocol

from ingest.gateway.spool import ChunkBatch
from ingest.gateway.uplink.base import ACCEPTED, Answer, KnownDevice, Uplink, unanswered
from ingest.wire import (
    MAX_FRAME,
    MESSAGEPACK,
    SOCKET_PATH,
    SUBPROTOCOL,
    Refusal,
    Reply,
    encode_chunks,
)

OPEN_S, ANSWER_S = 5.0, 15.0
TOO_LARGE, BUSY, REFUSED = 413, 429, 400


class SocketUplink:
    """The WebSocket uplink of one device. `server` is ws://HOST:PORT or wss://...; `beside` asks
    about the device."""

    def __init__(self, server: str, token: str, beside: Uplink) -> None:
        self._server, self._token, self._beside = server.rstrip("/"), token, beside
        self._socket: ClientConnection | None = None
        self._stream = ""
        self._held: Answer | None = None  # what the server said as it took a frame to hold it
        self._end = 0  # sample behind the last frame

    async def send(self, batch: ChunkBatch) -> Answer:
        frame = encode_chunks(batch.chunks, MESSAGEPACK)
        if len(frame) > MAX_FRAME:
            return Answer(status=TOO_LARGE, refusal=Refusal(problem=f"{len(frame)} bytes"))
        answer = unanswered("")
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await self._exchange(batch, frame)
        except TimeoutError:
            answer = self._held or unanswered("the server does not answer in time")
        except msgspec.MsgspecError:
            answer = unanswered("the server's answer cannot be read: is it of this version?")
        except (OSError, WebSocketException) as error:
            answer = unanswered(f"the server does not answer ({type(error).__name__})")
        finally:  # also if cancelled: a late answer must not be taken for one to the next batch
            self._held = answer if answer.status == BUSY else None
            if answer.status not in (ACCEPTED, BUSY):
                await self.close()
        return answer

    async def _exchange(self, batch: ChunkBatch, frame: bytes) -> Answer:
        """Send the frame, unless the server holds one, and read what it says to it."""
        socket = await self._open(batch.stream)
        if self._held is None:
            await socket.send(frame)
            self._end = batch.chunks[-1].first_sample + batch.chunks[-1].n
        return await _answer(socket, self._end)

    async def ask(self) -> KnownDevice | None:
        return await self._beside.ask()

    async def close(self) -> None:
        socket, self._socket, self._held = self._socket, None, None
        if socket is not None:
            with contextlib.suppress(OSError, WebSocketException):
                await socket.close()

    async def _open(self, stream: str) -> ClientConnection:
        """The socket of the stream: the one that is open, or a new one."""
        socket = self._socket
        if socket is not None and socket.state is State.OPEN and self._stream == stream:
            return socket
        await self.close()
        self._stream = stream
        self._socket = await connect(
            self._server + SOCKET_PATH.format(stream=stream),
            additional_headers={"Authorization": f"Bearer {self._token}"},
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            open_timeout=OPEN_S,
            close_timeout=1.0,
        )
        return self._socket


async def _answer(socket: ClientConnection, end: int) -> Answer:
    """Read what the server says until it has every sample before `end`, or refuses."""
    while True:
        reply = msgspec.msgpack.decode(await socket.recv(decode=False), type=Reply)
        if reply.status >= REFUSED:
            return Answer(
                status=reply.status,
                refusal=Refusal(problem=reply.problem, remedy=reply.remedy, field=reply.field),
                retry_after_s=reply.retry_after_s or 1.0,
            )
        if reply.next_sample is not None and reply.next_sample >= end:
            return Answer(status=ACCEPTED, next_sample=reply.next_sample)
