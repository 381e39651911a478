"""The ingest API as an OpenAPI 3.1 document, and as a page to read."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from functools import cache
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ingest import wire
from ingest.wire import JSON, MESSAGEPACK, Chunk, Refusal, Reply, WearerEvent

_ERRORS = {
    401: "no device has this token, or it was revoked",
    408: "the body came too slowly",
    409: "nobody wears the device, the stream is over or another's, or a repeat has other samples",
    413: "the body is too long",
    415: "neither JSON nor MessagePack",
    422: "a field is not what it should be; `field` names it",
    429: "the broker is away, or the device sends too much, or the address guesses tokens; see Retry-After",
}
_STYLE = "body{font:16px system-ui;max-width:50em;margin:2em auto;padding:0 1em}pre{background:#eee;padding:1em;overflow:auto}"


def routes() -> list[Route]:
    """The document and the page."""

    async def raw(request: Request) -> Response:
        return Response(msgspec.json.encode(document()), media_type=JSON)

    async def page(request: Request) -> Response:
        style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; frame-ancestors 'none'"
        return HTMLResponse(_page(), headers={"Content-Security-Policy": policy})

    return [Route("/api/ingest/openapi.json", raw), Route("/api/ingest", page)]


@cache
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    _, schemas = msgspec.json.schema_components(
        [Chunk, Reply, Refusal, WearerEvent], ref_template="#/components/schemas/{name}"
    )
    schemas["Chunk"]["properties"]["samples"]["description"] = (
        "int16, little-endian; base64 in JSON, bytes in MessagePack"
    )
    stream = {
        "name": "stream",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    }
    chunks = {"type": "array", "items": _ref("Chunk"), "minItems": 1, "maxItems": wire.MAX_CHUNKS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ecgwatch ingest",
            "version": "1",
            "description": "Samples of devices, acknowledged once Kafka has them. Not a medical device.",
        },
        "security": [{"token": []}],
        "paths": {
            wire.CHUNKS_PATH: {
                "post": {
                    "operationId": "send_chunks",
                    "summary": "Send samples of a stream; a repeat counts once",
                    "parameters": [stream],
                    "requestBody": _body(chunks, f"at most {wire.MAX_BODY} bytes"),
                    "responses": _responses(
                        202, "Kafka has every sample before next_sample", _ref("Reply"), _ERRORS
                    ),
                }
            },
            wire.SOCKET_PATH: {
                "get": {
                    "operationId": "open_socket",
                    "summary": f"WebSocket of a stream, subprotocols {wire.SUBPROTOCOL} and {wire.TOKEN_PREFIX}TOKEN",
                    "description": "Each binary frame is a MessagePack body of chunks; the server pushes Reply.",
                    "parameters": [stream],
                    "responses": {"101": {"description": "the socket is open"}},
                }
            },
            wire.EVENTS_PATH: {
                "post": {
                    "operationId": "send_event",
                    "summary": "What the wearer says: the symptom button, a note",
                    "requestBody": _body(_ref("WearerEvent"), "one event"),
                    "responses": _responses(202, "Kafka has it", _ref("Reply"), _ERRORS),
                }
            },
            wire.DEVICE_PATH: {
                "get": {
                    "operationId": "device",
                    "summary": "What the server knows of the device: who wears it, its stream",
                    "responses": _responses(
                        200, "the device", {"type": "object"}, {c: _ERRORS[c] for c in (401, 429)}
                    ),
                }
            },
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _body(schema: dict[str, Any], text: str) -> dict[str, Any]:
    return {
        "required": True,
        "description": text,
        "content": {media: {"schema": schema} for media in (JSON, MESSAGEPACK)},
    }


def _responses(
    good: int, text: str, schema: dict[str, Any], errors: dict[int, str]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        str(good): {"description": text, "content": {JSON: {"schema": schema}}}
    }
    for code, problem in errors.items():
        found[str(code)] = {"description": problem, "content": {JSON: {"schema": _ref("Refusal")}}}
    return found


@cache
def _page() -> str:
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>ecgwatch ingest</title>",
        f"<style>{_STYLE}</style>",
    ]
    parts.append(
        "<h1>ecgwatch ingest</h1><p>For programs: <a href=/api/ingest/openapi.json>openapi.json</a>.</p>"
    )
    for path, methods in document()["paths"].items():
        for method, call in methods.items():
            parts.append(
                f"<h2>{method.upper()} {html.escape(path)}</h2><p>{html.escape(call['summary'])}.</p><ul>"
            )
            parts += [
                f"<li>{code}: {html.escape(answer['description'])}"
                for code, answer in call["responses"].items()
            ]
            parts.append("</ul>")
    parts.append("<h2>Schemas</h2>")
    for name, schema in document()["components"]["schemas"].items():
        parts.append(f"<h3>{name}</h3><p>{html.escape(schema.get('description', ''))}</p>")
        parts.append(
            f"<pre>{html.escape(json.dumps(schema.get('properties', {}), indent=1))}</pre>"
        )
    return "".join(parts)
