"""Settings: options override the environment, the environment overrides the settings file, and the
file overrides the defaults. Nothing else reads the environment.

The file is ./ecgwatch.toml, or the one that ECGWATCH_SETTINGS names, with the field names below as
keys; unknown keys are refused. Environment variables are the field names in capitals after
ECGWATCH_. If none of them names the broker or the store, those of a demo that runs in this folder
are used, and said.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ecgwatch.called import VARIABLE
from ecgwatch.running_demo import find_demo
from ingest.errors import BadInputError
from ingest.kafka_access import Broker, Mechanism, Protocol, Security

PREFIX = "ECGWATCH_"
MAX_PARTITIONS = 1000
# read by this module, called.py, the tests and tools/
ELSEWHERE = {"ECGWATCH_SETTINGS", VARIABLE, "ECGWATCH_REQUIRE_SERVICES", "ECGWATCH_CACHE"}
DEMO = "the running demo"  # an origin


class Settings(BaseModel):
    """Settings of a deployment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    broker: str = Field(
        "localhost:9092", description="Kafka bootstrap servers, HOST:PORT[,HOST:PORT...]"
    )
    kafka_protocol: Protocol = Field(
        "plaintext", description="plaintext, ssl, sasl_plaintext or sasl_ssl"
    )
    kafka_mechanism: Mechanism = Field(
        "SCRAM-SHA-512", description="with sasl: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_username: str = Field("", description="with sasl: the name to log in to Kafka with")
    kafka_password: str = Field("", description="with sasl: its password")
    kafka_ca: str = Field(
        "", description="PEM file of who signed the broker's certificate; empty: the system's"
    )
    kafka_certificate: str = Field("", description="PEM file of our certificate, for mutual TLS")
    kafka_key: str = Field("", description="PEM file of its key")
    kafka_key_password: str = Field("", description="password of that key")
    partitions: int = Field(
        12,
        ge=1,
        le=MAX_PARTITIONS,
        description="partitions of topics that are made: at most so many processors share the work",
    )
    late_after: float = Field(
        60.0,
        ge=10,
        le=86_400,
        description="seconds after its signal from which an alarm counts as late",
    )
    metrics: str = Field(
        "",
        description="HOST:PORT on which a processor, notifier, scorer or gateway serves /healthz, /readyz and /metrics; empty: none",
    )
    sink: str = Field("sqlite:var/ecgwatch.db", description="sqlite:PATH, influxdb:URL or memory:")
    influx_org: str = Field("ecgwatch", description="InfluxDB organisation")
    influx_bucket: str = Field("events", description="InfluxDB bucket")
    influx_token: str = Field("", description="InfluxDB token")
    influx_ca: str = Field(
        "", description="PEM file of who signed InfluxDB's certificate; empty: the system's"
    )
    influx_waveform_bucket: str = Field(
        "waveform", description="InfluxDB bucket for waveforms, made if it is missing"
    )
    waveform_days: float = Field(
        7.0,
        gt=0,
        le=36_500,
        description="days that the whole waveform is kept; strips around alarms stay",
    )
    data: Path = Field(
        Path("~/.cache/ecg-data"),
        description="folder that holds PhysioNet records, one folder per database",
    )
    grafana: str = Field("", description="Grafana URL, for check and dashboards")
    grafana_token: str = Field(
        "", description="token of a Grafana service account, or USER:PASSWORD"
    )
    model: str = Field(
        "",
        description="model folder that processors run and watch; empty: the one that ships with the product",
    )
    mqtt: str = Field("", description="MQTT 5 broker that devices publish to; empty: none")
    join_url: str = Field(
        "",
        description="where the ward page sends phones that join; empty: to itself, with --ingest",
    )
    tls_certificate: str = Field(
        "", description="PEM file of the certificate that monitor and ingest serve HTTPS with"
    )
    tls_key: str = Field("", description="PEM file of its key")
    profiles: str = Field("", description="file of alarm profiles; empty: adult for everybody")
    notifications: str = Field(
        "", description="file that says who is notified of which alarms; empty: nobody"
    )
    push: str = Field(
        "var/push",
        description="folder of Web Push: the key, and the browsers that people registered; monitor and notifier share it",
    )
    monitor_tokens: str = Field("", description="file of the monitor's tokens and their roles")
    monitor_token: str = Field(
        "", description="a single admin token of the monitor, for containers"
    )
    ingest_url: str = Field(
        "http://127.0.0.1:8060",
        description="URL of the ingest server, for gateways; ws:// sends by WebSocket",
    )
    device_token: str = Field("", description="token of the device that a gateway links")

    @property
    def kafka(self) -> Broker:
        """Return the broker's address and login. Raises BadInputError for settings that contradict
        each other."""
        found = Security(
            self.kafka_protocol,
            self.kafka_mechanism,
            self.kafka_username,
            self.kafka_password,
            self.kafka_ca,
            self.kafka_certificate,
            self.kafka_key,
            self.kafka_key_password,
        )
        if found.sasl and not (found.username and found.password):
            raise BadInputError(
                f"kafka_protocol is {found.protocol}, and name or password is missing",
                "Set ECGWATCH_KAFKA_USERNAME and ECGWATCH_KAFKA_PASSWORD.",
            )
        try:
            found.context()
        except OSError as error:
            raise BadInputError(
                f"the TLS files for Kafka cannot be used: {error}",
                "ECGWATCH_KAFKA_CA, _CERTIFICATE and _KEY name PEM files.",
            ) from error
        return Broker(self.broker, found)


def load(
    options: Mapping[str, str | None], environment: Mapping[str, str] = os.environ
) -> tuple[Settings, dict[str, str]]:
    """Load the settings; return them and the origin of each field: option, environment, the file's
    path, the running demo or default. Of broker and store only those among `options` are looked for
    in the demo, and stderr says so.

    Raises BadInputError that names the key, its origin and the remedy.
    """
    path = Path(environment.get("ECGWATCH_SETTINGS", "ecgwatch.toml"))
    values: dict[str, Any] = {}
    source = dict.fromkeys(Settings.model_fields, "default")
    layers = [
        (str(path), _from_file(path, required="ECGWATCH_SETTINGS" in environment)),
        ("environment", _from_environment(environment)),
        ("option", {k: v for k, v in options.items() if v is not None}),
    ]
    for name, layer in layers:
        values |= layer
        source |= dict.fromkeys(layer, name)
    if demo := _from_demo(options, values):
        values |= demo
        source |= dict.fromkeys(demo, DEMO)
        names_used = " and ".join(
            f"store {value}" if name == "sink" else f"{name} {value}"
            for name, value in demo.items()
        )
        typer.echo(f"using the demo's {names_used}", err=True)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        raise BadInputError(
            f"setting {key!r} (from {source.get(key, '?')}): {first['msg']}",
            f"Known settings: {', '.join(Settings.model_fields)}.",
        ) from error
    return settings.model_copy(update={"data": settings.data.expanduser()}), source


def _from_demo(options: Mapping[str, str | None], values: Mapping[str, Any]) -> dict[str, str]:
    """Broker and store of the demo that runs in this folder, as far as a command uses them and
    nobody has named others."""
    wanted = [name for name in ("broker", "sink") if name in options and name not in values]
    if not wanted or any(name.startswith("kafka_") for name in values):
        return {}
    demo = find_demo()
    if demo is None or values.get("broker", demo.broker) != demo.broker:
        return {}
    return {name: getattr(demo, name) for name in wanted}


def _from_file(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists() and not required:
        return {}
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadInputError(
            f"settings file {path}: {error}",
            'Write it as TOML (broker = "HOST:PORT"), or unset ECGWATCH_SETTINGS.',
        ) from error


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    names = [n for n in environment if n.startswith(PREFIX) and n not in ELSEWHERE]
    found = {n.removeprefix(PREFIX).lower(): environment[n] for n in names}
    if "ECG_DATA" in environment:
        found.setdefault("data", environment["ECG_DATA"])
    return found
