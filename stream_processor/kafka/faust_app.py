"""The faust application that is a member of the processors' consumer group."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import faust
from faust.types import TP
from faust.types.auth import CredentialsT

from ingest import topics
from ingest.broker import METADATA_MS
from ingest.kafka_access import security_of

# how long a killed worker's partitions wait; how often one says that it lives
SESSION_S, HEARTBEAT_S = 10.0, 2.0


def faust_app(broker: str) -> faust.App:
    """Return an application that commits only when it is asked to, without tables and web server."""
    return faust.App(
        topics.PROCESSOR_GROUP,
        broker=[f"kafka://{address.strip()}" for address in broker.split(",")],
        broker_credentials=_credentials(broker),
        # faust makes it and, without tables, leaves it empty
        datadir=Path(tempfile.gettempdir()) / "ecgwatch-faust",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        broker_max_poll_records=4000,
        broker_commit_interval=1.0,
        # a store that is away for hours must not cost us the partitions
        broker_max_poll_interval=24 * 3600.0,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        consumer_metadata_max_age_ms=METADATA_MS,
        consumer_auto_offset_reset="earliest",
    )


def on_rebalance(
    app: faust.App,
    assigned: Callable[[set[TP]], Awaitable[None]],
    revoked: Callable[[set[TP]], Awaitable[None]],
) -> None:
    """Call these when partitions have come, and before they go."""

    async def on_assigned(*arguments: Any, **_: Any) -> None:
        await assigned(arguments[-1])

    async def on_revoked(*arguments: Any, **_: Any) -> None:
        await revoked(arguments[-1])

    app.on_partitions_assigned.connect(on_assigned)
    app.on_partitions_revoked.connect(on_revoked)


def _credentials(broker: str) -> CredentialsT | None:
    """How faust logs in, if the broker asks for it."""
    security = security_of(broker)
    if security.sasl:
        return faust.SASLCredentials(
            username=security.username,
            password=security.password,
            mechanism=security.mechanism,
            ssl_context=security.context(),
        )
    return faust.SSLCredentials(security.context()) if security.tls else None
