"""One API request as every endpoint sees it: the visitor, the parameters, and ways to answer or
refuse."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboards.monitor.http.access import Access, Visitor
from dashboards.monitor.live.bedside import Bedside
from dashboards.monitor.live.feed import Feed
from dashboards.monitor.live.hub import Hub
from dashboards.monitor.store.history import History
from ingest.bounds import MAX_TIME_NS
from ingest.clock import Clock
from ingest.errors import RefusedError
from ingest.operator import Order
from ingest.registry.device_states import DeviceState
from ingest.registry.state import Registry
from stream_processor.notifications.push_store import PushStore
from stream_processor.pipeline.alarms.profiles import Profiles

T = TypeVar("T")
Send = Callable[[Order], None]  # blocks until the broker has the message; raises UnreachableError

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
MAX_BODY = 16 * 1024


class AppState(NamedTuple):
    """The parts of the application that endpoints share."""

    hub: Hub
    history: History
    feed: Feed
    clock: Clock
    access: Access
    profiles: Profiles
    send: Send
    registry: Callable[[], Registry]
    read_states: Callable[[], dict[str, DeviceState]]  # blocks; raises UnreachableError
    join_url: str  # URL at which phones send; "" if there is no ingest server
    push: PushStore | None  # browsers that are told by Web Push; None: not here


class ApiRequest(NamedTuple):
    """One request, by one visitor. Every method raises RefusedError if the answer is a refusal."""

    request: Request
    parts: AppState
    visitor: Visitor

    @property
    def patient(self) -> str:
        """The patient named in the path."""
        return str(self.request.path_params["patient"])

    @property
    def bed(self) -> Bedside | None:
        """The patient's bedside, if the patient is on the ward now."""
        return self.parts.hub.board.get(self.patient)

    def period(self, longest_ns: int) -> tuple[int, int]:
        """`from` and `to` in nanoseconds, from < to, at most `longest_ns` apart."""
        start_ns, end_ns = (self.time(name) for name in ("from", "to"))
        if start_ns >= end_ns:
            raise RefusedError(
                400, "from must lie before to", "Both are milliseconds since the Unix epoch."
            )
        if end_ns - start_ns > longest_ns:
            raise RefusedError(
                400, f"more than {longest_ns / HOUR_NS:g} h at once", "Ask for a shorter period."
            )
        return start_ns, end_ns

    def whole(self, name: str, default: int, largest: int, least: int = 0) -> int:
        """A query parameter that must be a whole number."""
        text = self.request.query_params.get(name, str(default))
        if not (
            text.isascii()
            and text.isdecimal()
            and len(text) <= 12
            and least <= int(text) <= largest
        ):
            raise RefusedError(
                400, f"{name} must be a whole number from {least} to {largest}, not {text[:40]!r}"
            )
        return int(text)

    def choice(self, name: str, known: Sequence[str]) -> str:
        """A query parameter that must be one of the known words, or absent."""
        text = self.request.query_params.get(name, "")
        if text and text not in known:
            raise RefusedError(400, f"{name} must be one of {', '.join(known)}, not {text[:40]!r}")
        return text

    async def body(self, form: type[T]) -> T:
        """The decoded JSON body."""
        if (
            self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
            != "application/json"
        ):
            raise RefusedError(
                400, "the body is not JSON", "Send it with Content-Type: application/json."
            )
        raw = bytearray()
        async for part in self.request.stream():
            raw += part
            if len(raw) > MAX_BODY:
                raise RefusedError(400, f"the body is longer than {MAX_BODY} bytes")
        try:
            return msgspec.json.decode(bytes(raw), type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedError(
                400,
                f"the body is not what it should be: {error}",
                "GET /api says what each call takes.",
            ) from error

    def time(self, name: str) -> int:
        """A query parameter that is a time, in nanoseconds."""
        text = self.request.query_params.get(name)
        if text is None:
            raise RefusedError(
                400, f"{name} is missing", f"{name} is in milliseconds since the Unix epoch."
            )
        try:
            value = float(text) if text.isascii() and len(text) <= 24 else math.nan
        except ValueError:
            value = math.nan
        if not 0 <= value * 1e6 < MAX_TIME_NS:  # NaN is refused too
            raise RefusedError(
                400, f"{name} must be milliseconds since the Unix epoch, not {text[:40]!r}"
            )
        return round(value * 1e6)


def json_answer(
    content: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with JSON; bytes are sent as they are."""
    data = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return Response(data, status, headers, media_type="application/json")


def refusal(refused: RefusedError) -> Response:
    """{"problem", "remedy"}."""
    return json_answer(
        {"problem": refused.problem, "remedy": refused.remedy}, refused.status, refused.headers
    )


def onset_of(alarm_id: str) -> int | None:
    """The onset that an alarm's id names (patient:kind:onset_ns), nanoseconds."""
    return whole_number(alarm_id.rpartition(":")[2])


def whole_number(text: str) -> int | None:
    """Parse a whole number of up to 19 digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 19 else None
