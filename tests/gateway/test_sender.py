"""The sender: in order, nothing lost, nothing acknowledged that the server has not, whatever it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from ingest.gateway import sender as module
from ingest.gateway.sender import Sender
from ingest.gateway.spool import Spool
from ingest.gateway.uplink.http import HttpUplink
from ingest.wire import Chunk, Refusal, Reply, decode_chunks
from tests.gateway.test_spool import chunk

Answer = Callable[[str, list[Chunk]], httpx.Response]


class Server:
    """Keeps what it accepts; answers as the test says, by a transport of httpx in this process."""

    def __init__(self) -> None:
        self.have: list[tuple[str, int]] = []
        self.requests = 0
        self.answer: Answer = self.accept
        self.device: dict[str, object] | None = None

    def accept(self, stream: str, chunks: list[Chunk]) -> httpx.Response:
        self.have += [(stream, c.first_sample) for c in chunks]
        last = chunks[-1]
        return httpx.Response(
            202, content=msgspec.json.encode(Reply(next_sample=last.first_sample + last.n))
        )

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        assert request.headers["authorization"] == "Bearer secret"
        if request.method == "GET":
            return httpx.Response(200 if self.device else 503, json=self.device)
        return self.answer(request.url.path.split("/")[5], decode_chunks(request.content))


def refused(status: int, **more: str) -> Answer:
    headers = {"Retry-After": more.pop("retry", "0.01")}
    return lambda *_: httpx.Response(
        status, content=msgspec.json.encode(Refusal(problem="no", **more)), headers=headers
    )


@asynccontextmanager
async def sending(folder: Path, server: Server) -> AsyncIterator[tuple[Spool, Sender]]:
    spool = Spool(folder, "h10")
    async with httpx.AsyncClient(
        base_url="http://server", transport=httpx.MockTransport(server)
    ) as client:
        sender = Sender(HttpUplink(client, "secret"), spool, "h10")
        task = asyncio.create_task(sender.run())
        yield spool, sender
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    spool.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(module, "REFUSED_WAIT_S", 0.05)


def away(*_: object) -> httpx.Response:
    raise httpx.ConnectError("away")


@pytest.mark.parametrize(
    "answer",
    [away, refused(429), refused(503), refused(401), refused(409), lambda *_: httpx.Response(202)],
)
async def test_an_outage_loses_nothing_and_keeps_the_order(tmp_path: Path, answer: Answer) -> None:
    """Two hours of chunks come in while the server takes none."""
    server = Server()
    wanted = [("a", k * 65) for k in range(14_400)]
    async with sending(tmp_path, server) as (spool, sender):
        spool.append("a", chunk(0), [])
        sender.wake()
        await until(lambda: len(server.have) == 1)
        assert sender.problem == ""
        server.answer = answer
        for _, first in wanted[1:]:
            spool.append("a", chunk(first), [])
        sender.wake()
        await until(lambda: server.requests > 3)
        assert sender.problem
        assert len(server.have) == 1
        assert server.requests < 20  # it does not hammer
        server.answer = server.accept
        await until(lambda: spool.backlog_bytes == 0)
        spool.append("b", chunk(0), [])
        sender.wake()
        await until(lambda: spool.backlog_bytes == 0)
    assert server.have == [*wanted, ("b", 0)]


async def test_only_what_the_server_has_is_acknowledged(tmp_path: Path) -> None:
    server = Server()

    def half(stream: str, chunks: list[Chunk]) -> httpx.Response:
        return server.accept(stream, chunks[: len(chunks) // 2 + 1])

    server.answer = half
    async with sending(tmp_path, server) as (spool, sender):
        for k in range(50):
            spool.append("a", chunk(k * 65), [])
        sender.wake()
        await until(lambda: spool.backlog_bytes == 0)
    assert server.have == [("a", k * 65) for k in range(50)]


async def test_an_unusable_chunk_is_passed_over_and_told(tmp_path: Path) -> None:
    server = Server()

    def answer(stream: str, chunks: list[Chunk]) -> httpx.Response:
        bad = any(c.first_sample == 20 * 65 for c in chunks)
        return refused(422, field="t0_ns")(stream, chunks) if bad else server.accept(stream, chunks)

    server.answer = answer
    async with sending(tmp_path, server) as (spool, sender):
        for k in range(50):
            spool.append("a", chunk(k * 65), [])
        sender.wake()
        await until(lambda: spool.backlog_bytes == 0)
        assert sender.refused == 1
    assert server.have == [("a", k * 65) for k in range(50) if k != 20]


async def test_a_body_that_is_too_large_is_halved(tmp_path: Path) -> None:
    server = Server()

    def answer(stream: str, chunks: list[Chunk]) -> httpx.Response:
        return refused(413)(stream, chunks) if len(chunks) > 5 else server.accept(stream, chunks)

    server.answer = answer
    async with sending(tmp_path, server) as (spool, sender):
        for k in range(50):
            spool.append("a", chunk(k * 65), [])
        sender.wake()
        await until(lambda: spool.backlog_bytes == 0)
    assert server.have == [("a", k * 65) for k in range(50)]


async def test_a_killed_gateway_goes_on_where_the_server_is(tmp_path: Path) -> None:
    server = Server()
    async with sending(tmp_path, server) as (spool, sender):
        for k in range(50):
            spool.append("a", chunk(k * 65), [])
        sender.wake()
        await until(lambda: len(server.have) > 0)
    async with sending(tmp_path, server) as (spool, sender):
        spool.append("b", chunk(0), [])
        await until(lambda: spool.backlog_bytes == 0)
    assert server.have == [*(("a", k * 65) for k in range(50)), ("b", 0)]


WORN = {"worn_by": {"name": "Ada", "bed": "1"}, "since_ns": 0, "stream": None, "now_ns": 10**18}


def over_after(server: Server, name: str, first: int) -> Answer:
    """A stream that is over from a sample on."""

    def answer(stream: str, chunks: list[Chunk]) -> httpx.Response:
        over = stream == name and chunks[-1].first_sample >= first
        return refused(409)(stream, chunks) if over else server.accept(stream, chunks)

    return answer


async def fill(folder: Path, server: Server, chunks: list[Chunk]) -> int:
    """Send everything, the first chunk apart; how many chunks were passed over."""
    async with sending(folder, server) as (spool, sender):
        for one in chunks:
            spool.append("a", one, [])
            sender.wake()
            await asyncio.sleep(0.02 if one is chunks[0] else 0)
        await until(lambda: spool.backlog_bytes == 0)
        return sender.refused


async def test_a_stream_that_is_over_goes_on_as_another(tmp_path: Path) -> None:
    """The server has forgotten it, or people changed something: what was taken since is not lost."""
    server = Server()
    server.device = WORN
    server.answer = over_after(server, "a", 65)
    assert await fill(tmp_path, server, [chunk(k * 65) for k in range(50)]) == 0
    name = server.have[-1][0]
    assert name != "a"
    assert server.have == [("a", 0), *((name, k * 65) for k in range(49))]
    assert (
        await fill(tmp_path, server, [chunk(k * 65) for k in range(50, 52)]) == 0
    )  # after a restart too
    assert server.have[-2:] == [(name, 49 * 65), (name, 50 * 65)]


async def test_what_was_taken_before_the_device_was_given_away_is_passed_over(
    tmp_path: Path,
) -> None:
    """It may be somebody else's. From then on nothing is lost."""
    server = Server()
    server.device = WORN | {"since_ns": chunk(20 * 65).t0_ns}
    server.answer = over_after(server, "a", 0)
    assert await fill(tmp_path, server, [chunk(k * 65) for k in range(50)]) == 20
    assert [first for _, first in server.have] == [k * 65 for k in range(30)]


async def test_another_gateway_with_the_same_device_is_not_pushed_aside(tmp_path: Path) -> None:
    server = Server()
    server.device = WORN | {"stream": {"id": "another", "next_sample": 1, "over": ""}}
    server.answer = over_after(server, "a", 65)
    async with sending(tmp_path, server) as (spool, sender):
        spool.append("a", chunk(0), [])
        sender.wake()
        await until(lambda: len(server.have) == 1)
        spool.append("a", chunk(65), [])
        sender.wake()
        await until(lambda: "refused" in sender.problem)
        await asyncio.sleep(0.2)
        assert server.have == [("a", 0)]


async def test_a_clock_that_is_ahead_waits(tmp_path: Path) -> None:
    server = Server()
    server.device = WORN | {"now_ns": 0}
    server.answer = refused(422, field="t0_ns")
    async with sending(tmp_path, server) as (spool, sender):
        spool.append("a", chunk(0, t0_ns=100 * 10**9), [])
        sender.wake()
        await until(lambda: "100 s ahead" in sender.problem)
        server.answer = server.accept
        await until(lambda: spool.backlog_bytes == 0)
        assert sender.refused == 0
