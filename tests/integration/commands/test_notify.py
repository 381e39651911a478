"""`ecgwatch notify` against real brokers and real HTTP and SMTP servers on this machine: what is
told, repeated, held up and recorded.

Apprise itself sends; only the services beyond this machine (mail providers, chats, SMS) cannot be
had here.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import confluent_kafka
import pytest
from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ecgwatch.alarming.reconciling import compare_notified
from ecgwatch.commands.services.notify import with_secrets
from ingest.broker import create_topics
from ingest.clock import SystemClock
from ingest.embedded import EmbeddedBroker
from ingest.errors import BadInputError, UnreachableError
from ingest.messages import Alarm, Delivery, encode
from ingest.topics import ALARMS, NOTIFICATIONS
from stream_processor.notifications import lane
from stream_processor.notifications.channels import NotificationChannels
from stream_processor.notifications.plan import load
from stream_processor.notifications.push_sender import PushSender
from stream_processor.notifications.push_store import PushStore
from stream_processor.notifications.reading import read
from stream_processor.notifications.sender import NotificationSender
from stream_processor.notifications.service import Notifier
from stream_processor.notifications.text import NotificationText
from tests.unit.notifications.test_web_push import Browser
from tests.unit.notifications.test_web_push import serving as push_service

# a plug-in of Apprise
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
WAIT_S = 60.0
NOW = 1_767_225_600 * 10**9


class Hook(ThreadingHTTPServer):
    """A webhook: keeps what it was sent. `status` it answers with, `hang` holds answers back until
    set."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.status, self.hang, self.asked, self.got = 200, threading.Event(), 0, []
        self.hang.set()
        super().__init__(("127.0.0.1", 0), _Post)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server_port}/hook?rto=60"

    def texts(self) -> list[str]:
        return [message["message"] for message in self.got]


class _Post(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked += 1
        self.server.hang.wait(WAIT_S)
        if self.server.status == 200:
            self.server.got.append(body)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Mailbox(socketserver.ThreadingTCPServer):
    """An SMTP server that takes every mail."""

    daemon_threads = allow_reuse_address = True

    def __init__(self) -> None:
        self.got: list[str] = []
        super().__init__(("127.0.0.1", 0), _Smtp)

    @property
    def url(self) -> str:
        return f"mailto://127.0.0.1:{self.server_address[1]}?from=ward@example.org&to=ann@example.org&mode=insecure"


class _Smtp(socketserver.StreamRequestHandler):
    server: Mailbox

    def handle(self) -> None:
        self.say("220 ward")
        while word := self.rfile.readline().split(b" ")[0].strip().upper():
            if word == b"DATA":
                self.say("354 go on")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                self.server.got.append(b"".join(lines).decode())
            self.say("221 bye" if word == b"QUIT" else "250 ok")
            if word == b"QUIT":
                return

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    with serving(server):
        yield server
        server.hang.set()


@pytest.fixture
def other() -> Iterator[Hook]:
    server = Hook()
    with serving(server):
        yield server
        server.hang.set()


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    server = Mailbox()
    with serving(server):
        yield server


def alarm(number: int, step: str = "onset", *, patient: str = "Bed 1", **changes: object) -> Alarm:
    onset_ns = NOW + number * 10**9
    fields: dict = {
        "device_id": "d",
        "lead": "II",
        "fs_hz": 250.0,
        "id": f"{patient}:hr_high:{onset_ns}",
        "kind": "hr_high",
        "priority": "medium",
        "changed_ns": onset_ns,
        "onset_ns": onset_ns,
        "raised_ns": onset_ns,
        "onset_sample": 0,
        "raised_sample": 0,
        "text": "HR 134 > 120",
    }
    return Alarm(patient_id=patient, step=step, **fields | changes)


def raise_alarms(address: str, *alarms: Alarm) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": address, "partitioner": "murmur2_random", "log_level": 0}
    )
    for one in alarms:
        producer.produce(ALARMS.name, encode(one), one.patient_id.encode())
    assert producer.flush(60) == 0


def deliveries(address: str) -> list[Delivery]:
    return [kept.message for kept in read(address, NOTIFICATIONS, Delivery).messages]


def until(condition: Callable[[], bool], seconds: float = WAIT_S) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def plan_file(folder: Path, text: str = "", **urls: str) -> Path:
    """Every recipient is told of everything, unless the text has rules of its own."""
    lines = [f'[recipients.{name}]\nurl = "{url}"' for name, url in urls.items()]
    rules = text or f"[[rules]]\nrecipients = {json.dumps(list(urls))}"
    path = folder / "notifications.toml"
    path.write_text(
        'timezone = "Europe/Berlin"\nmonitor = "http://ward:8050/"\n' + "\n".join([*lines, rules])
    )
    return path


