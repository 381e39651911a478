"""Who may do what: every route by every role, tokens, sessions, foreign pages, and the file of
tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from dashboards.monitor.http import server
from dashboards.monitor.http.access import (
    COOKIE,
    FAILURES,
    SESSION_S,
    WITHIN_S,
    Access,
    Role,
    Token,
    add_token,
    read_tokens,
    single_token,
)
from dashboards.monitor.http.server import ENDPOINTS
from ingest.clock import ManualClock
from ingest.errors import BadInputError
from tests.unit.dashboards.monitor_bench import (
    LIVE,
    NOW,
    ORIGIN,
    Bench,
    alarm,
    beat,
    chunk,
    ms,
    next_of,
    running,
)

SECRETS = {"view": "v" * 43, "acknowledge": "k" * 43, "admin": "a" * 43}
TOKENS = {
    name: Token(name, hashlib.sha256(secret.encode()).hexdigest())
    for name, secret in SECRETS.items()
}  # type: ignore[arg-type]
ROLES: list[Role | None] = [None, "view", "acknowledge", "admin"]
PERIOD = {"from": ms(0), "to": ms(60)}
PUSH = {"subscription": {"endpoint": "https://x.example/", "keys": {"p256dh": "", "auth": ""}}}
EDIT = {"target": "beat", "target_id": str(NOW), "at": ms(0), "said": "N", "verdict": "confirmed"}

# What is asked, and what each role gets: nobody, view, acknowledge, admin.
MATRIX: list[tuple[str, str, dict[str, Any], tuple[int, int, int, int]]] = [
    ("GET", "/", {}, (200, 200, 200, 200)),
    ("GET", "/patient", {}, (200, 200, 200, 200)),
    ("GET", "/healthz", {}, (200, 200, 200, 200)),
    ("GET", "/static/core/app.js", {}, (200, 200, 200, 200)),
    ("GET", "/api", {}, (200, 200, 200, 200)),
    ("GET", "/openapi.json", {}, (200, 200, 200, 200)),
    ("GET", "/api/session", {}, (200, 200, 200, 200)),
    ("GET", "/api/words", {}, (200, 200, 200, 200)),
    ("DELETE", "/api/session", {}, (204, 204, 204, 204)),
    ("GET", "/api/patients", {}, (401, 200, 200, 200)),
    ("GET", "/worklist", {}, (200, 200, 200, 200)),
    ("GET", "/alarm", {}, (200, 200, 200, 200)),
    ("GET", "/service-worker.js", {}, (200, 200, 200, 200)),
    ("GET", "/api/alarms", {}, (401, 200, 200, 200)),
    ("GET", "/api/alarms.csv", {}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/alarms", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/rhythm", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/beats", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/trend", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/waveform", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/strip", {"params": {"alarm": "p:pause:5"}}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/reasons", {"params": {"at": "5"}}, (401, 404, 404, 404)),
    ("GET", "/api/patients/p/limits", {}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/actions", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/edits", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/journal", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/findings", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/measures", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/patients/p/burden", {"params": PERIOD}, (401, 200, 200, 200)),
    (
        "POST",
        "/api/patients/p/journal",
        {"json": {"at": 5, "kind": "note", "text": "dizzy"}},
        (401, 403, 202, 202),
    ),
    ("GET", "/api/patients/p/report", {"params": PERIOD}, (401, 200, 200, 200)),
    ("GET", "/api/edits.csv", {"params": PERIOD}, (401, 200, 200, 200)),
    ("POST", "/api/patients/p/actions", {"json": {"action": "acknowledge"}}, (401, 403, 202, 202)),
    (
        "POST",
        "/api/patients/p/actions",
        {"json": {"action": "silence", "seconds": 60}},
        (401, 403, 202, 202),
    ),
    (
        "POST",
        "/api/patients/p/actions",
        {"json": {"action": "limits", "limits": {"hr_high_bpm": 130}}},
        (401, 403, 403, 202),
    ),
    ("POST", "/api/patients/p/edits", {"json": EDIT}, (401, 403, 202, 202)),
    ("GET", "/api/people", {}, (401, 200, 200, 200)),
    (
        "POST",
        "/api/people",
        {"json": {"step": "add device", "device": "h10"}},
        (401, 403, 403, 202),
    ),
    ("GET", "/api/push", {}, (401, 404, 404, 404)),  # nobody is told by Web Push here
    ("POST", "/api/push", {"json": PUSH}, (401, 403, 400, 400)),
    ("DELETE", "/api/push", {"params": {"endpoint": "x"}}, (401, 403, 404, 404)),
    ("POST", "/api/code", {"json": {"text": "https://ward/join#x"}}, (401, 403, 403, 200)),
]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A monitor that needs tokens."""
    with running(tokens=TOKENS) as bench:
        bench.send(chunk("p"), alarm(), beat(0))
        yield bench


