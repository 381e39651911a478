"""Web Push on the wire: a message encrypted for one browser (RFC 8291, aes128gcm of RFC 8188), and
the signature by which a push service knows the sender (VAPID, RFC 8292)."""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RECORD = 4096  # bytes of the one record; push services take no larger bodies
MOST_BYTES = RECORD - 103  # of a message: less the header (86), the padding's mark and the tag
SALT, POINT, AUTH = 16, 65, 16  # bytes
TOKEN_S = 12 * 3600  # how long a signature holds; RFC 8292 allows 24 h
_CURVE = ec.SECP256R1()


class BrowserKeys(NamedTuple):
    """What a browser's subscription says of its keys."""

    p256dh: bytes  # public key, an uncompressed point
    auth: bytes


def encrypt(
    message: bytes,
    browser: BrowserKeys,
    salt: bytes | None = None,
    own: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """Return the body that only this browser can read. Salt and own key are new for every message;
    given, they repeat a known answer. Raises ValueError for keys that are none, or a message of
    more than MOST_BYTES."""
    if len(message) > MOST_BYTES:
        raise ValueError(f"{len(message)} bytes are more than {MOST_BYTES}")
    salt, own = salt or os.urandom(SALT), own or ec.generate_private_key(_CURVE)
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, browser.p256dh)
    point = public_point(own.public_key())
    secret = own.exchange(ec.ECDH(), theirs)
    info = b"WebPush: info\0" + browser.p256dh + point
    shared = _derived(secret, browser.auth, info, 32)
    key = _derived(shared, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(shared, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + RECORD.to_bytes(4, "big") + bytes([len(point)]) + point
    return header + AESGCM(key).encrypt(nonce, message + b"\x02", None)


def authorization(
    endpoint: str, key: ec.EllipticCurvePrivateKey, contact: str, now_s: float
) -> str:
    """Return the Authorization header for a push service. `contact`: an https: or mailto: address,
    at which the service reaches whoever runs this."""
    url = urlsplit(endpoint)
    claims = {"aud": f"{url.scheme}://{url.netloc}", "exp": int(now_s) + TOKEN_S, "sub": contact}
    said = b".".join(
        encoded(json.dumps(part, separators=(",", ":")).encode()).encode()
        for part in ({"typ": "JWT", "alg": "ES256"}, claims)
    )
    r, s = decode_dss_signature(key.sign(said, ec.ECDSA(hashes.SHA256())))
    signature = encoded(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    public = encoded(public_point(key.public_key()))
    return f"vapid t={said.decode()}.{signature}, k={public}"


def public_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return a public key as an uncompressed point."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def encoded(data: bytes) -> str:
    """Encode as base64url without padding, as Web Push writes all bytes."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """Decode base64url with or without padding. Raises ValueError."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)
