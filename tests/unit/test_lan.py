"""The demo's door for a phone in the same network."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from ecgwatch import lan
from ingest.clock import ManualClock
from ingest.errors import BadInputError


def test_the_invitation_holds_link_code_and_what_the_browser_needs() -> None:
    text = lan.invitation("https://192.168.1.20:8060", "abc")
    assert "https://192.168.1.20:8060/join#abc" in text
    assert sum(line.count("█") for line in text.splitlines()) > 20  # the code
    assert "Chrome or Edge" in text
    assert "warns once" in text


def test_the_certificate_is_for_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lan, "_own_address", lambda: "192.168.1.20")
    door = lan.open_door(tmp_path, ManualClock(1_700_000_000 * 10**9))
    made = x509.load_pem_x509_certificate(door.tls.certificate.read_bytes())
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ip_address("192.168.1.20") in names.get_values_for_type(x509.IPAddress)


def test_without_a_network_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unconnected(socket.socket):
        def connect(self, _: object) -> None:
            raise OSError("Network is unreachable")

    monkeypatch.setattr(lan.socket, "socket", Unconnected)
    with pytest.raises(BadInputError, match="in no network"):
        lan._own_address()
