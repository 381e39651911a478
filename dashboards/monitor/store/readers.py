"""Read the store in separate processes, apart from the live feed.

Threads would compete with the event loop for the interpreter: a day of signal read beside 50
live patients held their samples up by seconds on a busy machine (benchmarks/monitor_server.py).
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import wait
from typing import Any, NamedTuple

from ingest.errors import RefusedError
from stream_processor.sinks.base import Sink, SinkBusyError

log = logging.getLogger(__name__)
READERS = 2  # a strip must not wait for a day of signal
_CHECK = "See what `ecgwatch check` says of the sink."
_own = threading.local()


class PickledRefusal(NamedTuple):
    """A RefusedError in a form that passes between processes; exceptions pickle badly."""

    status: int
    problem: str
    remedy: str


def processes() -> Executor:
    """Readers in processes that do not slow the live feed. They end with this process, whatever
    ends it."""
    return ProcessPoolExecutor(
        READERS, mp_context=multiprocessing.get_context("spawn"), initializer=_apart
    )


def threads() -> Executor:
    """Readers for a store that is in this process's memory."""
    return ThreadPoolExecutor(READERS, thread_name_prefix="history")


def answer(
    open_sink: Callable[[], Sink], question: Callable[..., Any], arguments: tuple[Any, ...]
) -> Any:
    """Run the question on this reader's own sink, opened by the first question. Returns the answer
    or a Refusal."""
    try:
        if not hasattr(_own, "sink"):
            _own.sink = open_sink()
        return question(_own.sink, *arguments)
    except RefusedError as refused:
        return PickledRefusal(refused.status, refused.problem, refused.remedy)
    except Exception as error:  # the exceptions differ by database and driver
        if not isinstance(error, SinkBusyError):
            log.exception("the store cannot be read")
        return PickledRefusal(503, f"the store cannot be read: {error}", _CHECK)


def _close() -> None:
    if hasattr(_own, "sink"):
        _own.sink.close()


def _apart() -> None:
    """Set a reader process up: it leaves Ctrl-C to its parent, runs at low priority, and ends with
    its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(5)
    atexit.register(_close)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os._exit(0)

    threading.Thread(target=follow, daemon=True).start()
