"""The store read in processes of their own: the answers, a reader that is killed, and a parent that
is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from dashboards.monitor.store import questions
from dashboards.monitor.store.history import History
from dashboards.monitor.store.readers import processes
from ingest.errors import RefusedError
from stream_processor.sinks.base import SinkBusyError
from stream_processor.sinks.sqlite import SqliteSink
from tests.unit.dashboards.monitor_bench import NOW, S, alarm, rhythm

WAIT_S = 90.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "events.db"
    sink = SqliteSink(path)
    for event in [alarm(1), *(rhythm(k, k + 1) for k in range(questions.MOST + 1))]:
        sink.add(event)
    sink.flush()
    sink.close()
    return path


async def test_readers_answer_refuse_and_are_replaced(path: Path) -> None:
    history = History(partial(SqliteSink, path), processes)
    try:
        assert await history.ask(questions.alarms, "p", NOW, NOW + 60 * S) == [alarm(1)]
        with pytest.raises(RefusedError, match=r"more than 20000") as refused:
            await history.ask(questions.rhythm, "p", NOW, NOW + 10**5 * S)
        assert refused.value.status == 400
        for child in psutil.Process().children():
            if "spawn_main" in " ".join(child.cmdline()):
                os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(RefusedError, match="was ended") as refused:
            await asking_until_refused(history)
        assert refused.value.status == 503
        assert await history.ask(questions.alarms, "p", NOW, NOW + 60 * S) == [alarm(1)]
    finally:
        history.close()


async def asking_until_refused(history: History) -> None:
    """A death is noticed a moment later."""
    for _ in range(1000):
        await history.ask(questions.known, "p")


def away() -> SqliteSink:
    raise SinkBusyError("no such file")


async def test_a_store_that_is_away_is_a_refusal_and_no_defect() -> None:
    history = History(away, processes)
    try:
        with pytest.raises(RefusedError, match="no such file"):
            await history.ask(questions.known, "p")
    finally:
        history.close()


PARENT = """
import asyncio, sys
from functools import partial
from pathlib import Path
from dashboards.monitor.store import questions
from dashboards.monitor.store.history import History
from dashboards.monitor.store.readers import processes
from stream_processor.sinks.sqlite import SqliteSink

async def main():
    history = History(partial(SqliteSink, Path(sys.argv[1])), processes)
    await history.ask(questions.known, "p")
    print("ready", flush=True)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_readers_do_not_outlive_a_parent_that_is_killed(path: Path, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, str(script), str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout
        assert parent.stdout.readline() == b"ready\n"
        children = [
            child
            for child in psutil.Process(parent.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]
        assert children
        parent.kill()
    deadline = time.monotonic() + WAIT_S
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline, "the readers live on"
        time.sleep(0.05)
