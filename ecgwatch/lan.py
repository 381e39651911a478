"""The demo's door for a phone in the same network: an address, a certificate for it, a device's
token, and the code that a phone's camera reads."""

from __future__ import annotations

import io
import socket
from pathlib import Path
from typing import NamedTuple

import segno

from ecgwatch.registering import take
from ingest.clock import Clock
from ingest.errors import BadInputError
from ingest.registry import steps
from ingest.registry.state import Registry
from ingest.registry.step import Author, Steps
from ingest.server.tls import Tls, self_signed

DEVICE = PATIENT = "phone"
BED = "Phone"
# documentation address (RFC 5737): no packet is sent, but the system says by which of its own
# addresses it would
_ELSEWHERE = ("192.0.2.1", 9)


class LanDoor(NamedTuple):
    """Where phones come in."""

    address: str
    tls: Tls


def open_door(folder: Path, clock: Clock) -> LanDoor:
    """Make a certificate for this machine's address in the network. Raises BadInputError if it is in
    none."""
    address = _own_address()
    return LanDoor(address, self_signed(folder, [address, "localhost"], clock))


def admit_phone(broker: str) -> str:
    """Add a device and admit a person who wears it; returns the device's token. Raises
    UnreachableError."""
    tokens: list[str] = []

    def add(registry: Registry, who: Author) -> Steps:
        made, token = steps.add_device(registry, DEVICE, who)
        tokens.append(token)
        return made

    take(broker, None, add)
    take(
        broker,
        None,
        lambda registry, who: steps.admit(registry, PATIENT, who, bed=BED, device_id=DEVICE),
    )
    return tokens[0]


def invitation(url: str, token: str) -> str:
    """What the demo prints: the address, its code, and what the phone's browser needs."""
    link = f"{url}/join#{token}"
    code = io.StringIO()
    segno.make(link, error="l").terminal(code, compact=True)
    return (
        f"A phone in this network joins the ward as {BED!r}:\n\n{code.getvalue()}\n  {link}\n\n"
        "Chrome or Edge on Android, Windows, macOS or Linux; an iPhone has no Web Bluetooth.\n"
        "The certificate is the demo's own, so the browser warns once: Advanced, Proceed.\n"
        "The link holds a token: who has it sends as this person. Keep the page in the foreground.\n"
    )


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
            found = str(probe.getsockname()[0])
        except OSError:
            found = ""
    if not found or found.startswith("127."):
        raise BadInputError(
            "this machine is in no network, so no phone can reach it",
            "Join the phone's WLAN, or start the demo without --lan.",
        )
    return found
