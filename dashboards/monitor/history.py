"""What is stored, read from the sink on threads of its own: no page and no patient ever waits for a database."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ingest.messages import Action, Alarm
from stream_processor.sinks.base import Sink, SinkBusyError

from .bedside import Bedside
from .hub import Hub

log = logging.getLogger(__name__)
T = TypeVar("T")
DAY_NS = 24 * 3600 * 10**9
READERS = 2  # a day of signal must not keep a strip waiting; more would only take turns with the live feed
MOST_WAITING = 64
_RETRY_S = 5.0


class History:
    """Asks the store. Each thread opens a sink of its own at its first question (SQLite wants that)."""

    def __init__(self, open_sink: Callable[[], Sink]) -> None:
        self._open = open_sink
        self._own = threading.local()
        self._sinks: list[Sink] = []
        self._waiting = 0
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="history")

    async def ask(self, question: Callable[[Sink], T]) -> T:
        """The answer to a question, which is put to a sink on another thread. Raises what the question and the sink raise."""
        if self._waiting >= MOST_WAITING:
            raise SinkBusyError(f"{MOST_WAITING} questions are waiting for an answer already")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._put, question)
        finally:
            self._waiting -= 1

    async def alarms(self, patient_id: str, start_ns: int, end_ns: int) -> list[Alarm]:
        """Stored alarms with start_ns <= onset < end_ns, in order of onset."""
        return await self.ask(lambda sink: list(sink.read(Alarm, patient_id, start_ns, end_ns)))

    def close(self) -> None:
        """Answer what was asked, then let go of the store."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for sink in self._sinks:
            sink.close()

    def _put(self, question: Callable[[Sink], T]) -> T:
        if not hasattr(self._own, "sink"):
            self._own.sink = self._open()
            self._sinks.append(self._own.sink)
        return question(self._own.sink)


async def fill_boards(hub: Hub, history: History) -> None:
    """Give every patient new on the ward the last day's alarms and actions of the store, one patient at a time, until cancelled."""
    while True:
        patient = await hub.unread_history.get()
        bed = hub.board.get(patient)
        if bed is None:
            continue
        try:
            await _fill(bed, history)
        except Exception as error:  # any database, any driver: the page says that the history is missing, and we ask again
            log.warning("alarms of %s cannot be read: %s", patient, error)
            hub.unread_history.put_nowait(patient)
            await asyncio.sleep(_RETRY_S)
            continue
        hub.refresh(patient)


async def _fill(bed: Bedside, history: History) -> None:
    newest = bed.newest_ns
    stored = await history.alarms(bed.patient_id, max(0, newest - DAY_NS), newest + DAY_NS)
    actions = await history.ask(lambda sink: list(sink.read(Action, bed.patient_id)))
    bed.alarms.load(stored, bed.stream_start_ns)
    bed.actions.load(actions)
    bed.history_loaded = True
