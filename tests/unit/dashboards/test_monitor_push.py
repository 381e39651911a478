"""Browsers register for Web Push: under whose name, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from stream_processor.notifications.push_store import PushStore
from stream_processor.notifications.web_push import encoded, public_point
from tests.unit.dashboards.monitor_bench import Bench, running
from tests.unit.dashboards.test_monitor_access import SECRETS, TOKENS

ENDPOINT = "https://push.example.org/send/abc"


def subscription(endpoint: str = ENDPOINT, **keys: str) -> dict[str, Any]:
    point = public_point(ec.generate_private_key(ec.SECP256R1()).public_key())
    return {
        "endpoint": endpoint,
        "keys": {"p256dh": encoded(point), "auth": encoded(bytes(16))} | keys,
    }


@pytest.fixture
def store(tmp_path: Path) -> PushStore:
    return PushStore(tmp_path / "push")


@pytest.fixture
def bench(store: PushStore) -> Iterator[Bench]:
    with running(push=store) as made:
        yield made


def register(bench: Bench, what: dict[str, Any], by: str = "Ada", **options: Any) -> int:
    body = {"by": by, "subscription": what}
    return bench.client.post("/api/push", json=body, **options).status_code


def test_a_browser_registers_and_leaves(bench: Bench, store: PushStore) -> None:
    assert bench.client.get("/api/push").json() == {"key": store.public_key()}
    assert register(bench, subscription()) == 204
    assert [s.endpoint for s in store.of("Ada")] == [ENDPOINT]
    gone = bench.client.delete("/api/push", params={"endpoint": ENDPOINT})
    assert gone.status_code == 204
    assert store.of("*") == []


@pytest.mark.parametrize(
    "what",
    [
        subscription("http://push.example.org/abc"),
        subscription("https://127.0.0.1/abc"),
        subscription("https://[::1]/abc"),
        subscription("https://broker:9092/abc"),
        subscription("https://push.example.org/" + "x" * 1024),
        subscription(p256dh=encoded(b"\x04" + bytes(64))),
        subscription(p256dh="no base64"),
        subscription(auth=encoded(bytes(8))),
    ],
)
def test_what_is_no_push_service_is_refused(
    bench: Bench, store: PushStore, what: dict[str, Any]
) -> None:
    """The notifier would send to any address of its network."""
    assert register(bench, what) == 400
    assert store.of("*") == []


def test_who_is_signed_in_registers_under_that_name(store: PushStore) -> None:
    with running(push=store, tokens=TOKENS) as bench:
        for role, name, status in (
            ("view", "view", 403),
            ("acknowledge", "admin", 403),
            ("acknowledge", "acknowledge", 204),
        ):
            headers = {"Authorization": f"Bearer {SECRETS[role]}"}
            assert register(bench, subscription(), name, headers=headers) == status
    assert len(store.of("acknowledge")) == 1


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with running(push=PushStore(tmp_path / "file" / "push")) as bench:
        answer = bench.client.get("/api/push")
        assert answer.status_code == 503
        assert "ECGWATCH_PUSH" in answer.json()["remedy"]
