"""Endpoints for signing in and out."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from dashboards.monitor.http.access import COOKIE, SESSION_S, Visitor
from dashboards.monitor.http.api_request import ApiRequest, json_answer
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec, address, braked
from dashboards.words import WORDS
from ingest.errors import RefusedError

_SESSION: dict[str, Any] = {
    "type": "object",
    "required": ["user", "role", "needs_token"],
    "properties": {
        "user": {"type": "string", "description": "who is signed in; empty where nobody has to be"},
        "role": {"type": ["string", "null"], "enum": ["view", "acknowledge", "admin", None]},
        "needs_token": {"type": "boolean"},
    },
}


_WORDS: dict[str, Any] = {
    "type": "object",
    "required": ["rhythms", "alarms"],
    "properties": {
        "rhythms": {"type": "object", "description": "by label: short and full name"},
        "alarms": {"type": "object", "description": "by kind: name, priority, remedy"},
    },
}


class _SignIn(msgspec.Struct, forbid_unknown_fields=True):
    token: str


async def _session(ask: ApiRequest) -> Response:
    return _view(ask, ask.visitor)


async def _sign_in(ask: ApiRequest) -> Response:
    access = ask.parts.access
    token = (await ask.body(_SignIn)).token
    if not access.needs_token:
        raise RefusedError(409, "nobody has to sign in here", "Go on without.")
    with braked():
        visitor = access.recognise(token, address(ask.request))
    if visitor.role is None:
        raise RefusedError(
            401, "this token is not known here", "Ask whoever runs this monitor for one."
        )
    answer = _view(ask, visitor)
    secure = ask.request.url.scheme == "https"
    answer.set_cookie(
        COOKIE,
        access.open_session(visitor),
        max_age=SESSION_S,
        httponly=True,
        samesite="strict",
        secure=secure,
    )
    return answer


async def _sign_out(ask: ApiRequest) -> Response:
    ask.parts.access.close_session(ask.request.cookies.get(COOKIE))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer


async def _words(ask: ApiRequest) -> Response:
    return json_answer(WORDS)


def _view(ask: ApiRequest, visitor: Visitor) -> Response:
    return json_answer(
        {"user": visitor.user, "role": visitor.role, "needs_token": ask.parts.access.needs_token}
    )


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/words",
        None,
        _words,
        "What rhythms and alarms are called",
        ResponseSpec("names by rhythm and by kind of alarm", _WORDS),
    ),
    Endpoint(
        "GET",
        "/api/session",
        None,
        _session,
        "Who is signed in",
        ResponseSpec("the session", _SESSION),
    ),
    Endpoint(
        "POST",
        "/api/session",
        None,
        _sign_in,
        "Sign in: sets a cookie",
        ResponseSpec("the session", _SESSION),
        body={"type": "object", "required": ["token"], "properties": {"token": {"type": "string"}}},
        errors=(401, 409, 429),
    ),
    Endpoint(
        "DELETE",
        "/api/session",
        None,
        _sign_out,
        "Sign out",
        ResponseSpec("signed out", media="", status=204),
    ),
)
