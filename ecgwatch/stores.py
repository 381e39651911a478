"""The event store, the alarm profiles and the model that the settings name."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from ecgwatch.settings import Settings
from ingest.errors import BadInputError, UnreachableError
from ingest.redact import redacted
from models.serving.runtime import ARTIFACTS, DEPLOYED
from stream_processor.pipeline.alarms.profiles import Profiles
from stream_processor.sinks.base import Sink, SinkBusyError
from stream_processor.sinks.memory import MemorySink
from stream_processor.sinks.sqlite import SqliteSink

REMEDY = "Give --sink (or ECGWATCH_SINK) as sqlite:PATH, influxdb:URL or memory:"


def open_sink(settings: Settings) -> Sink:
    """Open the event store. InfluxDB is connected to at the first flush or read; an SQLite file is
    created if there is none.

    Raises BadInputError if the setting names no store, UnreachableError if the file cannot be
    opened; both name the remedy.
    """
    scheme, _, place = settings.sink.partition(":")
    if scheme == "memory" and not place:
        return MemorySink()
    if scheme == "sqlite" and place:
        return _sqlite(Path(place).expanduser(), settings.waveform_days)
    if (
        scheme == "influxdb"
        and urlsplit(place).scheme in ("http", "https")
        and urlsplit(place).hostname
    ):
        return _influx(place, settings)
    raise BadInputError(f"setting sink = {redacted(settings.sink)!r} names no store", REMEDY)


def load_profiles(settings: Settings) -> Profiles:
    """Load the alarm profiles that the settings name. Raises BadInputError."""
    return Profiles.load(Path(settings.profiles).expanduser() if settings.profiles else None)


def model_folder(settings: Settings) -> Path:
    """Return the folder of the model that processors run."""
    return Path(settings.model).expanduser() if settings.model else ARTIFACTS / DEPLOYED


def influx_ca(settings: Settings) -> str:
    """Return the PEM text of the authority that signed InfluxDB's certificate; empty if the
    settings name no file. Raises BadInputError if it cannot be used."""
    if not settings.influx_ca:
        return ""
    try:
        text = Path(settings.influx_ca).expanduser().read_text()
        ssl.create_default_context(cadata=text)
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"InfluxDB's certificate authority {settings.influx_ca} cannot be used: {error}",
            "ECGWATCH_INFLUX_CA names a PEM file.",
        ) from error
    return text


def missing_file(settings: Settings) -> Path | None:
    """Return the SQLite file that the settings name if it does not exist yet, otherwise None."""
    scheme, _, place = settings.sink.partition(":")
    path = Path(place).expanduser()
    return path if scheme == "sqlite" and place and not path.exists() else None


def _sqlite(path: Path, waveform_days: float) -> Sink:
    try:
        return SqliteSink(path, waveform_days=waveform_days)
    except SinkBusyError as error:
        raise UnreachableError(str(error), f"Or {REMEDY[0].lower()}{REMEDY[1:]}") from error


def _influx(url: str, settings: Settings) -> Sink:
    # half a second of imports that an SQLite user does without
    from stream_processor.sinks.influx import InfluxSink

    if not settings.influx_token:
        raise BadInputError(
            f"InfluxDB at {redacted(url)} needs a token",
            "Set ECGWATCH_INFLUX_TOKEN, or influx_token in the settings file.",
        )
    influx_ca(settings)
    if settings.influx_waveform_bucket == settings.influx_bucket:
        raise BadInputError(
            f"waveforms cannot share the bucket {settings.influx_bucket!r}",
            "Set ECGWATCH_INFLUX_WAVEFORM_BUCKET to another.",
        )
    return InfluxSink(
        url,
        settings.influx_token,
        settings.influx_org,
        settings.influx_bucket,
        settings.influx_waveform_bucket,
        settings.waveform_days,
        str(Path(settings.influx_ca).expanduser()) if settings.influx_ca else "",
    )
