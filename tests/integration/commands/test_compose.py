"""docker-compose.yml for real, all but Grafana: the image is built, the stack started, two
processors share the patients, one is killed.

Needs a Docker engine that has, or can pull, the images that docker-compose.yml and the Dockerfile
name; skips where none runs, in CI too.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from ecgwatch import settings
from ecgwatch.settings import Settings
from ecgwatch.stores import open_sink
from ingest.clock import SystemClock
from ingest.messages import Alarm, Beat, Event, SampleChunk, Score, Waveform
from ingest.replay import merge, stream
from ingest.simulator.scenario import load
from ingest.sources.simulated import SimulatedSource
from stream_processor.sinks.base import KINDS, Sink, SinkBusyError
from stream_processor.ward import build_ward
from tests.contract.test_sinks import beat
from tests.integration.processor.test_recovery import Stored, _by_identity, assert_same
from tools import compose_env, compose_tokens
from tools.service_base import free_port

ROOT = Path(compose_env.__file__).parent.parent
SCENARIOS = ("normal", "pvcs", "afib", "vt", "asystole", "tachycardia")
COPIES, SIGNAL_S, SPEED = 2, 100, 5
START, START_NS = "2026-01-01T00:00:00Z", 1_767_225_600 * 10**9
KILL_AFTER_S = 8.0
WAIT_S = 90.0
PARTITIONS = 12
# all but Grafana, and the patients, who are the tests' own
SERVICES = ("kafka", "influxdb", "processor", "monitor", "score")


def test_secrets_are_random_private_and_kept(tmp_path: Path) -> None:
    files = [tmp_path / name / ".env" for name in ("one", "other")]
    for file in files:
        file.parent.mkdir()
        file.write_text("MONITOR_PORT=8051\nGRAFANA_PASSWORD=\n")
        file.chmod(0o644)
        assert set(compose_env.fill(file)) == set(compose_env.SECRETS)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    one, other = [
        dict(line.split("=", 1) for line in file.read_text().splitlines()) for file in files
    ]
    assert one["MONITOR_PORT"] == "8051"
    values = [made[name] for made in (one, other) for name in compose_env.SECRETS]
    assert len(set(values)) == len(values)
    assert all(40 <= len(value) <= 72 for value in values)
    before = files[0].read_text()
    assert compose_env.fill(files[0]) == []
    assert files[0].read_text() == before


def test_tokens_of_the_services_reach_so_far_and_no_further(empty_influxdb, tmp_path: Path) -> None:
    writer, reader = tmp_path / "writer", tmp_path / "reader"
    for folder in (writer, reader):
        folder.mkdir()
    place = empty_influxdb.url, empty_influxdb.token
    assert len(compose_tokens.fill(*place, writer, reader)) == 2
    assert compose_tokens.fill(*place, writer, reader) == []
    store = {"sink": f"influxdb:{empty_influxdb.url}"}
    files = [folder / "ecgwatch.toml" for folder in (writer, reader)]
    writing, reading = (
        open_sink(settings.load(store, {"ECGWATCH_SETTINGS": str(file)})[0]) for file in files
    )
    for sink in (writing, reading):
        assert "bucket events, waveforms in waveform" in sink.check()
        sink.add(beat())
    writing.flush()
    with pytest.raises(SinkBusyError, match="May this token write"):
        reading.flush()
    assert list(reading.read(Beat, "p")) == [beat()]
    for sink in (writing, reading):
        sink.close()
    for folder in (writer, reader):
        limited = compose_tokens.Api(empty_influxdb.url, (folder / "token").read_text())
        with pytest.raises(urllib.error.HTTPError):
            limited("POST", "authorizations", {"orgID": "0", "permissions": []})
    bucket = limited.bucket("events")  # the reader's
    assert bucket is not None
    with pytest.raises(urllib.error.HTTPError):
        limited("DELETE", f"buckets/{bucket['id']}")


def test_a_token_that_was_lost_is_made_anew_and_the_old_one_ends(
    empty_influxdb, tmp_path: Path
) -> None:
    writer, reader = tmp_path / "writer", tmp_path / "reader"
    for folder in (writer, reader):
        folder.mkdir()
    place = empty_influxdb.url, empty_influxdb.token
    compose_tokens.fill(*place, writer, reader)
    lost = (writer / "token").read_text()
    (writer / "ecgwatch.toml").unlink()
    assert compose_tokens.fill(*place, writer, reader) == ["ecgwatch writer"]
    assert compose_tokens.Api(empty_influxdb.url, lost).bucket("events") is None


def test_the_admin_token_is_for_two_services() -> None:
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    holders = {name for name, one in services.items() if "INFLUXDB_TOKEN" in json.dumps(one)}
    assert holders == {"influxdb", "store-tokens"}
    for name, volume in {
        "processor": "store-writer",
        "monitor": "store-reader",
        "grafana": "store-reader",
    }.items():
        held = [v for v in services[name]["volumes"] if v.startswith("store-")]
        assert held == [f"{volume}:{volume.replace('store-', '/store/')}:ro"]


@pytest.fixture(scope="module")
def engine() -> None:
    """Docker with Compose."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    for command, missing in (
        (["docker", "info"], "no Docker engine runs"),
        (["docker", "compose", "version"], "docker compose is missing"),
    ):
        if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
            pytest.skip(missing)


