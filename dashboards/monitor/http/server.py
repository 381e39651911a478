"""The built-in monitor over HTTP and WebSocket.

GET /                          the ward page; /patient?id=ID the patient page; /worklist all alarms;
                               /alarm?patient=ID&id=ALARM_ID the page of one alarm, for the nurse on call
GET /healthz, /readyz          200 while the broker answers, else 503; /metrics for Prometheus
GET /api                       what else can be asked, to read (docs/monitor-api.md); /openapi.json for programs
WS  /live                      the page sends {"watch": [ID, ...]}; it gets JSON texts and binary samples (frames.py) of those patients:
    {"type": "hello", "protocol", "commands", "record"}   record only from `ecgwatch view`
    {"type": "ward", "now", "broker", "patients", "revision", "alarms", "worst"} once a second
    {"type": "patient", ...}        a patient's whole state (bedside.py), then its samples
    {"type": "events", "events": [{"p": number, KIND: {...}}]}   (views.py; KIND: beat vitals rhythm alarm score ...)
    {"type": "unknown", "id"}       nothing has been heard of this patient yet
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path

import anyio
import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from dashboards.monitor.http import (
    api_actions,
    api_edits,
    api_journal,
    api_limits,
    api_people,
    api_push,
    api_session,
    api_ward,
    api_worklist,
)
from dashboards.monitor.http.access import COOKIE, Access, TooManyAttemptsError
from dashboards.monitor.http.api_request import AppState, Send, json_answer
from dashboards.monitor.http.guard import LOOPBACK_NAMES, KnownHosts, SafeHeaders, same_origin
from dashboards.monitor.http.openapi import described
from dashboards.monitor.http.past import api_history, api_measures, api_report
from dashboards.monitor.live.board import Board
from dashboards.monitor.live.feed import Feed
from dashboards.monitor.live.hub import Hub, Page
from dashboards.monitor.store.history import History, fill_boards
from dashboards.monitor.store.readers import threads
from ingest.clock import Clock
from ingest.health import TEXT, Metric, prometheus
from ingest.registry.device_states import DeviceState
from ingest.registry.state import Registry
from stream_processor.notifications.push_store import PushStore
from stream_processor.pipeline.alarms.profiles import Profiles
from stream_processor.sinks.base import Sink

STATIC = Path(__file__).parents[1] / "static"
_PARTS = (
    api_session,
    api_ward,
    api_worklist,
    api_history,
    api_measures,
    api_limits,
    api_actions,
    api_edits,
    api_journal,
    api_people,
    api_push,
    api_report,
)
PAGES = ("/", "/patient", "/worklist", "/alarm")  # one document; its scripts read the path
ENDPOINTS = described([endpoint for part in _PARTS for endpoint in part.ENDPOINTS])
_TICK_S = 1.0
_MESSAGES_PER_S, _BURST = 10.0, 50  # rate limit of a page's messages
_SESSION_CHECK_S = 5.0
_POLICY_VIOLATION, _TRY_AGAIN_LATER, _SIGN_IN = 1008, 1013, 4401


class WatchMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A page's message: the patients it watches."""

    watch: list[str]


