"""An endpoint: its handler, the role it needs, and its description for /openapi.json, in one place."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Literal, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboards.monitor.http.access import COOKIE, Role, TooManyAttemptsError, Visitor
from dashboards.monitor.http.api_request import ApiRequest, AppState, refusal
from dashboards.monitor.http.guard import same_origin
from ingest.errors import RefusedError

Handler = Callable[[ApiRequest], Awaitable[Response]]
_PATIENT = "{patient}"


class ResponseSpec(NamedTuple):
    """A successful answer: its media type and, if it is JSON, its schema."""

    text: str
    schema: dict[str, Any] | None = None
    media: str = "application/json"
    status: int = 200


class Endpoint(NamedTuple):
    """One method of one path. Role None: anybody who reaches the server."""

    method: Literal["GET", "POST", "DELETE"]
    path: str  # in OpenAPI's notation
    role: Role | None
    handler: Handler
    summary: str
    answer: ResponseSpec
    # name, required, schema, description
    query: tuple[tuple[str, bool, dict[str, Any], str], ...] = ()
    body: dict[str, Any] | None = None  # JSON schema
    errors: tuple[int, ...] = ()

    @property
    def of_patient(self) -> bool:
        """True if the path names a patient."""
        return _PATIENT in self.path

    def route(self) -> Route:
        """The route of this endpoint; a patient's name may hold slashes."""
        return Route(
            self.path.replace(_PATIENT, "{patient:path}"), self._answer, methods=[self.method]
        )

    async def _answer(self, request: Request) -> Response:
        try:
            visitor = who(request)
            if self.role is not None:
                require(visitor, self.role)
            if self.method != "GET":
                _refuse_foreign(request)
            return await self.handler(ApiRequest(request, request.app.state.parts, visitor))
        except RefusedError as refused:
            return refusal(refused)


def who(request: Request) -> Visitor:
    """Identify the visitor. Raises RefusedError if the address has sent too many wrong tokens."""
    parts: AppState = request.app.state.parts
    with braked():
        return parts.access.visitor(
            request.cookies.get(COOKIE), request.headers.get("authorization"), address(request)
        )


def require(visitor: Visitor, role: Role) -> None:
    """Raise RefusedError if the visitor's role does not allow this."""
    if visitor.role is None:
        raise RefusedError(
            401,
            "nobody is signed in",
            "Sign in with a token, or send it as Authorization: Bearer TOKEN.",
        )
    if not visitor.may(role):
        raise RefusedError(
            403,
            f"this needs the role {role}; {visitor.user!r} has {visitor.role}",
            "Ask for a token with that role.",
        )


def address(request: Request) -> str:
    """Address of the client, for the limit on guessing."""
    return request.client.host if request.client else ""


@contextlib.contextmanager
def braked() -> Iterator[None]:
    """Turn TooManyAttemptsError into a refusal with status 429."""
    try:
        yield
    except TooManyAttemptsError as error:
        wait = math.ceil(error.wait_s)
        raise RefusedError(
            429, "too many wrong tokens", f"Try again in {wait} s.", {"Retry-After": str(wait)}
        ) from error


def _refuse_foreign(request: Request) -> None:
    """Refuse requests from foreign pages: they must not act through a browser that is signed in
    here. Clients that are no browser send no origin and no cookie."""
    origin = request.headers.get("origin")
    if (
        origin is None
        and COOKIE not in request.cookies
        and request.headers.get("sec-fetch-site") is None
    ):
        return
    if not same_origin(origin, request.headers.get("host")):
        raise RefusedError(
            403, "a page of another origin asks", "Only this server's own pages may do that."
        )
