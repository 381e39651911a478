"""Refusals of the ingest server, and their log."""

from __future__ import annotations

import logging
from collections import OrderedDict

from ingest.clock import Clock
from ingest.errors import RefusedError
from ingest.wire import Refusal, Reply

log = logging.getLogger(__name__)
_QUIET_S = 10.0  # one line per sender and status within this
_MOST = 2000


class IngestRefusedError(RefusedError):
    """Also names the field, and says when to come again."""

    def __init__(
        self,
        status: int,
        problem: str,
        remedy: str = "",
        *,
        field: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(status, problem, remedy)
        self.field, self.retry_after_s = field, retry_after_s

    def body(self) -> Refusal:
        """Return the refusal as the body of an HTTP answer."""
        return Refusal(problem=self.problem, remedy=self.remedy, field=self.field)

    def reply(self) -> Reply:
        """Return the refusal as a message on a WebSocket or by MQTT."""
        return Reply(
            status=self.status,
            problem=self.problem,
            remedy=self.remedy,
            field=self.field,
            retry_after_s=self.retry_after_s,
        )


def away() -> IngestRefusedError:
    """Return the refusal 503 for a Kafka that does not answer."""
    return IngestRefusedError(
        429,
        "the broker does not answer",
        "Keep the samples and send them again.",
        retry_after_s=2.0,
    )


class RefusalLog:
    """A line for each refusal, but not a flood of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: OrderedDict[tuple[str, int], tuple[float, int]] = OrderedDict()
        self.count = 0

    def add(self, who: str, refused: IngestRefusedError) -> None:
        """Log it, unless the same was said just now; then count it for the next line."""
        self.count += 1
        key, now = (who, refused.status), self._clock.steady_s()
        said_s, held = self._said.get(key, (-_QUIET_S, 0))
        if now - said_s < _QUIET_S:
            self._said[key] = said_s, held + 1
            return
        more = f" ({held} more since the last line)" if held else ""
        log.warning("refused %s: %d %s%s", who, refused.status, refused.problem, more)
        self._said[key] = now, 0
        self._said.move_to_end(key)
        while len(self._said) > _MOST:
            self._said.popitem(last=False)
