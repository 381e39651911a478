#!/usr/bin/env python3
"""Fetch and run a real Apache Kafka and a real InfluxDB 2 without Docker, from package registries:
for contributors and for the tests.

    python tools/services.py fetch                   only fetch what both need (Kafka seconds, InfluxDB about four minutes, once)
    python tools/services.py kafka|influxdb|all      start on free ports, print addresses and token, run until Ctrl-C

Kafka is its jars from Maven (needs mvn and Java 17). InfluxDB is built from its Go module (needs
go, cargo, a C compiler). Fetched parts are kept in $ECGWATCH_CACHE (default
~/.cache/ecgwatch-parts); the data of a run is in a temporary folder and is deleted at its end.
"""

from __future__ import annotations

import argparse
import atexit
import datetime
import ipaddress
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

KAFKA_VERSION = "4.3.1"
INFLUXDB_VERSION = "2.7.12"
CACHE = Path(os.environ.get("ECGWATCH_CACHE", "~/.cache/ecgwatch-parts")).expanduser()
KAFKA_HOME = CACHE / f"kafka-{KAFKA_VERSION}"
INFLUXD = CACHE / "bin" / f"influxd-{INFLUXDB_VERSION}"

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""

NATS_FORK = "github.com/influxdata/nats-streaming-server v0.11.3-0.20201112040610-c277f7560803"
# influxd's go.mod replaces one module; a replace applies only in the main module, so this one
# repeats it.
GO_MOD = f"""module influxd

go 1.23.0

require (
	github.com/influxdata/influxdb/v2 v{INFLUXDB_VERSION}
	github.com/influxdata/pkg-config v0.2.14
)

replace github.com/nats-io/nats-streaming-server v0.11.2 => {NATS_FORK}
"""
TOOLS_GO = """//go:build tools

package tools

import (
	_ "github.com/influxdata/influxdb/v2/cmd/influxd"
	_ "github.com/influxdata/pkg-config"
)
"""

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


class ServiceError(Exception):
    """A service that cannot be fetched or does not start, and what to do."""


def have_kafka() -> bool:
    """True if Kafka can start without fetching anything."""
    return (KAFKA_HOME / "complete").exists() and shutil.which("java") is not None


def have_influxd() -> bool:
    """True if InfluxDB can start without building anything."""
    return INFLUXD.exists()


def fetch_kafka() -> None:
    """Fetch Kafka's jars into KAFKA_HOME/libs, unless they are there. Raises ServiceError."""
    _need("java", "kafka")
    if have_kafka():
        return
    _need("mvn", "kafka")
    KAFKA_HOME.mkdir(parents=True, exist_ok=True)
    (KAFKA_HOME / "pom.xml").write_text(POM)
    goal = [f"-DoutputDirectory={KAFKA_HOME / 'libs'}", "dependency:copy-dependencies"]
    _run(
        ["mvn", "-q", "-B", "-f", str(KAFKA_HOME / "pom.xml"), *goal], KAFKA_HOME, dict(os.environ)
    )
    (KAFKA_HOME / "complete").touch()


def fetch_influxd() -> None:
    """Build influxd from its Go module at INFLUXD, unless it is there. Raises ServiceError."""
    if have_influxd():
        return
    for tool in ("go", "cargo"):
        _need(tool, "influxdb")
    work = CACHE / "influxd-build"
    work.mkdir(parents=True, exist_ok=True)
    (work / "go.mod").write_text(GO_MOD)
    (work / "tools.go").write_text(TOOLS_GO)
    # Its Rust half denies warnings that newer compilers have added, and pins a toolchain that may
    # not be installed.
    lax = work / "rustc-lax"
    lax.write_text('#!/bin/sh\nexec "$@" --cap-lints allow\n')
    lax.chmod(0o755)
    env = {**os.environ, "GOFLAGS": "-mod=mod", "RUSTC_WRAPPER": str(lax)}
    if shutil.which("rustup"):
        shown = subprocess.run(
            ["rustup", "show", "active-toolchain"],
            cwd=CACHE,
            capture_output=True,
            text=True,
            check=False,
        )
        env["RUSTUP_TOOLCHAIN"] = (shown.stdout.split() or [""])[0]
    _run(["go", "build", "-o", "pkg-config", "github.com/influxdata/pkg-config"], work, env)
    env |= {"PATH": f"{work}{os.pathsep}{env['PATH']}", "PKG_CONFIG": str(work / "pkg-config")}
    INFLUXD.parent.mkdir(parents=True, exist_ok=True)
    _run(
        [
            "go",
            "build",
            "-ldflags",
            "-s -w",
            "-o",
            str(INFLUXD),
            "github.com/influxdata/influxdb/v2/cmd/influxd",
        ],
        work,
        env,
    )


def _need(tool: str, service: str) -> None:
    if shutil.which(tool) is None:
        raise ServiceError(
            f"{service}: {tool} is not installed; it is needed to get {service} without Docker"
        )


