"""`ecgwatch process`: a worker of the stream processor, started again whenever it breaks down."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import typer

from ecgwatch import options, settings
from ecgwatch.crash_loop import STEADY_S, CrashLoop, sender
from ingest.broker import create_topics
from ingest.clock import Clock, SystemClock
from ingest.errors import EcgwatchError
from ingest.health import Health, Metric, serving_health
from ingest.redact import redacted
from ingest.topic_upkeep import keep_for_ever
from stream_processor.worker.stall_guard import StalledError

if TYPE_CHECKING:
    from stream_processor.worker.app import Processor

log = logging.getLogger(__name__)
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
BROKEN = 70  # exit code of a worker that broke down
USER_ERRORS = (1, 2, 3)


def process(broker: options.Broker = None, sink: options.Sink = None) -> None:
    """Process ecg.samples: beats, rhythm, vitals and alarms to their topics and to the store. Start
    several to share the work."""
    from ecgwatch.stores import open_sink

    chosen, _ = settings.load({"broker": broker, "sink": sink})
    open_sink(chosen).close()  # fail at once if the store cannot be opened
    # This module and not `ecgwatch process`: the worker starts without what the other commands
    # import.
    command = [
        sys.executable,
        "-P",
        "-m",
        "ecgwatch.commands.process",
        str(os.getpid()),
        chosen.broker,
        chosen.sink,
    ]
    clock = SystemClock()
    raise typer.Exit(supervise(command, clock, CrashLoop(sender(chosen.kafka), clock)))


def supervise(command: list[str], clock: Clock, crash_loop: CrashLoop) -> int:
    """Run a worker, and another whenever one breaks down (which is told how many did
    before), until SIGINT or SIGTERM; returns the exit code to end with. Workers that break down again and again are told of.

    A worker whose very first run ends with a user error (no broker, a bad setting) is not started
    again.
    """
    stop, wait_s, first = threading.Event(), FIRST_WAIT_S, True
    worker: subprocess.Popen[bytes] | None = None
    restarts = 0

    def forward(*_: object) -> None:
        stop.set()
        if worker is not None and worker.poll() is None:
            worker.send_signal(signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, forward)
    while True:
        started = clock.steady_s()
        worker = subprocess.Popen([*command, str(restarts)])
        code = _wait(worker, crash_loop)
        if stop.is_set():
            crash_loop.steady()
        if stop.is_set() and -code in (signal.SIGINT, signal.SIGTERM):
            return 0  # stopped before it handled signals
        if stop.is_set() or code == 0 or (first and code in USER_ERRORS):
            return code if code >= 0 else BROKEN
        wait_s = FIRST_WAIT_S if clock.steady_s() - started > STEADY_S else wait_s
        typer.echo(
            f"the worker broke down (exit status {code}), starting another in {wait_s:g} s",
            err=True,
        )
        crash_loop.broke_down(code)
        if stop.wait(wait_s):
            crash_loop.steady()
            return 0
        wait_s, first = min(2 * wait_s, LONGEST_WAIT_S), False
        restarts += 1


def _wait(worker: subprocess.Popen[bytes], crash_loop: CrashLoop) -> int:
    """Wait for the worker and return its exit status."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        return worker.wait(STEADY_S)
    crash_loop.steady()
    return worker.wait()


def _work(chosen: settings.Settings, parent: int, restarts: int) -> NoReturn:
    """One worker, to its end; never returns, and waits for no thread that a broken broker holds up."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Their many log lines are dropped: this program logs what matters.
    for name in ("faust", "mode", "aiokafka", "kafka", "httpx", "stream_processor.kafka.delivery"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    code = 0
    try:
        asyncio.run(_run(chosen, parent, restarts))
    except EcgwatchError as error:
        typer.echo(f"error: {error.problem}\n{error.remedy}", err=True)
        code = error.exit_code
    except Exception as error:
        if isinstance(error, ExceptionGroup) and error.split(StalledError)[1] is None:
            log.error("%s", error.exceptions[0])
        else:
            log.exception("the worker breaks down")
        code = BROKEN
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _mend_topics(broker: str) -> None:
    """A broker may let us read and write and not change topics: that stops nothing."""
    try:
        for name in keep_for_ever(broker):
            log.warning("%s was not kept for ever: its cleanup.policy is compact now", name)
    except EcgwatchError as error:
        log.warning("the topics' cleanup.policy cannot be looked at or set: %s", error.problem)


async def _run(chosen: settings.Settings, parent: int, restarts: int) -> None:
    # Seconds of imports that no other command needs.
    from ecgwatch.stores import load_profiles, model_folder, open_sink
    from ecgwatch.telemetry import publisher
    from stream_processor.pipeline.stage_list import StepTimes
    from stream_processor.pipeline.ward import Ward
    from stream_processor.worker.archive import Archive
    from stream_processor.worker.assembly import build_processor
    from stream_processor.worker.metrics import metrics_of
    from stream_processor.worker.model_watch import ModelWatch

    clock = SystemClock()
    ready = f"processing ecg.samples from {chosen.broker} into {redacted(chosen.sink)}; waiting for samples; Ctrl-C ends it"
    create_topics(chosen.kafka, chosen.partitions)
    _mend_topics(chosen.kafka)
    models = ModelWatch(model_folder(chosen), clock)
    profiles, timings = load_profiles(chosen), StepTimes()
    publish = publisher(chosen, parent, timings.seconds, clock)
    processor = build_processor(
        chosen.kafka,
        lambda: Ward(models.model, clock, profiles, timings, chosen.late_after),
        clock,
        on_ready=lambda: typer.echo(ready),
        publish=publish,
        next_model=models.take,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, processor.stop)
    orphaned = asyncio.create_task(_stop_without(parent, processor))
    archive = Archive(chosen.kafka, partial(open_sink, chosen), clock, processor.counters)
    archive.start(broken=lambda: loop.call_soon_threadsafe(processor.stop))
    health = Health(
        lambda: {} if processor.ready else {"partitions": "not assigned yet"},
        lambda: [
            *metrics_of(processor.counters, restarts),
            Metric(
                "store_away_seconds",
                "gauge",
                "since the store answers no more",
                archive.store_away_s,
            ),
        ],
    )
    try:
        with serving_health(chosen.metrics, health):
            await processor.run()
    finally:
        orphaned.cancel()
        archive.stop()
    if archive.error is not None:
        raise archive.error


async def _stop_without(parent: int, processor: Processor) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(1.0)
    processor.stop()


if __name__ == "__main__":
    _work(
        settings.load({"broker": sys.argv[2], "sink": sys.argv[3]})[0],
        int(sys.argv[1]),
        int(sys.argv[4]),
    )
