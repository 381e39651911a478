"""Access to the store: puts questions to the readers, and loads the past of every patient who is
new on the ward."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor
from typing import Concatenate, ParamSpec, TypeVar

from dashboards.monitor.live.bedside import Bedside
from dashboards.monitor.live.hub import Hub
from dashboards.monitor.store.questions import actions, alarms
from dashboards.monitor.store.readers import PickledRefusal, answer
from ingest.clock import Clock
from ingest.errors import RefusedError
from stream_processor.sinks.base import Sink

log = logging.getLogger(__name__)
T = TypeVar("T")
P = ParamSpec("P")
DAY_NS = 24 * 3600 * 10**9
MOST_WAITING = 64
_RETRY_S = 5.0


class History:
    """Puts questions (questions.py) to the readers."""

    def __init__(self, open_sink: Callable[[], Sink], make_readers: Callable[[], Executor]) -> None:
        self._open = open_sink
        self._make_readers = make_readers
        self._readers = make_readers()
        self._waiting = 0

    async def ask(
        self, question: Callable[Concatenate[Sink, P], T], *arguments: P.args, **_: P.kwargs
    ) -> T:
        """Ask a question and return the answer. Raises RefusedError if the store cannot be read or
        the answer would be too long."""
        if self._waiting >= MOST_WAITING:
            raise RefusedError(
                503,
                f"{MOST_WAITING} questions to the store are waiting already",
                "Try again in a minute.",
            )
        self._waiting += 1
        readers = self._readers
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                readers, answer, self._open, question, arguments
            )
        except BrokenExecutor as error:
            if self._readers is readers:
                log.error("a reader of the store was ended from outside; starting others")
                self._readers = self._make_readers()
            raise RefusedError(503, "the reader of the store was ended", "Try again.") from error
        finally:
            self._waiting -= 1
        if isinstance(found, PickledRefusal):
            raise RefusedError(found.status, found.problem, found.remedy)
        answered: T = found
        return answered

    def close(self) -> None:
        """Finish pending questions, then end the readers."""
        self._readers.shutdown(wait=True, cancel_futures=True)


async def fill_boards(hub: Hub, history: History, clock: Clock) -> None:
    """Give every patient new on the ward the last day's alarms and actions of the store, one
    patient at a time, until cancelled."""
    while True:
        patient = await hub.unread_history.get()
        bed = hub.board.get(patient)
        if bed is None:
            continue
        try:
            await _fill(bed, history, clock.now_ns())
        # the page shows that the history is missing, and the question is repeated
        except RefusedError as refused:
            log.warning("alarms of %s: %s", patient, refused.problem)
            hub.unread_history.put_nowait(patient)
            await asyncio.sleep(_RETRY_S)
            continue
        hub.refresh(patient)


async def _fill(bed: Bedside, history: History, now_ns: int) -> None:
    newest = bed.newest_ns
    stored = await history.ask(alarms, bed.patient_id, max(0, newest - DAY_NS), newest + DAY_NS)
    bed.alarms.load(stored, bed.stream_start_ns)
    # the longest possible silence
    bed.actions.load(await history.ask(actions, bed.patient_id, now_ns - DAY_NS))
    bed.history_loaded = True
