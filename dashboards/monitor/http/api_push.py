"""Endpoints by which a browser registers for Web Push: people on call are told of alarms though no
page is open. Who is told of which alarms is said by the notifications file."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.responses import Response

from dashboards.monitor.http import schemas
from dashboards.monitor.http.api_actions import signed
from dashboards.monitor.http.api_request import ApiRequest, json_answer
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec
from ingest.errors import BadInputError, RefusedError
from stream_processor.notifications.push_store import PushStore, Subscription

T = TypeVar("T")
MOST_ENDPOINT = 1024  # characters


class _Registration(msgspec.Struct, forbid_unknown_fields=True):
    by: str
    subscription: Subscription


async def _key(ask: ApiRequest) -> Response:
    return json_answer({"key": await _kept(_store(ask).public_key)})


async def _register(ask: ApiRequest) -> Response:
    body = await ask.body(_Registration)
    name = signed(ask, body.by, "")
    _check(body.subscription)
    await _kept(partial(_store(ask).add, name, body.subscription))
    return Response(status_code=204)


async def _leave(ask: ApiRequest) -> Response:
    endpoint = ask.request.query_params.get("endpoint", "")
    await _kept(partial(_store(ask).remove, endpoint))
    return Response(status_code=204)


def _store(ask: ApiRequest) -> PushStore:
    if ask.parts.push is None:
        raise RefusedError(
            404, "nobody is told by Web Push here", "Records are viewed, not people."
        )
    return ask.parts.push


async def _kept(job: Callable[[], T]) -> T:
    """Run a job of the store's on a thread."""
    try:
        return await asyncio.to_thread(job)
    except OSError as error:
        raise RefusedError(
            503, f"the folder of Web Push cannot be used: {error.strerror}", "Set ECGWATCH_PUSH."
        ) from error
    except BadInputError as error:
        raise RefusedError(503, error.problem, error.remedy) from error


def _check(subscription: Subscription) -> None:
    """Refuse what no push service gives out: the notifier would send to any address of this
    network."""
    url = urlsplit(subscription.endpoint)
    host = url.hostname or ""
    if (
        url.scheme != "https"
        or "." not in host
        or _is_address(host)
        or len(subscription.endpoint) > MOST_ENDPOINT
    ):
        raise RefusedError(400, "endpoint is no https address of a push service")
    try:
        subscription.keys.bytes  # noqa: B018
    except ValueError as error:
        raise RefusedError(400, f"keys: {error}") from error


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


_KEYS = schemas.object_schema({"p256dh": schemas.TEXT, "auth": schemas.TEXT})
ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/push",
        "view",
        _key,
        "The key that browsers subscribe with",
        ResponseSpec("the public key, base64url", schemas.object_schema({"key": schemas.TEXT})),
        errors=(404, 503),
    ),
    Endpoint(
        "POST",
        "/api/push",
        "acknowledge",
        _register,
        "Register this browser for Web Push",
        ResponseSpec("registered", media="", status=204),
        body=schemas.object_schema(
            {
                "by": schemas.BY,
                "subscription": schemas.object_schema({"endpoint": schemas.TEXT, "keys": _KEYS}),
            }
        ),
        errors=(404, 503),
    ),
    Endpoint(
        "DELETE",
        "/api/push",
        "acknowledge",
        _leave,
        "Forget a browser",
        ResponseSpec("forgotten", media="", status=204),
        query=(("endpoint", True, schemas.TEXT, "the subscription's endpoint"),),
        errors=(404, 503),
    ),
)