def bearer(role: Role | None) -> dict[str, str]:
    return {"authorization": f"Bearer {SECRETS[role]}"} if role else {}


def sign_in(bench: Bench, role: Role) -> Any:
    return bench.client.post("/api/session", json={"token": SECRETS[role]}, headers=ORIGIN)


@pytest.mark.parametrize(("method", "path", "asked", "answers"), MATRIX)
@pytest.mark.parametrize("role", ROLES)
def test_every_route_by_every_role(
    bench: Bench,
    role: Role | None,
    method: str,
    path: str,
    asked: dict[str, Any],
    answers: tuple[int, ...],
) -> None:
    if "json" in asked:
        asked = asked | {"json": asked["json"] | {"by": role or "nobody"}}
    answer = bench.client.request(method, path, headers=bearer(role), **asked)
    assert answer.status_code == answers[ROLES.index(role)], answer.text
    if answer.status_code in (401, 403):
        assert answer.json()["problem"]
        assert answer.json()["remedy"]
        assert bench.sent == []


def test_the_matrix_holds_every_endpoint() -> None:
    asked = {(method, path.replace("/p/", "/{patient}/")) for method, path, *_ in MATRIX}
    assert {(e.method, e.path) for e in ENDPOINTS} - asked == {("POST", "/api/session")}


def test_without_tokens_everybody_is_admin_and_nobody_is_named() -> None:
    with running() as bench:
        assert bench.client.get("/api/session").json() == {
            "user": "",
            "role": "admin",
            "needs_token": False,
        }
        assert bench.client.post("/api/session", json={"token": "x"}).status_code == 409


# Sessions


def test_a_session_is_opened_by_a_token_and_closed(bench: Bench) -> None:
    assert bench.client.get("/api/session").json() == {
        "user": "",
        "role": None,
        "needs_token": True,
    }
    answer = sign_in(bench, "acknowledge")
    assert answer.json() == {"user": "acknowledge", "role": "acknowledge", "needs_token": True}
    cookie = answer.headers["set-cookie"]
    assert all(
        part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={SESSION_S}")
    )
    assert "Secure" not in cookie
    assert SECRETS["acknowledge"] not in cookie
    assert bench.client.get("/api/patients").status_code == 200
    secret = bench.client.cookies[COOKIE]
    assert bench.client.delete("/api/session", headers=ORIGIN).status_code == 204
    assert COOKIE not in bench.client.cookies
    bench.client.cookies.set(COOKIE, secret)
    assert bench.client.get("/api/patients").status_code == 401, (
        "the session is still open behind the deleted cookie"
    )


def test_behind_tls_the_cookie_is_secure() -> None:
    with running(tokens=TOKENS) as bench:
        bench.client.base_url = "https://127.0.0.1:8050"  # type: ignore[assignment]
        answer = bench.client.post(
            "/api/session",
            json={"token": SECRETS["view"]},
            headers={"origin": "https://127.0.0.1:8050"},
        )
        assert "Secure" in answer.headers["set-cookie"]


def test_a_session_ends_by_itself(bench: Bench) -> None:
    sign_in(bench, "view")
    bench.clock.advance(SESSION_S - 1)
    assert bench.client.get("/api/patients").status_code == 200
    bench.clock.advance(2)
    assert bench.client.get("/api/patients").status_code == 401