def create_app(
    feed: Feed,
    open_sink: Callable[[], Sink],
    clock: Clock,
    *,
    send: Send,
    profiles: Profiles,
    access: Access,
    hosts: Sequence[str] = LOOPBACK_NAMES,
    addresses: bool = False,
    commands: Sequence[str] = (),
    readers: Callable[[], Executor] = threads,
    registry: Callable[[], Registry] | None = None,
    read_states: Callable[[], dict[str, DeviceState]] = dict,
    join_url: str = "",
    push: PushStore | None = None,
    more: Sequence[BaseRoute] = (),
    record: Mapping[str, object] | None = None,
) -> Starlette:
    """Build the application.

    `open_sink` is called in each of the `readers` of the store (with `processes` it must be
    picklable), `send` takes actions and edits to the broker and is called on threads of its own,
    `hosts` are the names the server answers to (`addresses`: to every address in figures too), and
    an empty ward shows `commands` as ways to add a patient. `registry` knows who is admitted and
    wears which device, `read_states` when each device was last heard, `join_url` is the URL at
    which phones send; `push` keeps the browsers that are told by Web Push; `more` are further routes. `record` tells the page that it shows
    records instead of a ward, and their period: {"start", "end", "speeds"}.
    """
    nobody = Registry()
    known = registry or (lambda: nobody)
    hub = Hub(Board(clock), feed, clock, commands, known, record)
    history = History(open_sink, readers)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(job)
            for job in (feed.run(hub.deliver), fill_boards(hub, history, clock), _tick(hub))
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            history.close()

    app = Starlette(
        routes=[
            *(Route(path, _index) for path in PAGES),
            Route("/service-worker.js", _service_worker),
            Route("/healthz", _health),
            Route("/readyz", _health),
            Route("/metrics", _metrics),
            *(endpoint.route() for endpoint in ENDPOINTS),
            WebSocketRoute("/live", _live),
            *more,
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[
            Middleware(SafeHeaders),
            Middleware(KnownHosts, names=list(hosts), addresses=addresses),
        ],
        exception_handlers={HTTPException: _refusal},
        lifespan=lifespan,
    )
    app.state.parts = AppState(
        hub, history, feed, clock, access, profiles, send, known, read_states, join_url, push
    )
    return app


async def _tick(hub: Hub) -> None:
    while True:
        hub.tick()
        await asyncio.sleep(_TICK_S)


async def _index(request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


async def _service_worker(request: Request) -> Response:
    """Serve the page's service worker from the root: it rules only over paths beside its own."""
    return FileResponse(STATIC / "core/service-worker.js")


async def _health(request: Request) -> Response:
    parts: AppState = request.app.state.parts
    connected = parts.feed.connected
    return json_answer(
        {"broker": connected, "patients": len(parts.hub.board)}, 200 if connected else 503
    )


async def _metrics(request: Request) -> Response:
    parts: AppState = request.app.state.parts
    board = parts.hub.board
    found = [
        Metric("broker_up", "gauge", "1 while the broker answers", float(parts.feed.connected)),
        Metric("patients", "gauge", "patients on the ward", len(board)),
        Metric("pages", "gauge", "pages that are open", parts.hub.pages),
        Metric("system_alarms", "gauge", "alarms of the system", len(board.system.standing())),
        Metric(
            "refused_inputs_total",
            "counter",
            "dead letters seen: input or events that were refused",
            float(board.refused.total),
        ),
    ]
    return Response(prometheus(found), media_type=TEXT)


async def _refusal(request: Request, error: Exception) -> Response:
    """Answer in the API's form for refusals of Starlette itself: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    remedy = "GET /api says what can be asked."
    return json_answer(
        {"problem": f"{request.method} {request.url.path}: {error.detail}", "remedy": remedy},
        error.status_code,
        error.headers,
    )


async def _live(socket: WebSocket) -> None:
    if not same_origin(socket.headers.get("origin"), socket.headers.get("host")):
        await socket.close(_POLICY_VIOLATION)
        return
    parts: AppState = socket.app.state.parts
    if not _may_watch(socket, parts.access):
        await socket.accept()  # accepted first: a refused handshake would give the page no reason
        await socket.close(_SIGN_IN)
        return
    await socket.accept()
    page = Page()
    parts.hub.join(page)
    try:
        async with anyio.create_task_group() as group:

            async def until_done(job: Awaitable[object]) -> None:
                await job
                group.cancel_scope.cancel()  # the first task to end cancels the others

            for job in (
                _send(socket, page),
                _listen(socket, parts.hub, page, parts.clock),
                page.too_slow.wait(),
                _signed_out(socket, parts.access),
            ):
                group.start_soon(until_done, job)
    finally:
        parts.hub.leave(page)
    code = (
        _TRY_AGAIN_LATER
        if page.too_slow.is_set()
        else _POLICY_VIOLATION
        if _may_watch(socket, parts.access)
        else _SIGN_IN
    )
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code)


def _may_watch(socket: WebSocket, access: Access) -> bool:
    address = socket.client.host if socket.client else ""
    try:
        return access.visitor(
            socket.cookies.get(COOKIE), socket.headers.get("authorization"), address
        ).may("view")
    except TooManyAttemptsError:
        return False


async def _signed_out(socket: WebSocket, access: Access) -> None:
    """Return when the session of the page has expired or its token is revoked."""
    while _may_watch(socket, access):
        await asyncio.sleep(_SESSION_CHECK_S)


async def _send(socket: WebSocket, page: Page) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            message = await page.outbox.get()
            await (
                socket.send_bytes(message)
                if isinstance(message, bytes)
                else socket.send_text(message)
            )


async def _listen(socket: WebSocket, hub: Hub, page: Page, clock: Clock) -> None:
    """Follow the page's messages until it leaves, sends an invalid one, or sends too many."""
    allowed = float(_BURST)
    heard_s = clock.steady_s()
    with contextlib.suppress(WebSocketDisconnect, msgspec.MsgspecError, KeyError):
        while True:
            received = await socket.receive_text()
            now_s = clock.steady_s()
            allowed = min(_BURST, allowed + (now_s - heard_s) * _MESSAGES_PER_S) - 1
            heard_s = now_s
            if allowed < 0:
                return
            hub.watch(page, msgspec.json.decode(received, type=WatchMessage).watch)
