#!/usr/bin/env python3
"""Run a real Apache Kafka and a real InfluxDB 2 without Docker (fetching.py): for contributors and
for the tests.

    python -m tools.services fetch                   only fetch what both need (Kafka seconds, InfluxDB about four minutes, once)
    python -m tools.services kafka|influxdb|all      start on free ports, print addresses and token, run until Ctrl-C

The data of a run is in a temporary folder and is deleted at its end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from tools.fetching import INFLUXD, KAFKA_HOME, ServiceError, fetch_influxd, fetch_kafka, run
from tools.service_base import Service, free_port

KAFKA_PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
log.dirs={folder}/data
auto.create.topics.enable=true
num.partitions=12
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""
CLUSTER_ID = "ZWNnd2F0Y2gtdGVzdHMtMQ"


class Kafka(Service):
    """Apache Kafka, one KRaft node. Topics are created on first use, with 12 partitions."""

    name = "kafka"

    def __init__(self, port: int = 0) -> None:
        fetch_kafka()
        super().__init__(port)
        self.address = f"127.0.0.1:{self.port}"
        properties = self.folder / "server.properties"
        # After a kill, the controller lets the broker back in only when its session has timed out:
        # 9 s by default.
        properties.write_text(
            self._properties(
                KAFKA_PROPERTIES.format(
                    port=self.port, controller_port=free_port(), folder=self.folder
                )
            )
        )
        tool = [
            *self._java("128m"),
            "kafka.tools.StorageTool",
            "format",
            "-t",
            CLUSTER_ID,
            "-c",
            str(properties),
            *self._scram(),
        ]
        run(tool, self.folder, dict(os.environ))

    def _properties(self, plain: str) -> str:
        """The content of server.properties."""
        return plain

    def _scram(self) -> list[str]:
        """Users that formatting the storage creates."""
        return []

    def _java(self, heap: str) -> list[str]:
        return [
            "java",
            f"-Xmx{heap}",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            str(KAFKA_HOME / "libs" / "*"),
        ]

    def _command(self) -> list[str]:
        return [*self._java("512m"), "kafka.Kafka", str(self.folder / "server.properties")]

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Influxdb(Service):
    """InfluxDB 2, set up with an organisation, a bucket and a token that are the same in every run."""

    name = "influxdb"
    org = "ecgwatch"
    bucket = "events"
    _trust: ssl.SSLContext | None = None
    token = "ecgwatch-local-token"  # for servers that listen on this machine only and keep nothing

    def __init__(self, port: int = 0) -> None:
        fetch_influxd()
        super().__init__(port)
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        super().start()
        if self.request("GET", "/api/v2/setup")["allowed"]:
            account = {
                "username": "ecgwatch",
                "password": "ecgwatch-local",
                "org": self.org,
                "bucket": self.bucket,
                "token": self.token,
            }
            self.request("POST", "/api/v2/setup", account)

    def clear(self) -> None:
        """Empty the bucket: delete it and the buckets that a sink has made beside it, then create
        it again."""
        found = [
            b
            for b in self.request("GET", f"/api/v2/buckets?org={self.org}&limit=100")["buckets"]
            if b["type"] == "user"
        ]
        for bucket in found:
            self.request("DELETE", f"/api/v2/buckets/{bucket['id']}")
        self.request(
            "POST",
            "/api/v2/buckets",
            {"name": self.bucket, "orgID": found[0]["orgID"], "retentionRules": []},
        )

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call InfluxDB's HTTP API; returns the decoded answer, or None if it is empty."""
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        call = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(call, timeout=10, context=self._trust) as response:
            text = response.read()
        return json.loads(text) if text else None

    def _command(self) -> list[str]:
        return [str(INFLUXD)]

    def _environment(self) -> dict[str, str]:
        return {
            "INFLUXD_HTTP_BIND_ADDRESS": f"127.0.0.1:{self.port}",
            "INFLUXD_BOLT_PATH": str(self.folder / "influxd.bolt"),
            "INFLUXD_SQLITE_PATH": str(self.folder / "influxd.sqlite"),
            "INFLUXD_ENGINE_PATH": str(self.folder / "engine"),
            "INFLUXD_REPORTING_DISABLED": "true",
            "INFLUXD_LOG_LEVEL": "warn",
        }

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(
                self.url + "/health", timeout=1, context=self._trust
            ) as response:
                return bool(json.loads(response.read())["status"] == "pass")
        except (OSError, urllib.error.URLError):
            return False


def show(service: Service) -> None:
    """Print how to reach the service."""
    if isinstance(service, Kafka):
        print(
            f"kafka     {service.address}\n  export ECGWATCH_BROKER={service.address}", flush=True
        )
    if isinstance(service, Influxdb):
        print(
            f"influxdb  {service.url}  org {service.org}  bucket {service.bucket}  token {service.token}"
        )
        print(
            f"  export ECGWATCH_SINK=influxdb:{service.url} ECGWATCH_INFLUX_ORG={service.org}",
            end=" ",
        )
        print(
            f"ECGWATCH_INFLUX_BUCKET={service.bucket} ECGWATCH_INFLUX_TOKEN={service.token}",
            flush=True,
        )


def serve(makers: list[type[Service]], port: int) -> None:
    """Start the services and wait for Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    services: list[Service] = []
    try:
        for maker in makers:
            services.append(maker(port))
            services[-1].start()
            show(services[-1])
        print("Ctrl-C ends", flush=True)
        while all(service.running for service in services):
            time.sleep(0.5)
        raise ServiceError("a service has ended by itself")
    except KeyboardInterrupt:
        print("ending", flush=True)
    finally:
        for service in services:
            service.stop()
            service.remove()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["kafka", "influxdb", "all", "fetch"])
    parser.add_argument(
        "--port", type=int, default=0, help="port of kafka or influxdb (default: a free one)"
    )
    arguments = parser.parse_args()
    if arguments.port and arguments.what in ("all", "fetch"):
        parser.error("--port is for one service: kafka or influxdb")
    try:
        if arguments.what == "fetch":
            fetch_kafka()
            fetch_influxd()
            print(f"{KAFKA_HOME / 'libs'}\n{INFLUXD}")
        else:
            serve(
                [maker for maker in (Kafka, Influxdb) if arguments.what in (maker.name, "all")],
                arguments.port,
            )
    except ServiceError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
