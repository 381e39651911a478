"""Web Push: encrypted as RFC 8291 has it, signed as RFC 8292 has it, sent to a real HTTP endpoint and
decrypted there as a browser does."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ingest.clock import ManualClock
from ingest.errors import BadInputError
from stream_processor.notifications.channels import NotificationChannels
from stream_processor.notifications.push_sender import PushSender, payload
from stream_processor.notifications.push_store import PushStore, Subscription, SubscriptionKeys
from stream_processor.notifications.text import NotificationText
from stream_processor.notifications.web_push import (
    MOST_BYTES,
    TOKEN_S,
    BrowserKeys,
    decoded,
    encoded,
    encrypt,
    public_point,
)

# a plug-in of Apprise
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
CURVE = ec.SECP256R1()
NOW_S = 1_790_000_000
NOTE = NotificationText(
    "*** Bed 4: ASYSTOLE 6 s",
    "the whole",
    "failure",
    "Since: 12:00",
    "https://ward.example.org/alarm?patient=Bed%204&id=a",
    "Bed 4:asystole:1",
)


class Browser:
    """The receiving side: keys, and their use."""

    def __init__(self) -> None:
        self.private, self.auth = ec.generate_private_key(CURVE), bytes(range(16))
        self.point = public_point(self.private.public_key())

    def subscription(self, endpoint: str) -> Subscription:
        return Subscription(endpoint, SubscriptionKeys(encoded(self.point), encoded(self.auth)))

    def decrypt(self, body: bytes) -> bytes:
        """Read a body of one record; from RFC 8188 and 8291, not from what is tested."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        point, sealed = body[21 : 21 + length], body[21 + length :]
        assert len(sealed) <= size
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, point)
        info = b"WebPush: info\x00" + self.point + point
        secret = self.private.exchange(ec.ECDH(), theirs)
        ikm = HKDF(hashes.SHA256(), 32, self.auth, info).derive(secret)
        key = HKDF(hashes.SHA256(), 16, salt, b"Content-Encoding: aes128gcm\x00").derive(ikm)
        nonce = HKDF(hashes.SHA256(), 12, salt, b"Content-Encoding: nonce\x00").derive(ikm)
        plain = AESGCM(key).decrypt(nonce, sealed, None).rstrip(b"\x00")
        assert plain[-1:] == b"\x02", "the last record"
        return plain[:-1]


