"""The ingest server on real brokers: acknowledged is what Kafka has, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import time
from uuid import uuid4

import httpx
import msgspec
import pytest
import websockets
from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ingest import wire
from ingest.embedded import EmbeddedBroker
from ingest.errors import BadInputError
from ingest.registry import steps
from ingest.wire import JSON, MESSAGEPACK, Reply, encode_chunks
from tests.integration.devices.ingest_bench import N, People, Sender, chunk, journal, kept, running


@pytest.fixture
def people(broker) -> People:
    return People(broker.address)


@pytest.fixture
def server(broker, people):
    with running(broker.address) as found:
        yield found


@pytest.fixture
def alone():
    """A server on the embedded broker, and what an admin does: for what is the same on any broker."""
    with EmbeddedBroker() as embedded, running(embedded.address) as found:
        yield found, People(embedded.address)


def test_http_chunks_arrive_in_order_once_and_only_then_are_acknowledged(broker, people, server):
    sender = Sender(server.url, people.device("h1", "ada"))
    sender.until_taken(0)
    for media, numbers in ((JSON, (1, 2)), (MESSAGEPACK, (2, 3)), (JSON, (1, 2, 3))):
        answer = sender.send(*numbers, media=media)
        assert answer.status_code == 202, answer.text
        assert answer.json() == {"next_sample": (numbers[-1] + 1) * N}
    found = kept(broker.address)
    assert [(c.patient_id, c.device_id, c.first_sample) for c in found] == [
        ("ada", "h1", k * N) for k in range(4)
    ]


def test_refusals_say_what_and_name_the_field(alone):
    server, people = alone
    token = people.device("h1", "ada")
    sender = Sender(server.url, token)
    sender.until_taken(0)
    cases = [
        (Sender(server.url, "").send(0), 401, ""),
        (Sender(server.url, "wrong").send(0), 401, ""),
        (Sender(server.url, token, "no-uuid").send(0), 422, "stream"),
        (sender.send(1, fs_hz=250.0), 422, "fs_hz"),
        (sender.send(1, battery=7.0), 422, "battery"),
        (sender.send(0, samples=bytes(2 * N)), 409, "samples"),
        (sender.post(b"[]", "text/plain"), 415, ""),
        (sender.post(bytes(wire.MAX_BODY + 1)), 413, ""),
        (sender.client.get("/api/ingest/v1/nothing"), 404, ""),
    ]
    for answer, status, field in cases:
        body = answer.json()
        assert (answer.status_code, body.get("field", "")) == (status, field), body
        assert body["problem"]


def test_a_token_is_dead_at_once_when_it_is_revoked(people, server):
    sender = Sender(server.url, people.device("h1", "ada"))
    sender.until_taken(0)
    people.take(steps.revoke, "h1")
    deadline = time.monotonic() + 10
    while (answer := sender.send(1)).status_code == 202 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert answer.status_code in (401, 409)
    time.sleep(0.2)
    assert sender.send(2).status_code == 401


def test_guessing_is_braked_and_the_right_token_goes_on(alone):
    server, people = alone
    sender = Sender(server.url, people.device("h1", "ada"))
    sender.until_taken(0)
    answers = [Sender(server.url, f"guess{k}").send(0) for k in range(25)]
    codes = [a.status_code for a in answers]  # the wait for the registry may have cost some tries
    assert codes == sorted(codes)
    assert 5 <= codes.count(429) < 25
    assert set(codes) == {401, 429}
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert sender.send(1).status_code == 202


def test_discharge_ends_the_stream_in_kafka(broker, people, server):
    sender = Sender(server.url, people.device("h1", "ada"))
    sender.until_taken(0)
    people.take(steps.discharge, "ada")
    deadline = time.monotonic() + 10
    while not (found := kept(broker.address))[-1].end and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (found[-1].patient_id, found[-1].end, found[-1].first_sample) == ("ada", True, N)
    assert sender.send(1).status_code == 409


def test_two_hours_of_backlog_go_in_in_seconds_and_in_order(broker, people, server):
    """A gateway comes back: minutes of signal at a time, then what is live."""
    hours_s, minute = 2 * 3600, 60 * 130
    sender = Sender(server.url, people.device("h1", "ada", ago_s=hours_s + 60))
    sender.start_ns = time.time_ns() - hours_s * 10**9
    sender.until_taken(0)
    backlog = [
        chunk(
            sender.start_ns,
            0,
            first_sample=first,
            samples=bytes([first % 251, 2] * minute),
            t0_ns=sender.start_ns + round(first / 130 * 1e9),
        )
        for first in range(N, 130 * hours_s - minute, minute)
    ]
    begun = time.monotonic()
    for at in range(0, len(backlog), 8):
        answer = sender.post(encode_chunks(backlog[at : at + 8]))
        assert answer.status_code == 202, answer.text
    assert time.monotonic() - begun < 30
    assert answer.json()["next_sample"] == N + len(backlog) * minute
    firsts = [c.first_sample for c in kept(broker.address)]
    assert firsts == [0, *(c.first_sample for c in backlog)]


def test_a_symptom_is_in_the_journal_once_it_is_acknowledged(broker, people, server):
    sender = Sender(server.url, people.device("h1", "ada"))
    sender.until_taken(0)
    event = {"id": "e1", "time_ns": time.time_ns(), "kind": "symptom", "text": "dizzy"}
    assert sender.client.post("/api/ingest/v1/events", json=event).status_code == 202
    (entry,) = [e for e in journal(broker.address) if e.kind == "symptom"]
    assert (entry.patient_id, entry.id, entry.by, entry.text) == ("ada", "e1", "h1", "dizzy")
    late = sender.client.post("/api/ingest/v1/events", json=event | {"time_ns": 0})
    assert (late.status_code, late.json()["field"]) == (422, "time_ns")


async def test_websocket_acknowledges_in_order_and_says_when_it_is_over(broker, people, server):
    token = await asyncio.to_thread(people.device, "h1", "ada")
    await asyncio.sleep(1)
    stream, start_ns = str(uuid4()), time.time_ns()
    url = server.ws + wire.SOCKET_PATH.replace("{stream}", stream)
    names = [wire.SUBPROTOCOL, wire.TOKEN_PREFIX + token]
    async with websockets.connect(url, subprotocols=names) as ws:
        assert ws.subprotocol == wire.SUBPROTOCOL
        for k in range(20):
            await ws.send(encode_chunks([chunk(start_ns, k)]))
        replies = [Reply()]
        while (replies[-1].next_sample or 0) < 20 * N:
            replies.append(msgspec.msgpack.decode(await ws.recv(), type=Reply))
        told = [r.next_sample for r in replies[1:]]
        assert told == sorted(told)
        await asyncio.to_thread(people.take, steps.discharge, "ada")
        last = msgspec.msgpack.decode(await asyncio.wait_for(ws.recv(), 10), type=Reply)
        assert last.released == "ada was discharged"
        await ws.send(encode_chunks([chunk(start_ns, 20)]))
        refused = msgspec.msgpack.decode(await ws.recv(), type=Reply)
        assert refused.status == 409
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd.code == wire.CLOSE_BASE + 409
    async with asyncio.timeout(30):  # the end of the stream is sent beside the word of it
        while not (found := await asyncio.to_thread(kept, broker.address))[-1].end:
            await asyncio.sleep(0.1)
    assert [c.first_sample for c in found] == [k * N for k in range(20)] + [20 * N]


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_websocket_with_no_or_a_wrong_token_is_closed(alone, token):
    server, _ = alone
    names = [wire.SUBPROTOCOL, *([wire.TOKEN_PREFIX + token] if token else [])]
    url = server.ws + wire.SOCKET_PATH.replace("{stream}", str(uuid4()))
    async with websockets.connect(url, subprotocols=names) as ws:
        refused = msgspec.msgpack.decode(await ws.recv(), type=Reply)
        assert refused.status == 401
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await ws.recv()
        assert closed.value.rcvd.code == 4401


async def test_a_talkative_websocket_is_closed(alone, monkeypatch):
    """Empty frames, which only keep the socket open, count like others."""
    server, people = alone
    monkeypatch.setattr("ingest.server.gate.BURST_CALLS", 20.0)
    monkeypatch.setattr("ingest.server.gate.CALLS_PER_S", 0.5)
    token = await asyncio.to_thread(people.device, "h1", "ada")
    await asyncio.sleep(1)
    url = server.ws + wire.SOCKET_PATH.replace("{stream}", str(uuid4()))
    names = [wire.SUBPROTOCOL, wire.TOKEN_PREFIX + token]
    async with websockets.connect(url, subprotocols=names) as ws:
        for _ in range(40):
            await ws.send(b"")
        refused = msgspec.msgpack.decode(await asyncio.wait_for(ws.recv(), 20), type=Reply)
        assert refused.status == 429
        with pytest.raises(websockets.ConnectionClosed):
            await ws.recv()
    metrics = (await asyncio.to_thread(httpx.get, f"{server.url}/metrics")).text
    assert "\necgwatch_inputs_refused_total 1\n" in metrics
    assert "\necgwatch_broker_up 1\n" in metrics


def test_a_body_that_dawdles_is_refused(alone, monkeypatch):
    server, people = alone
    monkeypatch.setattr("ingest.server.http.BODY_S", 0.3)
    token = people.device("h1", "ada")
    time.sleep(1)
    path = wire.CHUNKS_PATH.replace("{stream}", str(uuid4()))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        slow.sendall(
            (head + "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n[").encode()
        )
        assert b" 408 " in slow.recv(4096)


def test_headers_that_dawdle_lose_their_connection(alone, monkeypatch):
    server, _ = alone
    monkeypatch.setattr("dashboards.monitor.http.connections.REQUEST_S", 0.3)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: ")
        try:
            heard = slow.recv(4096)
        except ConnectionResetError:
            heard = b""
        assert heard == b""


def test_the_api_describes_itself(alone):
    server, _ = alone
    client = Sender(server.url, "").client
    document = client.get("/api/ingest/openapi.json").json()
    assert set(document["paths"]) == {
        wire.CHUNKS_PATH,
        wire.SOCKET_PATH,
        wire.EVENTS_PATH,
        wire.DEVICE_PATH,
    }
    assert "/api/ingest/v1/events" in client.get("/api/ingest").text
    for path in ("/healthz", "/readyz"):
        assert client.get(path).json() == {"broker": True, "waiting": 0, "streams": 0}


def test_the_command_serves_tls_with_a_certificate_it_made(tmp_path):
    made = CliRunner().invoke(
        app,
        ["ingest", "--self-signed", str(tmp_path), "--name", "127.0.0.1", "--name", "ward.local"],
    )
    assert made.exit_code == 0, made.output
    assert (tmp_path / "key.pem").stat().st_mode & 0o77 == 0
    trust = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
    with EmbeddedBroker() as embedded:
        command = [sys.executable, "-m", "ecgwatch", "ingest", "--port", "0"]
        command += ["--broker", embedded.address, *made.output.split()]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            url = process.stdout.readline().removeprefix("ingest: ").strip()
            assert url.startswith("https://127.0.0.1:")
            assert httpx.get(f"{url}healthz", verify=trust).json()["broker"]
        finally:
            process.terminate()
            process.wait(30)
            process.stdout.close()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--certificate", "a.pem"], "go together"),
        (["--certificate", "a.pem", "--key", "b.pem"], "cannot read a.pem"),
        (["--self-signed", "x"], "needs --name"),
        (["--mqtt", "http://x", "--broker", "127.0.0.1:1"], "MQTT broker 'http://x'"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, problem):
    done = CliRunner().invoke(app, ["ingest", *arguments])
    assert isinstance(done.exception, BadInputError)
    assert problem in done.exception.problem