@contextmanager
def notifying(
    address: str,
    file: Path,
    *,
    limit_s: float = 20.0,
    push: Callable[[], PushSender] = lambda: pytest.fail("nobody is told by Web Push"),
) -> Iterator[None]:
    """The notifier in this process, until the block ends."""
    plan = load(file)
    stop, ready, broken = threading.Event(), threading.Event(), []

    def run() -> None:
        try:
            Notifier(
                address,
                plan,
                NotificationChannels(with_secrets(plan, {}), push).send,
                SystemClock(),
                limit_s=limit_s,
            ).run(stop, ready.set)
        except Exception as error:
            broken.append(error)
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(WAIT_S)
    assert broken == []
    try:
        yield
    finally:
        stop.set()
        thread.join(WAIT_S)
    assert broken == []


@pytest.fixture
def address(broker) -> str:
    create_topics(broker.address)
    return broker.address


def test_mail_and_webhook_say_what_matters(address, tmp_path, hook, mailbox):
    raise_alarms(address, alarm(0))  # before there was anybody to tell
    with notifying(address, plan_file(tmp_path, hook=hook.url, mail=mailbox.url)):
        raise_alarms(address, alarm(1), alarm(2, announced=False))
        until(lambda: len(deliveries(address)) == 2)
    (message,) = hook.got
    assert message["title"] == "** Bed 1: HR 134 > 120"
    assert message["type"] == "warning"
    for line in (
        "** HR 134 > 120",
        "Patient: Bed 1",
        "Since: 2026-01-01 01:00:01 CET",
        f"Monitor: http://ward:8050/alarm?patient=Bed%201&id={quote(alarm(1).id, safe='')}",
        f"Id: {alarm(1).id}|onset|0",
    ):
        assert line in message["message"].splitlines()
    assert len(mailbox.got) == 1
    assert "HR 134 > 120" in mailbox.got[0]
    found = {d.recipient: d for d in deliveries(address)}
    assert {(d.alarm_id, d.outcome, d.attempt, d.next_ns) for d in found.values()} == {
        (alarm(1).id, "delivered", 1, None)
    }
    assert found["hook"].id == f"{alarm(1).id}|onset|0|hook|1"


def test_each_thread_hears_why_its_own_attempt_failed(hook, other):
    hook.status, other.status = 500, 404
    sender, said = (
        NotificationSender({"hook": hook.url, "other": other.url}),
        {"hook": [], "other": []},
    )

    def tell(name: str) -> None:
        said[name] += [
            sender.send(name, NotificationText("title", "body", "warning")) for _ in range(20)
        ]

    threads = [threading.Thread(target=tell, args=(name,)) for name in ["hook", "other"] * 4]
    for one in threads:
        one.start()
    for one in threads:
        one.join(WAIT_S)
    assert [(len(reasons), len(set(reasons))) for reasons in said.values()] == [(80, 1), (80, 1)]
    assert "500" in said["hook"][0]
    assert "404" in said["other"][0]


def test_a_server_that_fails_and_recovers(address, tmp_path, hook, other, monkeypatch):
    monkeypatch.setattr(lane, "FIRST_RETRY_S", 0.2)
    hook.status = 500
    with notifying(address, plan_file(tmp_path, hook=hook.url, other=other.url)):
        raise_alarms(address, *(alarm(i) for i in range(6)))
        until(lambda: len(other.got) == 6)
        until(lambda: sum(d.outcome == "failed" for d in deliveries(address)) >= 6)
        hook.status = 200
        until(lambda: len(hook.got) == 6)
        until(lambda: sum(d.outcome == "delivered" for d in deliveries(address)) == 12)
    assert len(set(hook.texts())) == 6
    failed = [d for d in deliveries(address) if d.outcome == "failed"]
    assert {d.recipient for d in failed} == {"hook"}
    assert [d for d in failed if d.next_ns is None or "500" not in d.reason] == []
    assert not any("127.0.0.1" in d.reason for d in failed)


