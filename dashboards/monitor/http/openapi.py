"""The endpoints' descriptions as an OpenAPI 3.1 document and as a page to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from starlette.responses import Response

from dashboards.monitor.http.api_request import ApiRequest, json_answer
from dashboards.monitor.http.documents import document
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec

_PROBLEM = {
    "description": "what is wrong, and what to do",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_ERRORS = {
    400: "something in the question is not what it should be",
    401: "nobody is signed in",
    403: "the role does not allow it, or a page of another origin asks",
    404: "not known",
    409: "it is otherwise by now",
    429: "too many wrong tokens; Retry-After says how long to wait",
    503: "the store or the broker does not answer",
}
_FEW = 6  # number of words of a list that are written out
_TEMPLATE = Path(__file__).with_name("api.html")


def openapi(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Build the document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    problem = {
        "type": "object",
        "required": ["problem", "remedy"],
        "properties": {n: {"type": "string"} for n in ("problem", "remedy")},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ecgwatch monitor",
            "version": "1",
            "description": "Times are milliseconds since the Unix epoch. What happens now comes by WebSocket, /live. Not a medical device.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Problem": problem},
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": "ecgwatch_session"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    name = re.sub(r"[^a-z]+", "_", endpoint.path.lower()).strip("_")
    operation: dict[str, Any] = {
        "operationId": f"{endpoint.method.lower()}_{name}",
        "summary": endpoint.summary,
        "responses": _responses(endpoint),
        "security": [{"cookie": []}, {"bearer": []}] if endpoint.role else [],
        "x-role": endpoint.role or "none",
    }
    parameters = [
        {"name": name, "in": "query", "required": required, "schema": schema, "description": text}
        for name, required, schema, text in endpoint.query
    ]
    if endpoint.of_patient:
        patient = {"type": "string", "minLength": 1, "maxLength": 128}
        parameters.insert(
            0,
            {
                "name": "patient",
                "in": "path",
                "required": True,
                "schema": patient,
                "description": "the patient's id",
            },
        )
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": endpoint.body}},
        }
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    codes = set(endpoint.errors)
    codes |= {400} if endpoint.query or endpoint.body else set()
    codes |= {401, 429} if endpoint.role else set()
    codes |= {403} if endpoint.method != "GET" or endpoint.role not in (None, "view") else set()
    errors = {str(code): _PROBLEM | {"description": _ERRORS[code]} for code in sorted(codes)}
    return {str(endpoint.answer.status): _answer(endpoint.answer)} | errors


def _answer(answer: ResponseSpec) -> dict[str, Any]:
    if not answer.media:
        return {"description": answer.text}
    schema = {"schema": answer.schema} if answer.schema else {}
    return {"description": answer.text, "content": {answer.media: schema}}


def described(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """The endpoints, with the two that serve their description."""

    async def raw(ask: ApiRequest) -> Response:
        return json_answer(content())

    async def page(ask: ApiRequest) -> Response:
        return document(_page(_TEMPLATE).render(api=content()))

    every = (
        *endpoints,
        Endpoint(
            "GET",
            "/openapi.json",
            None,
            raw,
            "This description",
            ResponseSpec("an OpenAPI 3.1 document", {"type": "object"}),
        ),
        Endpoint(
            "GET",
            "/api",
            None,
            page,
            "This description, to read",
            ResponseSpec("a page", media="text/html"),
        ),
    )

    @cache
    def content() -> dict[str, Any]:
        return openapi(every)

    return every


def shape(schema: Any, indent: str = "") -> str:
    """An answer's shape in short notation for people."""
    if "enum" in schema and len(schema["enum"]) <= _FEW:
        return " | ".join("null" if value is None else f'"{value}"' for value in schema["enum"])
    types = schema.get("type", "string")
    names = types if isinstance(types, list) else [types]
    deeper = indent + "  "
    if "object" in names and "properties" in schema:
        lines = "".join(
            f'{deeper}"{name}": {shape(field, deeper)}\n'
            for name, field in schema["properties"].items()
        )
        return f"{{\n{lines}{indent}}}"
    if "object" in names and "additionalProperties" in schema:
        return f'{{"...": {shape(schema["additionalProperties"])}}}'
    if "array" in names and "items" in schema:
        return f"[{shape(schema['items'], indent)}, ...]"
    return " | ".join("text" if name == "string" else name for name in names)


@cache
def _page(path: Path) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["shape"] = shape
    return environment.from_string(path.read_text(encoding="utf-8"))