@pytest.mark.parametrize(
    "token", ["", "wrong", SECRETS["view"] + "x", SECRETS["view"][:-1], "ä" * 40]
)
def test_a_wrong_token_opens_nothing(bench: Bench, token: str) -> None:
    assert (
        bench.client.post("/api/session", json={"token": token}, headers=ORIGIN).status_code == 401
    )
    assert bench.client.cookies.get(COOKIE) is None


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Basic {SECRETS['admin']}",
        SECRETS["admin"],
        "bearer\tx",
    ],
)
def test_a_wrong_authorization_is_nobody(bench: Bench, header: str) -> None:
    sign_in(bench, "admin")
    assert bench.client.get("/api/patients", headers={"authorization": header}).status_code == 401


@pytest.mark.parametrize("how", ["session", "bearer"])
def test_guessing_is_braked_and_ends(bench: Bench, how: str) -> None:
    def guess(token: str) -> Any:
        if how == "session":
            return bench.client.post("/api/session", json={"token": token}, headers=ORIGIN)
        return bench.client.get("/api/patients", headers={"authorization": f"Bearer {token}"})

    assert [guess(f"{k}").status_code for k in range(FAILURES + 1)] == [401] * FAILURES + [429]
    braked = guess("another")
    assert (braked.status_code, 0 < int(braked.headers["retry-after"]) <= WITHIN_S) == (429, True)
    assert guess(SECRETS["admin"]).status_code == 200, "a right one is never locked out"
    bench.clock.advance(WITHIN_S + 1)
    assert guess("another").status_code == 401


def test_one_address_does_not_brake_another() -> None:
    access = Access(TOKENS, ManualClock())
    for k in range(FAILURES):
        access.recognise(f"{k}", "10.0.0.1")
    assert access.recognise(SECRETS["view"], "10.0.0.2").user == "view"


def test_whoever_is_signed_in_cannot_sign_as_somebody_else(bench: Bench) -> None:
    sign_in(bench, "acknowledge")
    answer = bench.client.post(
        "/api/patients/p/actions", json={"action": "acknowledge", "by": "Eve"}, headers=ORIGIN
    )
    assert (answer.status_code, "Eve" in answer.json()["problem"]) == (403, True)
    assert bench.sent == []


def test_a_token_that_names_nobody_lets_people_sign_their_actions() -> None:
    with running(tokens=single_token("z" * 40)) as bench:
        bench.send(chunk("p"))
        headers = {"authorization": f"Bearer {'z' * 40}"}
        assert bench.client.get("/api/session", headers=headers).json() == {
            "user": "",
            "role": "admin",
            "needs_token": True,
        }
        body = {"action": "acknowledge", "by": "Bert"}
        assert (
            bench.client.post("/api/patients/p/actions", json=body, headers=headers).status_code
            == 202
        )
        assert bench.sent[0].by == "Bert"


# Foreign pages


FOREIGN = [
    "http://evil.example",
    "null",
    "http://127.0.0.1:9999",
    "https://127.0.0.1:8050.evil.example",
    "",
]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("tokens", [{}, TOKENS])
def test_a_foreign_page_cannot_act_through_somebodys_browser(
    origin: str, tokens: dict[str, Token]
) -> None:
    with running(tokens=tokens) as bench:
        bench.send(chunk("p"))
        if tokens:
            sign_in(bench, "admin")
        answer = bench.client.post(
            "/api/patients/p/actions",
            json={"action": "acknowledge", "by": "admin"},
            headers={"origin": origin},
        )
        assert answer.status_code == 403
        assert bench.sent == []


def test_a_cookie_without_an_origin_is_no_program_of_ours(bench: Bench) -> None:
    sign_in(bench, "admin")
    answer = bench.client.post(
        "/api/patients/p/actions", json={"action": "acknowledge", "by": "admin"}
    )
    assert answer.status_code == 403


def test_the_websocket_needs_the_session_too(bench: Bench) -> None:
    with (
        bench.client.websocket_connect(LIVE, headers=ORIGIN) as socket,
        pytest.raises(WebSocketDisconnect) as closed,
    ):
        socket.receive_text()
    assert closed.value.code == 4401
    sign_in(bench, "view")
    with bench.page("p") as socket:
        assert next_of(socket, "patient")["id"] == "p"
    with (
        pytest.raises(WebSocketDisconnect),
        bench.client.websocket_connect(LIVE, headers=ORIGIN | {"origin": "http://evil.example"}),
    ):
        pass


