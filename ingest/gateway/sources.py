"""Sources by the names that users write: KIND[:ADDRESS], or MODULE:CLASS[:ADDRESS] for their own."""

from __future__ import annotations

import importlib

from ingest.clock import Clock
from ingest.errors import BadInputError
from ingest.gateway.base import LiveSource
from ingest.gateway.lsl import Lsl
from ingest.gateway.mqtt import Mqtt
from ingest.gateway.straps import HeartRateStrap, Movesense, PolarH10

KINDS: dict[str, type[LiveSource]] = {
    "h10": PolarH10,
    "movesense": Movesense,
    "heartrate": HeartRateStrap,
    "lsl": Lsl,
}
FORMS = (
    "h10, movesense, heartrate or lsl, each with :NAME or :ADDRESS behind it if there are several; "
)
FORMS += "movesense:NAME@UV sets microvolts per count; "
FORMS += "mqtt://HOST/TOPIC; MODULE:CLASS:ADDRESS for a device of your own"


def open_live(spec: str, clock: Clock) -> LiveSource:
    """The source that a user named. Raises BadInputError."""
    kind, _, address = spec.partition(":")
    if kind in ("mqtt", "mqtts"):
        return Mqtt(spec, clock)
    if kind in KINDS:
        return KINDS[kind](address, clock)
    name, _, address = address.partition(":")
    try:
        found = getattr(importlib.import_module(kind), name) if name else None
    except (ImportError, AttributeError) as error:
        raise BadInputError(f"source {spec!r}: {error}", f"There are: {FORMS}.") from error
    if not isinstance(found, type) or not issubclass(found, LiveSource):
        raise BadInputError(f"no source is called {spec!r}", f"There are: {FORMS}.")
    return found(address, clock)
