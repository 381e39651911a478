"""`ecgwatch process` starts a worker again when it breaks down, until it is told to stop. Workers
here are small scripts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecgwatch.crash_loop import AFTER, CrashLoop, sender
from ingest.broker import create_topics
from ingest.clock import ManualClock
from ingest.consumers import ask_with_retries, extents, open_reader, read_to_end
from ingest.messages import Alarm, decode
from ingest.topics import ALARMS

SUPERVISE = """
import sys
from ecgwatch.crash_loop import CrashLoop
from ingest.clock import SystemClock
tell = lambda alarm: print(alarm.step, alarm.text, file=sys.stderr)
from ecgwatch.supervising import supervise
n = int(sys.argv[1])
loops = [CrashLoop(tell, SystemClock()) for _ in range(n)]
sys.exit(supervise([[*sys.argv[2:], str(i)] for i in range(n)], SystemClock(), loops))
"""
DEAF = "import time; open('{started}', 'a').write('.'); time.sleep(60)"
LISTENING = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit({code}))
open('{started}', 'a').write('.')
time.sleep(60)
"""
BROKEN = "import sys; open('{started}', 'a').write('.'); sys.exit({code})"


def supervised(worker: str, workers: int = 1, **values: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SUPERVISE, str(workers)]
    command += [sys.executable, "-c", worker.format(**values)]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )


def wait_for(started: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while not (started.exists() and len(started.read_text()) >= count):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("worker", "code", "ends_with"), [(DEAF, 0, 0), (LISTENING, 0, 0), (LISTENING, 70, 70)]
)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_as_its_worker_ends(
    tmp_path: Path, worker: str, code: int, ends_with: int, how: signal.Signals
):
    """A worker that is told so while it still starts has done nothing: that is no failure."""
    running = supervised(worker, started=tmp_path / "started", code=code)
    wait_for(tmp_path / "started", 1)
    os.kill(running.pid, how)
    assert running.wait(30) == ends_with
    running.communicate()


def test_a_broken_worker_is_followed_by_another_until_told_to_stop(tmp_path: Path):
    running = supervised(BROKEN, started=tmp_path / "started", code=70)
    wait_for(tmp_path / "started", 2)
    os.kill(running.pid, signal.SIGTERM)
    assert running.wait(30) in (0, 70)  # told while it waits, or while a worker runs
    said = running.communicate()[1]
    assert "the worker broke down (exit status 70), starting another in 1 s" in said


@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_user_error_of_the_first_worker_ends_it(tmp_path: Path, code: int):
    running = supervised(BROKEN, started=tmp_path / "started", code=code)
    assert running.wait(30) == code
    running.communicate()
    assert (tmp_path / "started").read_text() == "."


STARTED_BY = "import sys, time; open('{started}', 'a').write(sys.argv[1]); {then}"


def test_of_several_workers_the_one_that_breaks_down_is_followed(tmp_path: Path):
    """The others go on, and all end when told to stop."""
    then = "sys.exit(70) if sys.argv[1] == '1' else time.sleep(60)"
    running = supervised(STARTED_BY, 3, started=tmp_path / "started", then=then)
    wait_for(tmp_path / "started", 4)
    os.kill(running.pid, signal.SIGTERM)
    assert running.wait(30) in (0, 70)
    running.communicate()
    said = (tmp_path / "started").read_text()
    assert (said.count("0"), said.count("2")) == (1, 1)
    assert said.count("1") >= 2


def test_a_user_error_of_one_of_several_ends_them_all(tmp_path: Path):
    then = "sys.exit(2) if sys.argv[1] == '1' else time.sleep(60)"
    running = supervised(STARTED_BY, 2, started=tmp_path / "started", then=then)
    assert running.wait(30) == 2
    running.communicate()


@pytest.mark.slow
def test_a_crash_loop_is_told_and_so_is_its_end(tmp_path: Path):
    running = supervised(BROKEN, started=tmp_path / "started", code=70)
    wait_for(tmp_path / "started", AFTER + 1)
    os.kill(running.pid, signal.SIGTERM)
    running.wait(30)
    said = [line for line in running.communicate()[1].splitlines() if "PROCESSOR DOWN" in line]
    assert said[0].startswith("onset PROCESSOR DOWN, patients are not watched")
    assert "3 times in a row, exit status 70" in said[0]
    assert said[-1].startswith("end PROCESSOR DOWN")


def test_a_crash_loop_is_an_alarm_on_its_topic_and_ends_with_a_worker_that_gets_on(broker):
    create_topics(broker.address)
    clock = ManualClock(10**18)
    loop = CrashLoop(sender(broker.address), clock)
    for _ in range(AFTER):
        loop.broke_down(70)
        clock.advance(5)
    loop.steady()
    loop.steady()
    consumer = open_reader(broker.address)
    found = [
        decode(m.value(), Alarm)
        for m in read_to_end(
            consumer, ALARMS.name, ask_with_retries(lambda: extents(consumer, ALARMS.name))
        )
    ]
    consumer.close()
    ours = [a for a in found if a.kind == "processor_down"]
    assert [(a.step, a.priority, a.onset_ns, a.standing) for a in ours] == [
        ("onset", "high", 10**18, True),
        ("end", "high", 10**18, False),
    ]