def test_an_open_websocket_ends_with_its_session(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_SESSION_CHECK_S", 0.02)
    sign_in(bench, "view")
    with bench.page("p") as socket:
        next_of(socket, "patient")
        bench.client.delete("/api/session", headers=ORIGIN)
        with pytest.raises(AssertionError, match="4401"):
            next_of(socket, "never")


def test_a_program_may_watch_with_its_token(bench: Bench) -> None:
    with bench.page("p", **bearer("view")) as socket:
        assert next_of(socket, "patient")["id"] == "p"


@pytest.mark.parametrize(
    "path",
    ["/", "/api", "/api/patients", "/nowhere", f"/api/patients/p/report?from={ms(0)}&to={ms(1)}"],
)
def test_every_answer_carries_the_policy(path: str) -> None:
    with running() as bench:
        headers = bench.client.get(path).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_what_is_not_there_is_said_as_everything_else() -> None:
    with running() as bench:
        for method, path, status in (
            ("GET", "/nowhere", 404),
            ("PUT", "/api/patients", 405),
            ("DELETE", "/api/patients/p/actions", 405),
        ):
            answer = bench.client.request(method, path)
            assert (answer.status_code, set(answer.json())) == (status, {"problem", "remedy"})


# The file of tokens


def test_a_new_token_is_told_once_and_its_hash_kept(tmp_path: Path) -> None:
    path = tmp_path / "var" / "tokens.toml"
    told = {
        name: add_token(path, name, role)
        for name, role in [("Anna B.", "acknowledge"), ("ward", "view")]
    }  # type: ignore[arg-type]
    assert len(set(told.values())) == 2
    assert path.stat().st_mode & 0o777 == 0o600
    assert not any(secret in path.read_text() for secret in told.values())
    access = Access(read_tokens(path), ManualClock())
    assert access.recognise(told["Anna B."], "") == ("Anna B.", "acknowledge")
    assert access.recognise(told["ward"], "") == ("ward", "view")
    with pytest.raises(BadInputError, match="already has a token of 'ward'"):
        add_token(path, "ward", "admin")


@pytest.mark.parametrize("name", ["", "x" * 65, 'a"b', "a\nb", "-x", "../x", "[t]"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="no name for a token"):
        add_token(tmp_path / "t", name, "view")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "tokens"),
        ("[tokens]", "no tokens"),
        ("nonsense", "tokens file"),
        ('[tokens.a]\nrole = "king"\nsha256 = "' + "0" * 64 + '"', "king"),
        ('[tokens.a]\nrole = "view"\nsha256 = "abc"', "sha256 of 'a'"),
        ('[tokens.a]\nrole = "view"', "sha256"),
        ('[tokens.a]\nrole = "view"\nsha256 = "' + "0" * 64 + '"\ntoken = "x"', "token"),
        ("[people.a]", "people"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_remedy(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(text)
    with pytest.raises(BadInputError, match=said) as caught:
        read_tokens(path)
    assert str(path) in caught.value.problem
    assert "--new-token" in caught.value.remedy
    with pytest.raises(BadInputError, match=r"none\.toml"):
        read_tokens(tmp_path / "none.toml")


def test_a_single_token_is_admin_and_cannot_be_short() -> None:
    access = Access(single_token("z" * 40), ManualClock())
    assert access.recognise("z" * 40, "") == ("", "admin"), (
        "whoever acts says who it was, as on the loopback"
    )
    with pytest.raises(BadInputError, match="shorter than 20"):
        single_token("secret")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:1", 200),
        ("[::1]:8050", 200),
        ("127.0.0.1", 200),
        ("192.168.1.5", 400),
        ("evil.example", 400),
        ("", 400),
        ("[", 400),
    ],
)
def test_foreign_names_are_refused(host: str, status: int) -> None:
    with running() as bench:
        assert bench.client.get("/healthz", headers={"host": host}).status_code == status
