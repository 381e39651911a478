"""The folder of Web Push: this installation's key, and the browsers that people have registered.

    vapid.pem               the private key, made at the first start; a new one makes every
                            registered browser useless
    browsers/HASH.json      one registered browser each, so that a monitor that adds one and a
                            notifier that drops one need no lock

Monitor and notifier share the folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ingest.errors import BadInputError
from stream_processor.notifications.web_push import (
    AUTH,
    POINT,
    BrowserKeys,
    decoded,
    encoded,
    public_point,
)

MOST_BROWSERS = 1000


class SubscriptionKeys(msgspec.Struct, frozen=True):
    """The keys of a subscription, in base64url, as a browser writes them."""

    p256dh: str
    auth: str

    @property
    def bytes(self) -> BrowserKeys:
        """The keys themselves. Raises ValueError if they cannot be."""
        keys = BrowserKeys(decoded(self.p256dh), decoded(self.auth))
        if len(keys.auth) != AUTH or len(keys.p256dh) != POINT:
            raise ValueError("these are no keys of a push subscription")
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), keys.p256dh)
        return keys


class Subscription(msgspec.Struct, frozen=True):
    """A browser's push subscription: the service's address for it, and its keys."""

    endpoint: str
    keys: SubscriptionKeys


class RegisteredBrowser(msgspec.Struct, frozen=True):
    """A browser on which a person wants to be told."""

    name: str
    subscription: Subscription


class PushStore:
    """The folder; every call reads or writes it, for monitor and notifier run side by side."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._browsers = folder, folder / "browsers"

    def key(self) -> ec.EllipticCurvePrivateKey:
        """Return the key, which is made if there is none. Raises BadInputError if it cannot be read
        or written."""
        path = self._folder / "vapid.pem"
        try:
            if not path.exists():
                self._make_key(path)
            key = load_pem_private_key(path.read_bytes(), None)
        except (OSError, ValueError, TypeError) as error:
            raise BadInputError(
                f"the key of Web Push {path}: {error}", "Name another folder in ECGWATCH_PUSH."
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
            raise BadInputError(
                f"the key of Web Push {path} is none of the curve P-256",
                "Move it away: a new one is made.",
            )
        return key

    def public_key(self) -> str:
        """Return what a browser subscribes with. Raises BadInputError as `key` does."""
        return encoded(public_point(self.key().public_key()))

    def add(self, name: str, subscription: Subscription) -> None:
        """Register a browser; one that was registered goes to the new name. Raises BadInputError if
        there are too many, OSError."""
        path = self._path(subscription.endpoint)
        if not path.exists() and len(self._paths()) >= MOST_BROWSERS:
            raise BadInputError(
                f"{MOST_BROWSERS} browsers are registered", f"Delete old ones in {self._browsers}."
            )
        self._browsers.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(path, msgspec.json.encode(RegisteredBrowser(name, subscription)))

    def remove(self, endpoint: str) -> None:
        """Forget a browser."""
        self._path(endpoint).unlink(missing_ok=True)

    def of(self, name: str) -> list[Subscription]:
        """Return the browsers of a person; "*" for everybody's. A file that cannot be read counts
        as none."""
        found: list[Subscription] = []
        for path in self._paths():
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                one = msgspec.json.decode(path.read_bytes(), type=RegisteredBrowser)
                if name in ("*", one.name):
                    found.append(one.subscription)
        return found

    def _paths(self) -> list[Path]:
        return sorted(self._browsers.glob("*.json"))

    def _path(self, endpoint: str) -> Path:
        return self._browsers / f"{hashlib.sha256(endpoint.encode()).hexdigest()[:32]}.json"

    def _make_key(self, path: Path) -> None:
        """Make the key once, also if monitor and notifier start together."""
        key = ec.generate_private_key(ec.SECP256R1())
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with tempfile.NamedTemporaryFile(dir=self._folder) as draft:  # only its owner can read it
            draft.write(data)
            draft.flush()
            with contextlib.suppress(FileExistsError):
                os.link(draft.name, path)


def _write(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:
        draft.write(data)
    Path(draft.name).replace(path)
