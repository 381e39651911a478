"""`ecgwatch notify`: notifies people of alarms by e-mail, chat, webhook, SMS and every other
service of Apprise."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from ecgwatch import options, settings
from ingest.clock import SystemClock
from ingest.errors import BadInputError, UnreachableError
from ingest.health import Health, serving_health
from stream_processor.notifications.plan import REMEDY, NotificationPlan, load
from stream_processor.notifications.text import NotificationText

if TYPE_CHECKING:
    from stream_processor.notifications.channels import NotificationChannels
    from stream_processor.notifications.push_sender import PushSender

_SECRET = re.compile(r"\$\{(\w+)\}")


def notify(
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="TOML file: recipients and their alarms (ECGWATCH_NOTIFICATIONS).",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only read the file and the secrets it names, and say what it does."
        ),
    ] = False,
    test: Annotated[
        str | None,
        typer.Option(
            "--test", metavar="RECIPIENT", help="Only send this recipient a test message."
        ),
    ] = None,
    broker: options.Broker = None,
) -> None:
    """Notify people of alarms by the rules of the file, and repeat failed attempts; every attempt
    is an event. A second process takes over if the first one fails."""
    # half a second of imports that no other command needs
    from stream_processor.notifications.channels import NotificationChannels

    chosen, _ = settings.load(
        {"broker": broker, "notifications": None if file is None else str(file)}
    )
    plan = load(notifications_file(chosen))
    sender = NotificationChannels(
        with_secrets(plan, os.environ), lambda: _push_sender(chosen, plan)
    )
    if check:
        _describe(plan)
    if test is not None:
        _test(plan, sender, test)
    if not check and test is None:
        _serve(chosen, plan, sender)


def notifications_file(chosen: settings.Settings) -> Path:
    """Return the notifications file that the settings name. Raises BadInputError if they name
    none."""
    if not chosen.notifications:
        raise BadInputError(
            "no notifications file is set", f"Give --file FILE (ECGWATCH_NOTIFICATIONS). {REMEDY}"
        )
    return Path(chosen.notifications).expanduser()


def with_secrets(plan: NotificationPlan, environment: Mapping[str, str]) -> dict[str, str]:
    """Each recipient's address with ${NAME} filled in: quoted for a URL, or unchanged if it is the
    whole address.

    Raises BadInputError naming the recipient and the variable that is not set.
    """
    found: dict[str, str] = {}
    for name, recipient in plan.recipients.items():
        missing = [key for key in _SECRET.findall(recipient.url) if not environment.get(key)]
        if missing:
            problem = f"recipient {name!r} needs {' and '.join(missing)} from the environment"
            raise BadInputError(problem, f"Set it, for example in .env. {REMEDY}")
        whole = _SECRET.fullmatch(recipient.url.strip())
        found[name] = (
            environment[whole[1]]
            if whole
            else _SECRET.sub(lambda m: quote(environment[m[1]], safe=""), recipient.url)
        )
    return found


def _push_sender(chosen: settings.Settings, plan: NotificationPlan) -> PushSender:
    """Open Web Push with the folder that the settings name."""
    from stream_processor.notifications.push_sender import PushSender
    from stream_processor.notifications.push_store import PushStore

    served = plan.monitor.startswith("https://")
    contact = plan.monitor if served else f"mailto:ecgwatch@{socket.getfqdn()}"
    return PushSender(PushStore(Path(chosen.push).expanduser()), contact, SystemClock())


def _describe(plan: NotificationPlan) -> None:
    typer.echo(f"recipients: {', '.join(plan.recipients)}")
    for number, rule in enumerate(plan.rules, start=1):
        typer.echo(
            f"rule {number}: {', '.join(rule.priorities)} of {', '.join(rule.patients)} to {', '.join(rule.recipients)}"
        )
        typer.echo(f"  kinds: {', '.join(rule.kinds) or 'all'}")
        for step in rule.escalation:
            typer.echo(f"  from call {step.level + 1} on also: {', '.join(step.recipients)}")
        if rule.quiet:
            typer.echo(f"  quiet hours {rule.quiet} ({plan.timezone}): only high")
        if rule.also:
            typer.echo(f"  also told: {', '.join(rule.also)}")
    notified = {
        name
        for rule in plan.rules
        for name in (*rule.recipients, *(n for e in rule.escalation for n in e.recipients))
    }
    if idle := [name for name in plan.recipients if name not in notified]:
        typer.echo(f"in no rule: {', '.join(idle)}")


def _test(plan: NotificationPlan, sender: NotificationChannels, name: str) -> None:
    if name not in plan.recipients:
        raise BadInputError(
            f"no recipient {name!r} is in the file", f"It knows: {', '.join(plan.recipients)}."
        )
    body = f"This is a test of ecgwatch's notifications to {name}. No patient is concerned."
    if failure := sender.send(name, NotificationText("ecgwatch: test", body, "info")):
        raise UnreachableError(
            f"recipient {name!r} was not notified: {failure}",
            "Check its url, its secret and the way to the service.",
        )
    typer.echo(f"{name}: the service has taken the test message")


def _serve(chosen: settings.Settings, plan: NotificationPlan, sender: NotificationChannels) -> None:
    from ingest.lag import lag_metric
    from ingest.topics import ALARMS
    from stream_processor.notifications.clients import GROUP
    from stream_processor.notifications.service import Notifier

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    broker = chosen.kafka
    ready = f"notifying of {broker}: {len(plan.recipients)} recipients, {len(plan.rules)} rules; waiting for alarms; Ctrl-C ends it"
    notifier = Notifier(broker, plan, sender.send, SystemClock())
    health = Health(
        lambda: {} if notifier.ready else {"partitions": "not assigned yet"},
        lambda: [*notifier.metrics(), lag_metric(broker, GROUP, [ALARMS.name])],
    )
    with serving_health(chosen.metrics, health):
        notifier.run(stop, lambda: typer.echo(ready))