def _run(command: list[str], folder: Path, env: dict[str, str]) -> None:
    print("+", *command, file=sys.stderr, flush=True)
    done = subprocess.run(
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise ServiceError(
            f"{' '.join(command[:2])} failed:\n{tail}\nIs the network there, and are the registries set up on this machine?"
        )


class Service(ABC):
    """A server process with its own folder and port. It can be stopped or killed, and started again
    with the same data on the same port."""

    name = "service"
    start_s = 180.0  # generous, for a busy machine

    def __init__(self, port: int = 0) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"ecgwatch-{self.name}-"))
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.remove)

    def start(self) -> None:
        """Start and wait until it answers. Raises ServiceError with the end of its log."""
        if self._process is not None:
            return
        with (self.folder / "log.txt").open("ab") as log:
            # A separate session: Ctrl-C in the terminal must reach this program first.
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.folder,
                env={**os.environ, **self._environment()},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + self.start_s
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = "\n".join(
                    (self.folder / "log.txt").read_text(errors="replace").splitlines()[-20:]
                )
                raise ServiceError(f"{self.name} did not start on port {self.port}:\n{tail}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the process as an operator would; its data stays."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process as a power cut would; its data stays."""
        self._end(signal.SIGKILL)

    def remove(self) -> None:
        """Kill the process and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.remove)

    @property
    def running(self) -> bool:
        """True if the process is alive."""
        return self._process is not None and self._process.poll() is None

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    @abstractmethod
    def _command(self) -> list[str]:
        """The command line to start."""

    def _environment(self) -> dict[str, str]:
        return {}

    @abstractmethod
    def _answers(self) -> bool:
        """True if the service is ready."""


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
        _run(tool, self.folder, dict(os.environ))

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


class SecureKafka(Kafka):
    """Kafka with four listeners: `address` in the clear; `mtls` (it asks for our certificate),
    `sasl` (a name and a password in the clear) and `sasl_tls` (these over TLS), as PLAIN,
    SCRAM-SHA-256 or SCRAM-SHA-512. `ca`, `certificate` and `key` are PEM files for clients."""

    user, password = "ecgwatch", "a secret = of blanks"

    def __init__(self, port: int = 0) -> None:
        self._ports = {name: free_port() for name in ("SSL", "SASL_PLAINTEXT", "SASL_SSL")}
        super().__init__(port)
        self.mtls, self.sasl, self.sasl_tls = (
            f"127.0.0.1:{self._ports[name]}" for name in ("SSL", "SASL_PLAINTEXT", "SASL_SSL")
        )

    def _scram(self) -> list[str]:
        made = []
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
            made += ["--add-scram", f'{mechanism}=[name={self.user},password="{self.password}"]']
        return made

    def _properties(self, plain: str) -> str:
        """Add the further listeners, whose keys and certificates are made first."""
        self.ca, self.certificate, self.key = make_certificates(self.folder)
        more = "".join(f",{name}://127.0.0.1:{port}" for name, port in self._ports.items())
        lines = [
            line + more if line.startswith(("listeners=", "advertised.listeners=")) else line
            for line in plain.splitlines()
        ]
        plain_user = f'user_{self.user}="{self.password}"'
        lines += [
            "listener.security.protocol.map="
            + ",".join(f"{name}:{name}" for name in ("PLAINTEXT", *self._ports))
            + ",CONTROLLER:PLAINTEXT",
            "ssl.keystore.type=PEM",
            f"ssl.keystore.location={self.folder / 'broker.pem'}",
            "ssl.truststore.type=PEM",
            f"ssl.truststore.location={self.ca}",
            "listener.name.ssl.ssl.client.auth=required",
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        ]
        for name in ("sasl_plaintext", "sasl_ssl"):
            login = f"listener.name.{name}"
            package = "org.apache.kafka.common.security"
            lines += [
                f"{login}.plain.sasl.jaas.config={package}.plain.PlainLoginModule required {plain_user};",
                *(
                    f"{login}.scram-sha-{n}.sasl.jaas.config={package}.scram.ScramLoginModule required;"
                    for n in (256, 512)
                ),
            ]
        return "\n".join(lines) + "\n"


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Make a certificate authority, a server's certificate for 127.0.0.1 (broker.pem, with its key)
    and a client's: the PEM files of the authority, the client's certificate and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "broker", "client")}
    names = {n: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in keys}
    pem = {}
    for name, key in keys.items():
        built = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["ca"])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["ca"].public_key()),
                critical=False,
            )
        )
        if name == "ca":
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            built = built.add_extension(usage, critical=True)
        if name == "broker":
            place = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
            built = built.add_extension(place, critical=False)
        made = built.sign(keys["ca"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        pem[name] = made, secret
    files = {
        "ca.pem": pem["ca"][0],
        "broker.pem": pem["broker"][1] + pem["broker"][0],
        "client.pem": pem["client"][0],
        "client-key.pem": pem["client"][1],
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / "ca.pem", folder / "client.pem", folder / "client-key.pem"


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


class SecureInfluxdb(Influxdb):
    """InfluxDB over TLS, with a certificate of an authority of its own: the PEM file `ca`."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.url = f"https://127.0.0.1:{self.port}"
        self.ca, _, _ = make_certificates(self.folder)
        self._trust = ssl.create_default_context(cafile=self.ca)

    def _command(self) -> list[str]:
        pem = str(self.folder / "broker.pem")
        return [*super()._command(), "--tls-cert", pem, "--tls-key", pem]


def free_port() -> int:
    """A TCP port of this machine on which nothing listens at present."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
