"""Gets Apache Kafka and InfluxDB 2 from package registries, without Docker.

Kafka is its jars from Maven (needs mvn and Java 17). InfluxDB is built from its Go module (needs
go, cargo, a C compiler). Fetched parts are kept in $ECGWATCH_CACHE (default
~/.cache/ecgwatch-parts).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

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
    run(["mvn", "-q", "-B", "-f", str(KAFKA_HOME / "pom.xml"), *goal], KAFKA_HOME, dict(os.environ))
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
    run(["go", "build", "-o", "pkg-config", "github.com/influxdata/pkg-config"], work, env)
    env |= {"PATH": f"{work}{os.pathsep}{env['PATH']}", "PKG_CONFIG": str(work / "pkg-config")}
    INFLUXD.parent.mkdir(parents=True, exist_ok=True)
    run(
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


def run(command: list[str], folder: Path, env: dict[str, str]) -> None:
    """Run a command; raises ServiceError with the end of what it printed."""
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
