"""The monitor's application over records instead of a ward."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from starlette.applications import Starlette

from dashboards.monitor.http.access import Access
from dashboards.monitor.http.server import create_app
from dashboards.monitor.live.views import ms
from ecgwatch.viewing.annotated import AnnotatedRecord
from ecgwatch.viewing.player import SPEEDS, Player
from ecgwatch.viewing.routes import routes
from ecgwatch.viewing.store import RecordStores
from ingest.clock import Clock
from ingest.errors import UnreachableError
from ingest.messages import Edit
from ingest.operator import Order
from stream_processor.pipeline.ward import EVERYBODY_ADULT


def create_view(records: Sequence[AnnotatedRecord], clock: Clock, folder: Path) -> Starlette:
    """Build the application; edited beats are saved to `folder`."""
    player = Player(records, clock)
    open_sink = partial(RecordStores, {record.name: record.store for record in records})
    start_ns = records[0].start_ns

    def take_order(order: Order) -> None:
        if not isinstance(order, Edit):
            raise UnreachableError(
                "these are records: nobody is called, and nothing can be acknowledged",
                "Review an alarm and confirm or reject it instead.",
            )
        with contextlib.closing(open_sink()) as store:
            store.add(order)
            store.flush()
        player.take_order(order)

    return create_app(
        player,
        open_sink,
        clock,
        send=take_order,
        profiles=EVERYBODY_ADULT,
        access=Access({}, clock),
        more=routes(records, player, open_sink, folder),
        record={
            "start": ms(start_ns),
            "end": ms(start_ns + round(player.length_s * 1e9)),
            "speeds": list(SPEEDS),
        },
    )
