"""The monitor under attack: guesses from behind a proxy, tokens that are revoked, patients whose ids
hold odd characters, talkative pages, half-open connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
import urllib.request
from urllib.parse import quote

import pytest
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketDisconnect

from dashboards.monitor.http import connections
from dashboards.monitor.http.access import FAILURES, LOOK_S, Access, Token, TooManyAttemptsError
from dashboards.monitor.http.serve import serve
from ingest.clock import ManualClock
from ingest.errors import BadInputError
from tests.unit.dashboards.monitor_bench import NOW, action, alarm, chunk, running
from tests.unit.dashboards.test_monitor_access import SECRETS, TOKENS

ODD = [
    "a/b",
    "a/limits",
    "../etc",
    "bed 7",
    "Ünï ☃",
    "p:asystole:5",
    "#?&=+;",
    "'\"<b>\\",
    "-rf",
    "...",
]


def test_a_right_token_is_not_locked_out_by_who_guesses_from_the_same_address() -> None:
    access = Access(TOKENS, ManualClock())
    for guess in range(FAILURES):
        assert access.recognise(str(guess), "proxy").role is None
    with pytest.raises(TooManyAttemptsError):
        access.recognise("another", "proxy")
    assert access.recognise(SECRETS["view"], "proxy").role == "view"


def test_a_forwarded_address_is_not_believed() -> None:
    with running(tokens=TOKENS) as bench:
        answers = [
            bench.client.get(
                "/api/patients",
                headers={"authorization": f"Bearer {k}", "x-forwarded-for": f"10.0.0.{k}"},
            ).status_code
            for k in range(FAILURES + 1)
        ]
    assert answers == [401] * FAILURES + [429]


def test_a_revoked_token_is_out_with_its_sessions_and_no_restart() -> None:
    held: dict[str, Token] = dict(TOKENS)
    clock = ManualClock()
    access = Access(held, clock, lambda: held)
    session = access.open_session(access.recognise(SECRETS["admin"], "a"))
    assert access.visitor(session, None, "a").role == "admin"
    del held["admin"]
    clock.advance(LOOK_S)
    assert access.visitor(session, None, "a").role is None
    assert access.recognise(SECRETS["admin"], "a").role is None
    assert access.recognise(SECRETS["view"], "a").role == "view"
    held.clear()  # the last one: that makes nobody admin
    clock.advance(LOOK_S)
    assert access.needs_token
    assert access.visitor(None, None, "a").role is None


def test_another_role_or_token_under_the_same_name_ends_its_sessions() -> None:
    held, clock = dict(TOKENS), ManualClock()
    access = Access(held, clock, lambda: held)
    session = access.open_session(access.recognise(SECRETS["admin"], "a"))
    held["admin"] = Token("view", held["admin"].sha256)
    clock.advance(LOOK_S)
    assert access.visitor(session, None, "a").role is None
    assert access.recognise(SECRETS["admin"], "a").role == "view"


def test_a_file_that_is_being_written_locks_nobody_out() -> None:
    def broken() -> dict[str, Token]:
        raise BadInputError("half a file", "Wait.")

    clock = ManualClock()
    access = Access(TOKENS, clock, broken)
    clock.advance(LOOK_S)
    assert access.recognise(SECRETS["view"], "a").role == "view"


@pytest.mark.parametrize("patient", ODD)
def test_a_patient_of_any_name_can_be_acknowledged(patient: str) -> None:
    with running() as bench:
        raised = alarm(
            0,
            "asystole",
            priority="high",
            latching=True,
            patient_id=patient,
            id=f"{patient}:asystole:{NOW}",
        )
        bench.send(chunk(patient), raised)
        path = f"/api/patients/{quote(patient, safe='')}"
        for what in ({"alarm": raised.id}, {}):
            answer = bench.client.post(
                f"{path}/actions", json={"action": "acknowledge", "by": "Anna", **what}
            )
            assert answer.status_code == 202, answer.text
        assert [sent.patient_id for sent in bench.sent] == [patient] * 2
        assert bench.client.get(f"{path}/limits").status_code == 200
        assert action("resume").patient_id != patient


def test_a_page_that_says_too_much_is_cut_off() -> None:
    with running() as bench:
        bench.send(chunk("p"))
        with bench.page() as page:
            for _ in range(200):
                page.send_json({"watch": []})
            with pytest.raises(WebSocketDisconnect):
                until_closed(page)


def until_closed(page) -> None:
    for _ in range(200):
        page.receive_json()


@contextlib.asynccontextmanager
async def serving():
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    app = PlainTextResponse("well")
    running_server = asyncio.create_task(serve(app, "127.0.0.1", 0, ready.set_result))
    try:
        yield await ready
    finally:
        running_server.cancel()
        await asyncio.gather(running_server, return_exceptions=True)


def ask(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        found: bytes = answer.read()
        return found


def half_open(url: str, number: int) -> list[sockets.socket]:
    host, port = url.removeprefix("http://").rstrip("/").split(":")
    made = []
    for _ in range(number):
        made.append(sockets.create_connection((host, int(port)), timeout=5))
        made[-1].sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-a: ")
    return made


def closed(connection: sockets.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


async def test_half_open_requests_do_not_keep_others_out(monkeypatch) -> None:
    monkeypatch.setattr(connections, "MOST_HALF_OPEN", 20)
    async with serving() as url:
        held = await asyncio.to_thread(half_open, url, 60)
        assert await asyncio.to_thread(ask, url) == b"well"
        gone = await asyncio.to_thread(lambda: sum(map(closed, held)))
        assert 35 <= gone <= 45
        for connection in held:
            connection.close()


async def test_a_request_that_dawdles_is_closed(monkeypatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_S", 0.3)
    async with serving() as url:
        (held,) = await asyncio.to_thread(half_open, url, 1)
        await asyncio.sleep(1.0)
        assert await asyncio.to_thread(closed, held)
        held.close()
        assert await asyncio.to_thread(ask, url) == b"well"


async def test_beyond_the_limit_of_connections_what_is_open_goes_on(monkeypatch) -> None:
    monkeypatch.setattr(connections.TimedConnection, "most", 5)
    async with serving() as url:
        held = await asyncio.to_thread(half_open, url, 9)
        gone = await asyncio.to_thread(lambda: [closed(c) for c in held])
        assert gone == [False] * 5 + [True] * 4
        for connection in held:
            connection.close()
