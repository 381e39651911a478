"""Stored alarms, read from the sink on a thread of its own: the page never waits for a database."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ingest.messages import Alarm
from stream_processor.sinks.base import Sink

from .bedside import Bedside
from .hub import Hub

log = logging.getLogger(__name__)
DAY_NS = 24 * 3600 * 10**9
_RETRY_S = 5.0


class History:
    """Reads one sink, always from the same thread (SQLite wants that), which also opens it at the first question."""

    def __init__(self, open_sink: Callable[[], Sink]) -> None:
        self._open = open_sink
        self._sink: Sink | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")

    async def alarms(self, patient_id: str, start_ns: int, end_ns: int) -> list[Alarm]:
        """Stored alarms with start_ns <= onset < end_ns, in order of onset. Raises whatever the sink raises where it cannot be read."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, patient_id, start_ns, end_ns)

    def close(self) -> None:
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    def _read(self, patient_id: str, start_ns: int, end_ns: int) -> list[Alarm]:
        if self._sink is None:
            self._sink = self._open()
        return list(self._sink.read(Alarm, patient_id, start_ns, end_ns))

    def _close(self) -> None:
        if self._sink is not None:
            self._sink.close()


async def fill_boards(hub: Hub, history: History) -> None:
    """Give every patient new on the ward the last day's alarms of the store, one patient at a time, until cancelled."""
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
    bed.alarms.load(stored, bed.stream_start_ns)
    bed.history_loaded = True
