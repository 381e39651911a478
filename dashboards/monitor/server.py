"""The built-in monitor over HTTP and WebSocket.

GET /                          the ward page; /patient?id=ID the patient page
GET /api/patients              ?offset=0&limit=64&search=  patients the monitor knows now, by name
GET /api/patients/ID/alarms    ?hours=24  stored alarms, newest first
GET /healthz                   200 while the broker answers, else 503
WS  /live                      the page sends {"watch": [ID, ...]}; it gets JSON texts and binary samples (frames.py) of those patients:
    {"type": "hello", "protocol", "commands"}
    {"type": "ward", "now", "broker", "patients", "revision", "alarms", "worst"} once a second
    {"type": "patient", ...}        a patient's whole state (bedside.py), then its samples
    {"type": "events", "events": [{"p": number, "beat" | "vitals" | "rhythm" | "alarm": {...}}]}   (views.py)
    {"type": "unknown", "id"}       nothing has been heard of this patient yet
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from ingest.clock import Clock
from stream_processor.sinks.base import Sink

from .board import Board
from .feed import Feed
from .guard import LOOPBACK_NAMES, SafeHeaders, same_origin
from .history import History, fill_boards
from .hub import Hub, Page
from .views import alarm_view

STATIC = Path(__file__).parent / "static"
MAX_PAGE = 128
_TICK_S = 1.0
_POLICY_VIOLATION, _TRY_AGAIN_LATER = 1008, 1013


class Watch(msgspec.Struct, forbid_unknown_fields=True):
    """What a page may say."""

    watch: list[str]


def create_app(
    feed: Feed, open_sink: Callable[[], Sink], clock: Clock, hosts: Sequence[str] = LOOPBACK_NAMES, commands: Sequence[str] = ()
) -> Starlette:
    """The application.

    `open_sink` is called on the thread that reads the sink, `hosts` are the names the server answers to, and an empty ward shows `commands`
    as ways to add a patient.
    """
    hub = Hub(Board(clock), feed, clock, commands)
    history = History(open_sink)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(job) for job in (feed.run(hub.deliver), fill_boards(hub, history), _tick(hub))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            history.close()

    app = Starlette(
        routes=[
            Route("/", _index),
            Route("/patient", _index),
            Route("/healthz", _health),
            Route("/api/patients", _patients),
            Route("/api/patients/{patient:path}/alarms", _alarms),
            WebSocketRoute("/live", _live),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(SafeHeaders), Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        lifespan=lifespan,
    )
    app.state.hub, app.state.history, app.state.clock, app.state.feed = hub, history, clock, feed
    return app


async def _tick(hub: Hub) -> None:
    while True:
        hub.tick()
        await asyncio.sleep(_TICK_S)


def _json(content: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def _index(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _health(request: Request) -> Response:
    connected = request.app.state.feed.connected
    return _json({"broker": connected, "patients": len(request.app.state.hub.board)}, 200 if connected else 503)


async def _patients(request: Request) -> Response:
    offset, limit = _whole(request, "offset", 0, 10**9), _whole(request, "limit", 64, MAX_PAGE)
    hub: Hub = request.app.state.hub
    total, beds = hub.board.page(offset, limit, request.query_params.get("search", ""))
    return _json({"total": total, "offset": offset, "patients": [{"id": bed.patient_id} for bed in beds]})


async def _alarms(request: Request) -> Response:
    hours = _whole(request, "hours", 24, 24 * 366)
    end_ns = request.app.state.clock.now_ns()
    bed = request.app.state.hub.board.get(request.path_params["patient"])
    if bed is not None and bed.newest_ns:
        end_ns = bed.newest_ns  # a replay's time is not the wall's
    start_ns = max(0, end_ns - hours * 3600 * 10**9)
    try:
        stored = await request.app.state.history.alarms(request.path_params["patient"], start_ns, end_ns + 1)
    except Exception as error:  # any database, any driver
        return _json({"problem": f"stored alarms cannot be read: {error}", "remedy": "See what `ecgwatch check` says of the sink."}, 503)
    return _json({"alarms": [alarm_view(alarm) for alarm in reversed(stored)]})


def _whole(request: Request, name: str, default: int, largest: int) -> int:
    """A whole number of the query, 0 to `largest`; anything else is answered with 400."""
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 12 and int(text) <= largest):
        raise HTTPException(400, f"{name} must be a whole number from 0 to {largest}, not {text[:40]!r}")
    return int(text)


async def _live(socket: WebSocket) -> None:
    if not same_origin(socket.headers.get("origin"), socket.headers.get("host")):
        await socket.close(_POLICY_VIOLATION)
        return
    await socket.accept()
    hub: Hub = socket.app.state.hub
    page = Page()
    hub.join(page)
    try:
        async with anyio.create_task_group() as group:

            async def until_done(job: Awaitable[object]) -> None:
                await job
                group.cancel_scope.cancel()  # whichever ends first ends the others

            for job in (_send(socket, page), _listen(socket, hub, page), page.too_slow.wait()):
                group.start_soon(until_done, job)
    finally:
        hub.leave(page)
    code = _TRY_AGAIN_LATER if page.too_slow.is_set() else _POLICY_VIOLATION
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code)


async def _send(socket: WebSocket, page: Page) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            message = await page.outbox.get()
            await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message))


async def _listen(socket: WebSocket, hub: Hub, page: Page) -> None:
    """Follow the page's wishes until it leaves or says something that is none."""
    with contextlib.suppress(WebSocketDisconnect, msgspec.MsgspecError, KeyError):
        while True:
            hub.watch(page, msgspec.json.decode(await socket.receive_text(), type=Watch).watch)