@dataclass
class Stack:
    """A project of docker-compose.yml with secrets, ports and volumes of its own."""

    name: str
    env: Path

    def compose(self, *arguments: str, code: int = 0) -> str:
        """Run `docker compose ARGUMENTS`; its output."""
        done = subprocess.run(
            self._command(*arguments),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run `docker compose ARGUMENTS` beside the test."""
        return subprocess.Popen(
            self._command(*arguments),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _command(self, *arguments: str) -> list[str]:
        return [
            "docker",
            "compose",
            "--project-name",
            self.name,
            "--env-file",
            str(self.env),
            *arguments,
        ]

    def setting(self, name: str) -> str:
        """A variable of the stack's .env."""
        return dict(line.split("=", 1) for line in self.env.read_text().splitlines())[name]

    def shares(self) -> list[int]:
        """How many partitions each processor has, as Kafka tells."""
        tool = (
            "/opt/kafka/bin/kafka-consumer-groups.sh",
            "--bootstrap-server",
            "localhost:9092",
            "--describe",
            "--group",
            "ecgwatch",
        )
        rows = [
            line.split()
            for line in self.compose("exec", "-T", "kafka", *tool, "--members").splitlines()
        ]
        head = next((row for row in rows if "#PARTITIONS" in row), [])
        return [
            int(row[head.index("#PARTITIONS")])
            for row in rows
            if head and row != head and row[:1] == ["ecgwatch"]
        ]

    def workers(self) -> int:
        """How many workers have told their figures (measurement pipeline)."""
        flux = (
            'import "influxdata/influxdb/schema" schema.tagValues(bucket: "events", tag: "worker")'
        )
        call = urllib.request.Request(
            f"http://127.0.0.1:{self.setting('INFLUXDB_PORT')}/api/v2/query?org=ecgwatch",
            json.dumps({"query": flux}).encode(),
            {
                "Authorization": f"Token {self.setting('INFLUXDB_TOKEN')}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(call, timeout=30) as answer:
            return sum(line.startswith(",_result") for line in answer.read().decode().splitlines())

    def get(self, path: str) -> object:
        """What the monitor answers."""
        url = f"http://127.0.0.1:{self.setting('MONITOR_PORT')}{path}"
        call = urllib.request.Request(
            url, headers={"Authorization": f"Bearer {self.setting('MONITOR_TOKEN')}"}
        )
        with urllib.request.urlopen(call, timeout=30) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def stack(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack with two processors, healthy."""
    env = tmp_path_factory.mktemp("compose") / ".env"
    env.write_text(f"MONITOR_PORT={free_port()}\nINFLUXDB_PORT={free_port()}\n")
    compose_env.fill(env)
    made = Stack(f"ecgwatch-test-{os.getpid()}", env)
    try:
        made.compose("build", "--quiet", "processor")
        # The public InfluxDB image gives its folder to the user that docker-compose.yml names; a
        # local one need not.
        chown = (
            "--user=0",
            "--cap-add=CHOWN",
            "--entrypoint=chown",
            "influxdb",
            "1000:1000",
            "/var/lib/influxdb2",
        )
        made.compose("run", "--rm", "--no-deps", *chown)
        made.compose(
            "up", "--detach", "--wait", "--wait-timeout", "180", "--scale", "processor=2", *SERVICES
        )
        yield made
    finally:
        made.compose("down", "--volumes", "--remove-orphans", "--timeout", "10")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(1.0)


def undisturbed() -> Stored:
    """What the ward alone makes of the patients that `simulate` streams."""
    cast = [
        (f"{name}-{copy + 1}", load(name), copy) for name in SCENARIOS for copy in range(COPIES)
    ]
    sources = [
        (name, SimulatedSource(s, seed=s.seed + copy, duration_s=SIGNAL_S, name=name))
        for name, s, copy in cast
    ]
    items = merge([stream(source, name, START_NS) for name, source in sources])
    events = build_ward(SystemClock()).push(
        [item.message for item in items if isinstance(item.message, SampleChunk)]
    )
    # START is long ago: that bucket does not even take them
    return first_told([e for e in events if not isinstance(e, Waveform)])


def settled(sink: Sink, wanted: Stored) -> Stored:
    """What the processors have stored, once it is all there or WAIT_S have passed."""
    kinds = [kind for kind in KINDS if kind is not Score]
    deadline, stored = time.monotonic() + WAIT_S, Stored()
    while stored != wanted and time.monotonic() < deadline:
        time.sleep(0.5)
        # InfluxDB may show a point while it is half written
        with contextlib.suppress(SinkBusyError, msgspec.ValidationError):
            stored = first_told(
                [e for p in sink.patients() for kind in kinds for e in sink.read(kind, p)]
            )  # type: ignore[type-var]
    return stored


def first_told(events: Iterable[Event]) -> Stored:
    """Events by identity, alarms without how often they have called again: that goes on after the
    stream, by the clock on the wall."""
    alarms = {"step": "", "level": 0, "changed_ns": 0}
    return _by_identity(
        [msgspec.structs.replace(e, **alarms) if isinstance(e, Alarm) else e for e in events]
    )


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_no_start_without_secrets(engine: None, tmp_path: Path) -> None:
    empty = tmp_path / ".env"
    empty.touch()
    assert "run python3 tools/compose_env.py" in Stack("ecgwatch-test-none", empty).compose(
        "config", code=1
    )


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_the_file_holds(engine: None, tmp_path: Path) -> None:
    env = tmp_path / ".env"
    compose_env.fill(env)
    told = Stack("ecgwatch-test-config", env).compose(
        "--profile", "*", "config", "--quiet", "--no-env-resolution"
    )
    assert told == ""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_image_holds_its_bill_of_materials(stack: Stack) -> None:
    reading = ("run", "--rm", "--no-deps", "--entrypoint", "cat", "processor")
    bill = json.loads(stack.compose(*reading, "/opt/ecgwatch/sbom.json"))
    packages = {part["name"]: part["version"] for part in bill["components"]}
    lines = stack.compose(
        "run",
        "--rm",
        "--no-deps",
        "--entrypoint",
        "python",
        "processor",
        "-c",
        "import importlib.metadata as m; print(*{d.name.lower().replace('_', '-') + ' ' + d.version for d in m.distributions()}, sep=chr(10))",
    ).split("\n")
    installed = dict(line.split() for line in lines if line)
    del installed["ecgwatch"]
    assert installed.items() <= packages.items()


@pytest.mark.slow
@pytest.mark.timeout(1200)  # the first time, the image is built from packages that are downloaded
def test_what_the_containers_may_do(stack: Stack) -> None:
    found = json.loads(
        subprocess.check_output(
            ["docker", "inspect", *stack.compose("ps", "--quiet").split()], text=True
        )
    )
    by_service = {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}
    assert set(by_service) == set(SERVICES)
    for service, one in by_service.items():
        host = one["HostConfig"]
        assert one["Config"]["User"] not in ("", "0", "root"), service
        assert host["CapDrop"] == ["ALL"], service
        assert host["Memory"] > 0, service
        assert host["ReadonlyRootfs"] or service == "kafka", service
        published = [
            place["HostIp"] for places in (host["PortBindings"] or {}).values() for place in places
        ]
        assert set(published) <= {"127.0.0.1"}, service
    assert "no build tools" in stack.compose(
        "exec",
        "-T",
        "processor",
        "sh",
        "-c",
        "command -v gcc || test -e /opt/ecgwatch/bin/pip || echo no build tools",
    )
    assert stack.compose("exec", "-T", "processor", "ecgwatch", "check").count("ok:") >= 3


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_one_of_two_processors_is_killed(stack: Stack) -> None:
    wanted = undisturbed()
    assert len({key[1] for key in wanted}) == len(SCENARIOS) * COPIES
    until(lambda: sorted(stack.shares()) == [PARTITIONS // 2] * 2)
    options = (
        "--patients",
        str(COPIES),
        "--for",
        str(SIGNAL_S),
        "--speed",
        str(SPEED),
        "--start-time",
        START,
    )
    streaming = stack.start(
        "run", "--rm", "--no-deps", "-T", "simulate", "simulate", *SCENARIOS, *options
    )
    time.sleep(KILL_AFTER_S)
    assert streaming.poll() is None
    subprocess.run(["docker", "kill", f"{stack.name}-processor-2"], check=True, capture_output=True)
    said, _ = streaming.communicate(timeout=WAIT_S)
    assert streaming.returncode == 0, said
    until(lambda: stack.shares() == [PARTITIONS])
    stack.compose("exec", "-T", "processor", "ecgwatch", "topics", "lag", "--wait", str(WAIT_S))

    store = f"influxdb:http://127.0.0.1:{stack.setting('INFLUXDB_PORT')}"
    sink = open_sink(Settings(sink=store, influx_token=stack.setting("INFLUXDB_TOKEN")))
    assert_same(settled(sink, wanted), wanted)
    # by the service `score`, beside the processors
    scored = {patient for patient in sink.patients() if any(sink.read(Score, patient))}
    assert scored == {key[1] for key in wanted}
    sink.close()
    # the killed one may not have lived for the 15 s after which a worker tells its figures
    until(lambda: stack.workers() >= 1)
    shown = stack.get("/api/patients")
    assert {patient["id"] for patient in shown["patients"]} == {key[1] for key in wanted}
    assert stack.get("/api/patients/vt-1/alarms")["alarms"]
