"""`ecgwatch process`: workers of the stream processor, each started again whenever it breaks down."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from ecgwatch import options, settings
from ecgwatch.crash_loop import CrashLoop, sender
from ecgwatch.supervising import BROKEN, supervise
from ingest.broker import create_topics
from ingest.clock import SystemClock
from ingest.embedded import is_embedded
from ingest.errors import EcgwatchError
from ingest.health import Health, Metric, parse_address, serving_health
from ingest.redact import redacted
from ingest.topic_upkeep import keep_for_ever
from stream_processor.worker.stall_guard import StalledError

if TYPE_CHECKING:
    from stream_processor.worker.app import Processor

log = logging.getLogger(__name__)


def process(
    broker: options.Broker = None,
    sink: options.Sink = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            metavar="N",
            help="Workers that share the patients (default: one for each core, or one with an embedded broker).",
        ),
    ] = None,
) -> None:
    """Process ecg.samples: beats, rhythm, vitals and alarms to their topics and to the store. Start
    it on several machines to share the work."""
    from ecgwatch.stores import open_sink

    chosen, _ = settings.load({"broker": broker, "sink": sink})
    open_sink(chosen).close()  # fail at once if the store cannot be opened
    count = workers or (1 if is_embedded(chosen.kafka) else _cores())
    # one of a single process cannot be shared
    count = 1 if chosen.sink == "memory:" else min(count, chosen.partitions)
    # This module and not `ecgwatch process`: the worker starts without what the other commands
    # import.
    commands = [
        [
            sys.executable,
            "-P",
            "-m",
            "ecgwatch.commands.services.process",
            str(os.getpid()),
            chosen.broker,
            chosen.sink,
            str(number),
        ]
        for number in range(count)
    ]
    # a worker has one busy thread: those of a linear algebra library would only get in each other's way
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    clock = SystemClock()
    loops = [CrashLoop(sender(chosen.kafka), clock) for _ in commands]
    raise typer.Exit(supervise(commands, clock, loops))


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _work(chosen: settings.Settings, parent: int, number: int, restarts: int) -> NoReturn:
    """One worker, to its end; never returns, and waits for no thread that a broken broker holds up."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # Their many log lines are dropped: this program logs what matters.
    for name in ("faust", "mode", "aiokafka", "kafka", "httpx", "stream_processor.kafka.delivery"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    code = 0
    try:
        asyncio.run(_run(chosen, parent, number, restarts))
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


async def _run(chosen: settings.Settings, parent: int, number: int, restarts: int) -> None:
    # Seconds of imports that no other command needs.
    from ecgwatch.stores import load_profiles, model_folder, open_sink
    from ecgwatch.telemetry import publisher
    from stream_processor.pipeline.step_times import StepTimes
    from stream_processor.pipeline.ward import Ward
    from stream_processor.worker.archive import Archive
    from stream_processor.worker.assembly import build_processor
    from stream_processor.worker.metrics import metrics_of
    from stream_processor.worker.model_watch import ModelWatch

    clock = SystemClock()
    me = f" as worker {number + 1}" if number else ""
    ready = f"processing ecg.samples from {chosen.broker} into {redacted(chosen.sink)}{me}; waiting for samples; Ctrl-C ends it"
    create_topics(chosen.kafka, chosen.partitions)
    _mend_topics(chosen.kafka)
    models = ModelWatch(model_folder(chosen), clock)
    profiles, timings = load_profiles(chosen), StepTimes()
    publish = publisher(
        chosen, f"{parent}-{number}" if number else f"{parent}", timings.seconds, clock
    )
    processor = build_processor(
        chosen.kafka,
        lambda: Ward(models.model, clock, profiles, timings, chosen.late_after),
        clock,
        on_ready=lambda: typer.echo(ready),
        publish=publish,
        next_model=models.take,
    )
    loop = asyncio.get_running_loop()
    for how in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(how, processor.stop)
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
        with serving_health(_own_address(chosen.metrics, number), health):
            await processor.run()
    finally:
        orphaned.cancel()
        archive.stop()
    if archive.error is not None:
        raise archive.error


def _own_address(metrics: str, number: int) -> str:
    """Where this worker serves its metrics: each one a port further on."""
    if not (metrics and number):
        return metrics
    host, port = parse_address(metrics)
    return f"{host}:{port + number if port else 0}"


async def _stop_without(parent: int, processor: Processor) -> None:
    while os.getppid() == parent:
        await asyncio.sleep(1.0)
    processor.stop()


if __name__ == "__main__":
    _work(
        settings.load({"broker": sys.argv[2], "sink": sys.argv[3]})[0],
        int(sys.argv[1]),
        int(sys.argv[4]),
        int(sys.argv[5]),
    )