class PushService(ThreadingHTTPServer):
    """A push service on this machine: keeps what it is sent, answers with `status`."""

    daemon_threads = True

    def __init__(self) -> None:
        self.status = 201
        self.got: list[tuple[dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Post)

    def url(self, path: str = "/push/1") -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Post(BaseHTTPRequestHandler):
    server: PushService

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((dict(self.headers.items()), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[PushService]:
    with serving() as made:
        yield made


@contextmanager
def serving() -> Iterator[PushService]:
    server = PushService()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sender_of(store: PushStore) -> PushSender:
    return PushSender(store, "mailto:ward@example.org", ManualClock(NOW_S * 10**9))


def test_the_known_answer_of_rfc_8291() -> None:
    """Appendix A: the same salt and keys give the same body, byte by byte."""
    own = decoded("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
    browser = BrowserKeys(
        decoded(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        ),
        decoded("BTBZMqHH6r4Tts7J_aSIgg"),
    )
    body = encrypt(
        b"When I grow up, I want to be a watermelon",
        browser,
        decoded("DGv6ra1nlYgDCS1FRnbzlw"),
        ec.derive_private_key(int.from_bytes(own, "big"), CURVE),
    )
    assert encoded(body) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
        "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_an_alarm_arrives_encrypted_and_signed(tmp_path: Path, service: PushService) -> None:
    store, browser = PushStore(tmp_path), Browser()
    store.add("Ada", browser.subscription(service.url()))
    assert sender_of(store).send("Ada", NOTE) == ""
    ((headers, body),) = service.got
    assert json.loads(browser.decrypt(body)) == {
        "title": NOTE.title,
        "body": "Since: 12:00",
        "url": NOTE.link,
        "tag": NOTE.tag,
        "urgent": True,
    }
    assert b"ASYSTOLE" not in body
    stranger = Browser()
    stranger.point = browser.point  # knows the public key, and not the private one
    with pytest.raises(InvalidTag):
        stranger.decrypt(body)
    assert (headers["Content-Encoding"], headers["Urgency"]) == ("aes128gcm", "high")
    assert 0 < int(headers["TTL"]) <= 86_400
    assert len(headers["Topic"]) == 32  # the most that RFC 8030 allows

    scheme, _, rest = headers["Authorization"].partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    assert (scheme, parts["k"]) == ("vapid", store.public_key())
    said, _, signature = parts["t"].rpartition(".")
    head, claims = (json.loads(decoded(part)) for part in said.split("."))
    assert head == {"typ": "JWT", "alg": "ES256"}
    assert claims == {
        "aud": f"http://127.0.0.1:{service.server_port}",
        "exp": NOW_S + TOKEN_S,
        "sub": "mailto:ward@example.org",
    }
    public = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decoded(parts["k"]))
    raw = decoded(signature)
    pair = encode_dss_signature(*(int.from_bytes(raw[i : i + 32], "big") for i in (0, 32)))
    public.verify(pair, said.encode(), ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(pair, said.encode() + b"x", ec.ECDSA(hashes.SHA256()))


def test_every_browser_of_a_person_is_told_and_one_that_is_gone_is_forgotten(
    tmp_path: Path,
) -> None:
    store = PushStore(tmp_path)
    with serving() as here, serving() as gone:
        gone.status = 410
        for k, server in enumerate((here, gone, here)):
            store.add("Ada", Browser().subscription(server.url(f"/push/{k}")))
        store.add("Bob", Browser().subscription(here.url("/push/bob")))
        assert sender_of(store).send("Ada", NOTE) == ""
        assert (len(here.got), len(gone.got)) == (2, 1)
        assert [s.endpoint for s in store.of("Ada")] == [
            s.endpoint for s in store.of("Ada") if f":{here.server_port}/" in s.endpoint
        ]
        assert len(store.of("*")) == 3
        assert sender_of(store).send("*", NOTE) == ""
        assert len(here.got) == 5


def test_failures_say_what_is_wrong_and_no_address(tmp_path: Path, service: PushService) -> None:
    store = PushStore(tmp_path)
    sender = sender_of(store)
    assert sender.send("Ada", NOTE) == "no browser of Ada is registered"
    store.add("Ada", Browser().subscription(service.url("/push/secret")))
    service.status = 429
    assert sender.send("Ada", NOTE) == "the push service answered 429"
    assert len(store.of("Ada")) == 1
    store.add("Bob", Browser().subscription("http://127.0.0.1:9/nobody"))
    assert sender.send("Bob", NOTE) == "ConnectError at the push service"


def test_keys_and_browsers_outlive_a_restart_and_a_browser_changes_hands(tmp_path: Path) -> None:
    store, browser = PushStore(tmp_path / "push"), Browser()
    key = store.public_key()
    assert len(urlsafe_b64decode(key + "=")) == 65
    store.add("Ada", browser.subscription("https://push.example.org/1"))
    store.add("Bob", browser.subscription("https://push.example.org/1"))
    again = PushStore(tmp_path / "push")
    assert again.public_key() == key
    assert again.of("Ada") == []
    assert again.of("Bob") == [browser.subscription("https://push.example.org/1")]
    for path in (tmp_path / "push").rglob("*.*"):
        assert path.stat().st_mode & 0o077 == 0, f"others can read {path.name}"
    (tmp_path / "push/vapid.pem").write_text("no key")
    with pytest.raises(BadInputError, match="key of Web Push"):
        again.public_key()


def test_two_programs_that_start_together_have_one_key(tmp_path: Path) -> None:
    keys: list[str] = []
    threads = [
        threading.Thread(target=lambda: keys.append(PushStore(tmp_path).public_key()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_long_text_is_cut_to_what_a_push_service_takes() -> None:
    data = payload(NOTE._replace(short="ä" * 5000))
    assert len(data) <= MOST_BYTES
    assert json.loads(data)["title"] == NOTE.title
    browser = Browser()
    assert browser.decrypt(encrypt(data, BrowserKeys(browser.point, browser.auth))) == data
    with pytest.raises(ValueError, match="more than"):
        encrypt(b"x" * (MOST_BYTES + 1), BrowserKeys(browser.point, browser.auth))


def test_channels_go_by_the_address(tmp_path: Path, service: PushService) -> None:
    store, browser = PushStore(tmp_path), Browser()
    store.add("Ada", browser.subscription(service.url()))
    opened: list[int] = []

    def open_push() -> PushSender:
        opened.append(1)
        return sender_of(store)

    NotificationChannels({"mail": "json://127.0.0.1:9/"}, open_push)
    assert opened == [], "nobody asked for it"
    channels = NotificationChannels(
        {"nurse": "webpush:Ada", "mail": "json://127.0.0.1:9/"}, open_push
    )
    assert channels.send("nurse", NOTE) == ""
    assert len(service.got) == 1
    assert channels.send("mail", NOTE) != ""
    with pytest.raises(BadInputError, match="names nobody"):
        NotificationChannels({"nurse": "webpush:"}, open_push)
