"""The ward as it ships: the data path with the model that comes with the product."""

from __future__ import annotations

from ingest.clock import Clock
from models.serving import runtime
from stream_processor.pipeline.alarms.profiles import Profiles
from stream_processor.pipeline.ward import EVERYBODY_ADULT, Ward


def build_ward(clock: Clock, profiles: Profiles = EVERYBODY_ADULT) -> Ward:
    """Return a ward with the models that ship with the product."""
    return Ward(runtime.load(), clock, profiles)
