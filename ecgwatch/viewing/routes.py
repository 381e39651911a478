"""Routes that the monitor has in addition while it shows records: the player, the reference
annotations, and saving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import anyio.to_thread
import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute

from dashboards.monitor.http.api_request import ApiRequest, json_answer
from dashboards.monitor.http.endpoint import Endpoint, ResponseSpec
from dashboards.monitor.live.views import ms, reference_view
from ecgwatch.viewing.annotated import AnnotatedRecord
from ecgwatch.viewing.edited import save
from ecgwatch.viewing.player import SPEEDS, Player
from ingest.errors import RefusedError
from stream_processor.scoring.reference import AAMI
from stream_processor.sinks.base import Sink


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    at: float | None = None  # ms since the epoch; plays on from there
    playing: bool | None = None
    speed: float | None = None


def routes(
    records: Sequence[AnnotatedRecord], player: Player, open_sink: Callable[[], Sink], folder: Path
) -> list[BaseRoute]:
    """The routes; edited annotations are saved to `folder`."""
    by_name = {record.name: record for record in records}
    start_ns = records[0].start_ns

    def record_of(ask: ApiRequest) -> AnnotatedRecord:
        if ask.patient not in by_name:
            raise RefusedError(404, f"no record {ask.patient!r} is open")
        return by_name[ask.patient]

    def state() -> Response:
        at_ms = ms(start_ns + round(player.at_s * 1e9))
        return json_answer({"at": at_ms, "playing": player.playing, "speed": player.speed})

    async def look(ask: ApiRequest) -> Response:
        return state()

    async def order(ask: ApiRequest) -> Response:
        body = await ask.body(_Order)
        if body.speed is not None:
            if body.speed not in SPEEDS:
                raise RefusedError(400, f"speed must be one of {SPEEDS}, not {body.speed}")
            player.speed = body.speed
        if body.at is not None:
            player.go((body.at * 1e6 - start_ns) / 1e9)
        if body.playing is not None:
            player.playing = body.playing
        return state()

    async def references(ask: ApiRequest) -> Response:
        begin_ns, end_ns = ask.period(24 * 3600 * 10**9)
        found = [
            reference_view(reference)
            for reference in record_of(ask).references
            if reference.symbol in AAMI and begin_ns <= reference.time_ns < end_ns
        ]
        return json_answer({"references": found})

    async def keep(ask: ApiRequest) -> Response:
        record = record_of(ask)

        def write() -> tuple[Path, int, int]:
            with closing(open_sink()) as store:
                return save(store, record.name, record.fs_hz, record.start_ns, folder)

        try:
            path, beats, edits = await anyio.to_thread.run_sync(partial(write))
        except OSError as error:
            raise RefusedError(503, f"cannot write to {folder}: {error.strerror}") from error
        return json_answer({"path": str(path.absolute()), "beats": beats, "edits": edits})

    done = ResponseSpec("done")
    return [
        Endpoint("GET", "/api/player", "view", look, "Where the player is", done).route(),
        Endpoint("POST", "/api/player", "view", order, "Play, pause, go to", done).route(),
        Endpoint(
            "GET", "/api/references/{patient}", "view", references, "Reference beats", done
        ).route(),
        Endpoint("POST", "/api/save/{patient}", "acknowledge", keep, "Save edits", done).route(),
    ]
