"""ecgwatch topics: the Kafka topics, and how much is left to process."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from confluent_kafka import KafkaException

from ecgwatch import options, settings
from ingest import topics as kafka_topics
from ingest.broker import Lag, create_topics, grow_topics, lags, unreachable
from ingest.clock import SystemClock
from ingest.topic_upkeep import keep_for_ever

POLL_S = 0.5

app = typer.Typer(no_args_is_help=True, help="The Kafka topics, and how much is left to process.")


@app.command()
def create(broker: options.Broker = None) -> None:
    """Make the topics that are not there yet, with ECGWATCH_PARTITIONS partitions; make the broker
    keep for ever what it should."""
    held, _ = settings.load({"broker": broker})
    for made in create_topics(held.kafka, held.partitions):
        days = made.topic.retention_ms / kafka_topics.DAY_MS
        length = "for ever" if made.topic.retention_ms == kafka_topics.FOREVER else f"{days:g} days"
        kept = f"{made.partitions} partitions, " + (
            f"kept {length}" if made.created else "there already"
        )
        typer.echo(f"{made.topic.name}: {kept}")
    for name in keep_for_ever(held.kafka):
        typer.echo(f"{name}: no longer deletes what is old (cleanup.policy is compact now)")


@app.command()
def grow(
    partitions: Annotated[int, typer.Argument(min=1, max=settings.MAX_PARTITIONS)],
    broker: options.Broker = None,
) -> None:
    """Give every topic more partitions, so that more processors can share the work."""
    held, _ = settings.load({"broker": broker})
    grown = grow_topics(held.kafka, partitions)
    typer.echo(f"{len(grown)} topics have {partitions} partitions now, the others had as many")
    if grown:
        typer.echo("Clients notice within 30 s. docs/partitions.md says in which order to do this.")


@app.command()
def lag(
    wait: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="Wait for nothing to be left; else exit status 1."
        ),
    ] = None,
    broker: options.Broker = None,
) -> None:
    """Show how many chunks the stream processor has left to process, and events to store."""
    held, _ = settings.load({"broker": broker})
    clock = SystemClock()
    end_s = clock.steady_s() + (wait or 0.0)
    while True:
        found = lags(held.kafka, kafka_topics.PROCESSOR_GROUP, kafka_topics.SAMPLES.name)
        left = sum(one.left for one in found)
        unstored = 0 if left else to_store(held.kafka)  # of the processed
        left += unstored
        if wait is None or left == 0 or clock.steady_s() >= end_s:
            break
        time.sleep(min(POLL_S, max(end_s - clock.steady_s(), 0.0)))
    _show(found)
    if unstored:
        typer.echo(f"{unstored} events left to store")
    if wait is not None and left:
        raise typer.Exit(1)


def to_store(broker: str) -> int:
    """How many messages are not in the store yet. Raises UnreachableError."""
    from ingest.consumers import lag as group_lag
    from stream_processor.worker.archive import KINDS

    try:
        return group_lag(broker, kafka_topics.ARCHIVE_GROUP, KINDS)
    except KafkaException as error:
        raise unreachable(broker) from error


def _show(found: list[Lag]) -> None:
    for one in found:
        if one.left:
            typer.echo(f"partition {one.partition}: {one.left} of {one.end - one.begin} left")
    typer.echo(f"{sum(one.left for one in found)} chunks left to process")
