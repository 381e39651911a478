"""Chunks and events over HTTP, for devices and gateways. The texts of an answer are in ingest/wire.py."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ingest import wire
from ingest.registry.records import DeviceRecord
from ingest.server.gate import bearer
from ingest.server.refusals import IngestRefusedError, away
from ingest.server.service import IngestService
from ingest.wire import JSON, Reply, WearerEvent, WireError

log = logging.getLogger(__name__)
BODY_S = 10.0  # how long a body may take to come
MAX_EVENT = 8 * 1024
_REMEDY = "GET /api/ingest says what each call takes."

Handler = Callable[[IngestService, Request, DeviceRecord], Awaitable[Response]]


def routes(service: IngestService) -> list[Route]:
    """The calls of a device."""

    def route(path: str, method: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            who = request.client.host if request.client else ""
            try:
                device = service.device(bearer(request.headers.get("authorization")), who)
                who = f"{device.device_id} at {who}"
                return await handler(service, request, device)
            except IngestRefusedError as refused:
                service.refusals.add(who, refused)
                return refusal(refused)
            except ClientDisconnect:
                return Response(status_code=400)

        return Route(path, endpoint, methods=[method])

    return [
        route(wire.CHUNKS_PATH, "POST", _chunks),
        route(wire.EVENTS_PATH, "POST", _event),
        route(wire.DEVICE_PATH, "GET", _device),
    ]


def refusal(refused: IngestRefusedError) -> Response:
    """Return the HTTP answer of a refusal."""
    headers = {"Cache-Control": "no-store"}
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(refused.retry_after_s))
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(refused.body()), refused.status, headers, JSON)


def stream_id(text: str) -> str:
    """A stream's UUID in its usual form. Raises RefusedError 422."""
    try:
        return str(UUID(text))
    except ValueError:
        raise IngestRefusedError(
            422, f"{text[:40]!r} is no UUID", "Make one for each stream.", field="stream"
        ) from None


def media_type(text: str) -> str:
    """Return the media type of a Content-Type header."""
    return text.partition(";")[0].strip().lower()


def read_chunks(body: bytes, media: str) -> list[wire.Chunk]:
    """The chunks of a body. Raises RefusedError."""
    try:
        return wire.decode_chunks(body, media)
    except WireError as error:
        raise IngestRefusedError(error.status, error.problem, _REMEDY, field=error.field) from error


async def _chunks(service: IngestService, request: Request, device: DeviceRecord) -> Response:
    name = stream_id(request.path_params["stream"])
    body = await _body(request, wire.MAX_BODY)
    service.gate.charge(device.device_id, len(body))
    chunks = read_chunks(body, media_type(request.headers.get("content-type", "")))
    if service.outlet.away:
        raise away()
    taken = service.book.take(device, name, chunks)
    await service.settle(taken.done)
    return _answer(Reply(next_sample=taken.stream.kept), 202)


async def _event(service: IngestService, request: Request, device: DeviceRecord) -> Response:
    body = await _body(request, MAX_EVENT)
    service.gate.charge(device.device_id, len(body))
    event = read_event(body, media_type(request.headers.get("content-type", "")))
    if service.outlet.away:
        raise away()
    await service.settle([service.event(device, event)])
    return _answer(Reply(), 202)


def read_event(body: bytes, media: str) -> WearerEvent:
    """Read an event of the wearer. Raises RefusedError."""
    if media not in wire.MEDIA_TYPES:
        raise IngestRefusedError(
            415, f"the media type is {media[:40]!r}, not {' or '.join(wire.MEDIA_TYPES)}"
        )
    try:
        decode = msgspec.json.decode if media == JSON else msgspec.msgpack.decode
        return decode(body, type=WearerEvent)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise IngestRefusedError(422, str(error), _REMEDY) from error


async def _device(service: IngestService, request: Request, device: DeviceRecord) -> Response:
    bound = service.book.registry.binding(device.device_id)
    stream = service.book.newest(device.device_id)
    content: dict[str, Any] = {
        "device": device.device_id,
        "worn_by": None if bound is None else {"name": bound.person.name, "bed": bound.person.bed},
        "since_ns": device.bound_ns or None,
        "stream": None
        if stream is None
        else {"id": stream.id, "next_sample": stream.kept, "over": stream.over},
        "now_ns": service.clock.now_ns(),
    }
    return _answer(content, 200)


async def _body(request: Request, most: int) -> bytes:
    """The body. Raises RefusedError: 408 for one that comes too slowly, 413 for one that is too long."""
    too_long = IngestRefusedError(
        413, f"the body is longer than {most} bytes", "Send fewer chunks at once."
    )
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and int(length[:12]) > most:
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise too_long
    except TimeoutError:
        raise IngestRefusedError(
            408, f"the body took longer than {BODY_S:g} s", "Send smaller bodies."
        ) from None
    return bytes(body)


def _answer(content: Any, status: int) -> Response:
    return Response(msgspec.json.encode(content), status, {"Cache-Control": "no-store"}, JSON)
