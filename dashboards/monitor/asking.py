"""What every endpoint needs: who asks, what of, and how to answer or refuse."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingest.clock import Clock
from ingest.messages import MAX_TIME_NS, Action, Edit
from stream_processor.alarms.profiles import Profiles
from stream_processor.sinks.base import Sink, SinkBusyError

from .access import Access, Visitor
from .bedside import Bedside
from .feed import Feed
from .history import History
from .hub import Hub

log = logging.getLogger(__name__)
T = TypeVar("T")
Send = Callable[[Action | Edit], None]  # blocks until the message is safe; raises UnreachableError

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
MOST = 20_000  # events in one answer
MAX_BODY = 16 * 1024
_CHECK = "See what `ecgwatch check` says of the sink."


class RefusedError(Exception):
    """An answer that is none: the status, what is wrong, and what to do."""

    def __init__(self, status: int, problem: str, remedy: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem)
        self.status, self.problem, self.remedy, self.headers = status, problem, remedy, headers

    def answer(self) -> Response:
        """{"problem", "remedy"}."""
        return json_answer({"problem": self.problem, "remedy": self.remedy}, self.status, self.headers)


class Parts(NamedTuple):
    """What the application is made of."""

    hub: Hub
    history: History
    feed: Feed
    clock: Clock
    access: Access
    profiles: Profiles
    send: Send


class Asking(NamedTuple):
    """One request, by one visitor. Every method raises RefusedError where the answer is a refusal."""

    request: Request
    parts: Parts
    visitor: Visitor

    @property
    def patient(self) -> str:
        """The patient in the path."""
        return str(self.request.path_params["patient"])

    @property
    def bed(self) -> Bedside | None:
        """The patient on the ward, if it is there now."""
        return self.parts.hub.board.get(self.patient)

    def period(self, longest_ns: int) -> tuple[int, int]:
        """`from` and `to` in nanoseconds, from < to, at most `longest_ns` apart."""
        start_ns, end_ns = (self._time(name) for name in ("from", "to"))
        if start_ns >= end_ns:
            raise RefusedError(400, "from must lie before to", "Both are milliseconds since the Unix epoch.")
        if end_ns - start_ns > longest_ns:
            raise RefusedError(400, f"more than {longest_ns / HOUR_NS:g} h at once", "Ask for a shorter period.")
        return start_ns, end_ns

    def whole(self, name: str, default: int, largest: int, least: int = 0) -> int:
        """A whole number of the query."""
        text = self.request.query_params.get(name, str(default))
        if not (text.isascii() and text.isdecimal() and len(text) <= 12 and least <= int(text) <= largest):
            raise RefusedError(400, f"{name} must be a whole number from {least} to {largest}, not {text[:40]!r}")
        return int(text)

    def choice(self, name: str, known: Sequence[str]) -> str:
        """One of the known words of the query, or nothing."""
        text = self.request.query_params.get(name, "")
        if text and text not in known:
            raise RefusedError(400, f"{name} must be one of {', '.join(known)}, not {text[:40]!r}")
        return text

    async def body(self, form: type[T]) -> T:
        """The JSON that was sent."""
        if self.request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RefusedError(400, "the body is not JSON", "Send it with Content-Type: application/json.")
        raw = bytearray()
        async for part in self.request.stream():
            raw += part
            if len(raw) > MAX_BODY:
                raise RefusedError(400, f"the body is longer than {MAX_BODY} bytes")
        try:
            return msgspec.json.decode(bytes(raw), type=form)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RefusedError(400, f"the body is not what it should be: {error}", "GET /api says what each call takes.") from error

    async def stored(self, question: Callable[[Sink], T]) -> T:
        """The store's answer, from a thread that may wait for it."""
        try:
            return await self.parts.history.ask(question)
        except RefusedError:
            raise
        except Exception as error:  # any database, any driver
            if not isinstance(error, SinkBusyError):
                log.exception("the store cannot be read")
            raise RefusedError(503, f"the store cannot be read: {error}", _CHECK) from error

    def _time(self, name: str) -> int:
        text = self.request.query_params.get(name)
        if text is None:
            raise RefusedError(400, f"{name} is missing", "from and to are milliseconds since the Unix epoch.")
        try:
            value = float(text) if text.isascii() and len(text) <= 24 else math.nan
        except ValueError:
            value = math.nan
        if not 0 <= value * 1e6 < MAX_TIME_NS:  # NaN is refused too
            raise RefusedError(400, f"{name} must be milliseconds since the Unix epoch, not {text[:40]!r}")
        return round(value * 1e6)


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON, quickly."""
    return Response(msgspec.json.encode(content), status, headers, media_type="application/json")


def bounded(found: Sequence[T]) -> Sequence[T]:
    """Refuse what was cut off: a list that is not whole must never look as if it were."""
    if len(found) > MOST:
        raise RefusedError(400, f"more than {MOST} in this period", "Ask for a shorter period.")
    return found
