"""The sender by WebSocket: a server that the test scripts, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve

from ingest.gateway import sender as sender_module
from ingest.gateway.sender import Sender
from ingest.gateway.spool import Spool
from ingest.gateway.uplink import socket as module
from ingest.gateway.uplink.http import HttpUplink
from ingest.gateway.uplink.socket import SocketUplink
from ingest.wire import CLOSE_BASE, SUBPROTOCOL, Chunk, Reply, decode_chunks
from tests.gateway.test_spool import chunk

WANTED = [("a", k * 65) for k in range(50)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(sender_module, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(sender_module, "REFUSED_WAIT_S", 0.05)


class SocketServer:
    """Keeps what it accepts; answers each frame as the test says: with replies, the last of which may refuse."""

    def __init__(self) -> None:
        self.have: list[tuple[str, int]] = []
        self.frames = self.sockets = 0
        self.open: list[ServerConnection] = []
        self.answer: Callable[[str, list[Chunk]], list[Reply] | None] = self.accept

    def accept(self, stream: str, chunks: list[Chunk]) -> list[Reply]:
        self.have += [(stream, c.first_sample) for c in chunks]
        return [Reply(next_sample=chunks[-1].first_sample + chunks[-1].n)]

    async def talk(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        assert socket.request.headers["authorization"] == "Bearer secret"
        assert socket.subprotocol == SUBPROTOCOL
        self.sockets += 1
        self.open.append(socket)
        stream = socket.request.path.split("/")[5]
        async for frame in socket:
            assert isinstance(frame, bytes)
            self.frames += 1
            replies = self.answer(stream, decode_chunks(frame))
            if replies is None:  # it falls over
                await socket.close(1011)
                return
            for reply in replies:
                await socket.send(msgspec.msgpack.encode(reply))
                if reply.status and reply.status != 429:
                    await socket.close(CLOSE_BASE + reply.status)
                    return


@asynccontextmanager
async def sending(
    folder: Path, server: SocketServer, port: int = 0
) -> AsyncIterator[tuple[Spool, Sender]]:
    spool = Spool(folder, "h10")
    async with (
        serve(server.talk, "127.0.0.1", port, subprotocols=[SUBPROTOCOL]) as listening,  # type: ignore[list-item]
        httpx.AsyncClient(base_url="http://127.0.0.1:9") as client,
    ):
        port = listening.sockets[0].getsockname()[1]
        uplink = SocketUplink(f"ws://127.0.0.1:{port}/", "secret", HttpUplink(client, "secret"))
        sender = Sender(uplink, spool, "h10")
        task = asyncio.create_task(sender.run())
        yield spool, sender
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await uplink.close()
    spool.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def sender_waits(sender: Sender) -> Callable[[], int]:
    """Counts how often the sender is told to wait from now on."""
    later, count = sender._later, 0

    def counted(problem: str, wait_s: float | None = None) -> float:
        nonlocal count
        count += 1
        return later(problem, wait_s)

    sender._later = counted  # type: ignore[method-assign]
    return lambda: count


def fill(spool: Spool, sender: Sender) -> None:
    for stream, first in WANTED:
        spool.append(stream, chunk(first), [])
    sender.wake()


async def test_all_frames_of_a_stream_go_by_one_socket_and_a_new_stream_by_another(
    tmp_path: Path,
) -> None:
    server = SocketServer()
    async with sending(tmp_path, server) as (spool, sender):
        fill(spool, sender)
        await until(lambda: spool.backlog_bytes == 0)
        spool.append("a", chunk(50 * 65), [])
        sender.wake()
        await until(lambda: spool.backlog_bytes == 0)
        assert server.sockets == 1
        spool.append("b", chunk(0), [])
        sender.wake()
        await until(lambda: spool.backlog_bytes == 0)
    assert server.have == [*WANTED, ("a", 50 * 65), ("b", 0)]
    assert server.sockets == 2


@pytest.mark.parametrize("status", [401, 409, 500, 0])
async def test_what_is_refused_or_cut_off_stays_in_the_spool_and_goes_by_a_new_socket(
    tmp_path: Path, status: int
) -> None:
    server = SocketServer()
    server.answer = lambda *_: [Reply(status=status, problem="no")] if status else None
    async with sending(tmp_path, server) as (spool, sender):
        fill(spool, sender)
        await until(lambda: server.sockets > 2)
        assert sender.problem
        assert sender.sent == 0
        server.answer = server.accept
        await until(lambda: spool.backlog_bytes == 0)
        assert sender.problem == ""
    assert server.have == WANTED


async def test_only_a_word_about_the_whole_batch_acknowledges_it(tmp_path: Path) -> None:
    """Word comes in pieces, with requests and the end of the stream between them."""
    server = SocketServer()

    def in_pieces(stream: str, chunks: list[Chunk]) -> list[Reply]:
        (done,) = server.accept(stream, chunks)
        first = Reply(next_sample=chunks[0].first_sample)
        return [first, Reply(wants="battery"), Reply(next_sample=0, released="discharge"), done]

    server.answer = in_pieces
    async with sending(tmp_path, server) as (spool, sender):
        fill(spool, sender)
        await until(lambda: spool.backlog_bytes == 0)
        assert sender.refused == 0
    assert server.have == WANTED


async def test_what_the_server_holds_while_kafka_is_away_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.05)
    server, held = SocketServer(), list[Reply]()

    def hold(stream: str, chunks: list[Chunk]) -> list[Reply]:
        held.extend(server.accept(stream, chunks))
        return [Reply(status=429, problem="Kafka is away", retry_after_s=0.01)]

    server.answer = hold
    async with sending(tmp_path, server) as (spool, sender):
        spool.append("a", chunk(0), [])
        sender.wake()
        await until(lambda: "busy" in sender.problem)
        for stream, first in WANTED[1:]:
            spool.append(stream, chunk(first), [])
        waited = sender_waits(sender)
        await until(lambda: waited() > 3)
        assert (server.sockets, server.frames, sender.sent) == (1, 1, 0)
        server.answer = server.accept
        await server.open[0].send(msgspec.msgpack.encode(held[0]))
        await until(lambda: spool.backlog_bytes == 0)
        assert server.sockets == 1
    assert server.have == WANTED


async def test_a_server_that_says_nothing_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_S", 0.1)
    server = SocketServer()
    server.answer = lambda *_: []
    async with sending(tmp_path, server) as (spool, sender):
        fill(spool, sender)
        await until(lambda: server.sockets > 1)
        assert sender.problem == "the server does not answer in time"
        monkeypatch.setattr(module, "ANSWER_S", 15.0)
        server.answer = server.accept
        await until(lambda: spool.backlog_bytes == 0)
    assert server.have == WANTED


async def test_a_frame_that_is_too_large_is_halved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FRAME", 2000)
    server = SocketServer()
    async with sending(tmp_path, server) as (spool, sender):
        fill(spool, sender)
        await until(lambda: spool.backlog_bytes == 0)
        assert sender.refused == 0
    assert server.have == WANTED
    assert server.frames > 3