def test_a_server_that_hangs_holds_up_nobody(address, tmp_path, hook, other, monkeypatch):
    monkeypatch.setattr(lane, "FIRST_RETRY_S", 0.2)
    hook.hang.clear()
    with notifying(address, plan_file(tmp_path, hook=hook.url, other=other.url), limit_s=1.0):
        raise_alarms(address, *(alarm(i) for i in range(20)))
        began = time.monotonic()
        until(lambda: len(other.got) == 20)
        assert time.monotonic() - began < 5
        until(lambda: any("no answer within 1 s" in d.reason for d in deliveries(address)))
        hook.hang.set()
        until(lambda: len(set(hook.texts())) == 20)
        until(
            lambda: (
                len(
                    {
                        d.alarm_id
                        for d in deliveries(address)
                        if (d.recipient, d.outcome) == ("hook", "delivered")
                    }
                )
                == 20
            )
        )


COMMAND = [sys.executable, "-P", "-m", "ecgwatch", "notify"]


def start(address: str, file: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*COMMAND, "--broker", address, "--file", str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert process.stdout
    assert process.stdout.readline().startswith(f"notifying of {address}")
    return process


def test_an_alarm_goes_to_the_registered_browser_and_again_after_a_failure(address, tmp_path):
    store, browser = PushStore(tmp_path / "push"), Browser()
    file = plan_file(tmp_path, nurse="webpush:Ada")
    with push_service() as service:
        service.status = 503
        store.add("Ada", browser.subscription(service.url()))
        sender = PushSender(store, "mailto:ward@example.org", SystemClock())
        with notifying(address, file, push=lambda: sender):
            raise_alarms(address, alarm(1))
            until(lambda: len(service.got) == 1)
            service.status = 201
            until(lambda: any(d.outcome == "delivered" for d in deliveries(address)))
    told = json.loads(browser.decrypt(service.got[-1][1]))
    assert (told["title"], told["tag"]) == ("** Bed 1: HR 134 > 120", alarm(1).id)
    assert told["url"].startswith("http://ward:8050/alarm?patient=Bed%201&id=")
    assert [d.outcome for d in deliveries(address)] == ["failed", "delivered"]
    assert deliveries(address)[0].reason == "the push service answered 503"


@pytest.mark.slow
def test_killed_in_the_middle_nothing_is_lost(address, tmp_path, hook, other):
    """Some delivered, some failed and due again, some in flight and never recorded: a new process
    tells all of them."""
    file = plan_file(tmp_path, hook=hook.url, other=other.url)
    hook.hang.clear()
    other.status = 503
    first = start(address, file)
    try:
        raise_alarms(address, *(alarm(i) for i in range(8)))
        until(lambda: sum(d.outcome == "failed" for d in deliveries(address)) >= 4)
    finally:
        first.kill()
        first.communicate()
    hook.hang.set()
    other.status = 200
    raise_alarms(address, *(alarm(i) for i in range(8, 10)))  # while nobody is there
    hook.got.clear()
    second = start(address, file)
    try:
        until(
            lambda: (
                len(
                    {
                        d.id.rpartition("|")[0]
                        for d in deliveries(address)
                        if d.outcome == "delivered"
                    }
                )
                == 20
            ),
            60,
        )
        assert len(set(hook.texts())) == 10
        assert len(set(other.texts())) == 10
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0
    finally:
        second.kill()
        second.communicate()


def told(hook: Hook) -> set[str]:
    return {line for text in hook.texts() for line in text.splitlines() if line.startswith("Id: ")}


@pytest.mark.slow
def test_two_share_the_work_and_one_goes_on_alone(empty_kafka, tmp_path, hook):
    address, file = empty_kafka.address, plan_file(tmp_path, hook=hook.url)
    create_topics(address)
    with notifying(address, file):
        with notifying(address, file):
            raise_alarms(address, *(alarm(0, patient=f"Bed {i}") for i in range(100)))
            until(lambda: len(told(hook)) == 100)
        raise_alarms(address, *(alarm(1, patient=f"Bed {i}") for i in range(100)))
        until(lambda: len(told(hook)) == 200)
        until(lambda: len(deliveries(address)) >= 200)
    assert len(hook.got) == 200  # nothing twice: both left in order
    assert {d.outcome for d in deliveries(address)} <= {"delivered", "held back"}


@pytest.mark.slow
def test_a_broker_that_goes_away_and_comes_back(empty_kafka, tmp_path, hook):
    address = empty_kafka.address
    create_topics(address)
    with notifying(address, plan_file(tmp_path, hook=hook.url)):
        hook.hang.clear()
        raise_alarms(address, *(alarm(i) for i in range(5)))
        until(lambda: hook.asked > 0)
        time.sleep(1)
        empty_kafka.kill()
        hook.hang.set()  # told while the broker is away: recorded when it is back
        until(lambda: len(told(hook)) == 5)
        empty_kafka.start()
        raise_alarms(address, *(alarm(i) for i in range(5, 10)))
        until(lambda: len(told(hook)) == 10, 100)
        until(
            lambda: len({d.alarm_id for d in deliveries(address) if d.outcome == "delivered"}) == 10
        )


@pytest.mark.slow
def test_a_thousand_alarms_in_a_second(address, tmp_path, hook, other):
    alarms = [alarm(0, patient=f"Bed {i}") for i in range(1000)]
    file = plan_file(tmp_path, hook=hook.url, other=other.url)
    with notifying(address, file):
        began = time.monotonic()
        raise_alarms(address, *alarms)
        until(lambda: len(hook.got) >= 1000 and len(other.got) >= 1000, 120)
        print(f"1,000 alarms, 2 recipients: all told after {time.monotonic() - began:.1f} s")
        until(lambda: len(deliveries(address)) >= 2000)
    assert len(set(hook.texts())) == len(hook.got) == 1000
    # held back: waits its turn
    assert {d.outcome for d in deliveries(address)} <= {"delivered", "held back"}
    told = {(d.alarm_id, d.recipient) for d in deliveries(address) if d.outcome == "delivered"}
    assert told == {(a.id, r) for a in alarms for r in ("hook", "other")}
    counted = compare_notified(alarms, deliveries(address), load(file))
    assert (counted.due, counted.delivered, counted.missing) == (2000, 2000, [])


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["notify", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_check_and_test_message(tmp_path, hook, monkeypatch):
    file = str(
        plan_file(
            tmp_path,
            hook=hook.url.replace("json://", "json://ann:${PASS}@"),
            dead="json://127.0.0.1:9/",
        )
    )
    with pytest.raises(BadInputError, match="'hook' needs PASS from the environment"):
        run("--file", file, "--check")
    monkeypatch.setenv("PASS", "s3cret")
    text = run("--file", file, "--check")
    assert "rule 1: high, medium, low of * to hook, dead" in text
    assert hook.got == []
    assert "has taken the test message" in run("--file", file, "--test", "hook")
    assert hook.got[0]["title"] == "ecgwatch: test"
    with pytest.raises(UnreachableError, match="'dead' was not notified: A Connection error"):
        run("--file", file, "--test", "dead")
    with pytest.raises(BadInputError, match="no recipient 'nurse'"):
        run("--file", file, "--test", "nurse")


def test_the_file_is_a_setting(tmp_path, hook, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInputError, match="no notifications file is set"):
        run("--check")
    monkeypatch.setenv("ECGWATCH_NOTIFICATIONS", str(plan_file(tmp_path, hook=hook.url)))
    assert "recipients: hook" in run("--check")


@pytest.mark.slow
def test_detected_is_stored_is_told_and_answered(tmp_path, hook, monkeypatch):
    """The product's own commands: a simulated asystole is processed, told and acknowledged;
    reconcile finds nothing missing."""
    with EmbeddedBroker() as broker:
        monkeypatch.setenv("ECGWATCH_BROKER", broker.address)
        monkeypatch.setenv("ECGWATCH_SINK", f"sqlite:{tmp_path}/e.db")
        rule = '[[rules]]\nrecipients = ["hook"]\nalso = ["acknowledged"]'
        monkeypatch.setenv("ECGWATCH_NOTIFICATIONS", str(plan_file(tmp_path, rule, hook=hook.url)))
        with command("process", "--workers", "1"), command("notify"):
            ecgwatch("simulate", "asystole", "vt", "--speed", "max", "--for", "90")
            ecgwatch("topics", "lag", "--wait", "120")
            until(lambda: any("ASYSTOLE" in text for text in hook.texts()))
            ecgwatch("alarms", "ack", "asystole", "--all", "--by", "Ann")
            until(lambda: any("Acknowledged by Ann." in text for text in hook.texts()))
            text = ecgwatch("alarms", "reconcile")
            assert "acknowledged by Ann" in ecgwatch(
                "alarms", "list", "asystole", "--hours", "1000"
            )
    assert "notified: nobody" not in text
    assert "detected: 0" not in text
    assert "not " not in text


@contextmanager
def command(*arguments: str) -> Iterator[None]:
    """`ecgwatch ARGUMENTS` in the background, from its first line to the end of the block."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "ecgwatch", *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert broker_named(process.stdout.readline())
        try:
            yield
        finally:
            process.terminate()
            process.communicate(timeout=WAIT_S)


def broker_named(line: str) -> bool:
    return os.environ["ECGWATCH_BROKER"] in line


def ecgwatch(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ecgwatch", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
