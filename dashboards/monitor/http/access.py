"""Access control: tokens with roles, sessions of browsers, and a limit on guessing.

The tokens file names people or stations and keeps only hashes of their tokens (32 random bytes
each, so a plain SHA-256 is enough):

    [tokens.anna]
    role = "acknowledge"        # view < acknowledge < admin
    sha256 = "..."

Without tokens everybody who reaches the server is admin and has no name: the command allows that
only on the loopback interface.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import tomllib
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from ingest.clock import Clock
from ingest.errors import BadInputError

log = logging.getLogger(__name__)
Role = Literal["view", "acknowledge", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
COOKIE = "ecgwatch_session"
SESSION_S = 30 * 24 * 3600  # a display on the wall stays signed in over a long weekend
MOST_SESSIONS = 1000
LOOK_S = 2.0  # between two reads of the tokens file
FAILURES, WITHIN_S = 10, 60.0  # wrong tokens allowed from one address
_MOST_ADDRESSES = 1000
_NAME = re.compile(r"[\w][\w .@-]{0,63}")


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the tokens file: a role and the hash of a token."""

    role: Role
    sha256: str


class Visitor(NamedTuple):
    """The sender of a request; role None: not signed in."""

    user: str
    role: Role | None

    def may(self, role: Role) -> bool:
        """True if this visitor's role includes the given one."""
        return self.role is not None and ROLES.index(self.role) >= ROLES.index(role)


NOBODY = Visitor("", None)


class TooManyAttemptsError(Exception):
    """Too many wrong tokens from this address; it may try again after `wait_s`."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many wrong tokens")
        self.wait_s = wait_s


class Access:
    """Holds the tokens and the sessions that were opened with them. Sessions live in memory: after
    a restart the page asks for the token again. A token removed from its file is revoked within
    LOOK_S, with the sessions that were opened with it."""

    def __init__(
        self,
        tokens: Mapping[str, Token],
        clock: Clock,
        look_again: Callable[[], Mapping[str, Token]] | None = None,
    ) -> None:
        """`look_again` is called every LOOK_S and returns the valid tokens; if it raises
        BadInputError, the previous tokens stay valid."""
        self._tokens = dict(tokens)
        self._clock, self._look_again = clock, look_again
        self._guarded = bool(tokens)  # stays True when the last token has been revoked
        self._looked_s = clock.steady_s()
        # the visitor, the expiry, and the hash of the token that opened the session
        self._sessions: OrderedDict[bytes, tuple[Visitor, float, str]] = OrderedDict()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    @property
    def needs_token(self) -> bool:
        """True if visitors must present a token."""
        return self._guarded

    def visitor(self, session: str | None, authorization: str | None, address: str) -> Visitor:
        """Identify a visitor by the cookie or by "Authorization: Bearer TOKEN". Raises
        TooManyAttemptsError."""
        if not self._guarded:
            return Visitor("", "admin")
        self._look()
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            return self.recognise(token.strip(), address) if scheme.lower() == "bearer" else NOBODY
        found = self._sessions.get(_digest(session)) if session else None
        if found is None or found[1] <= self._clock.steady_s():
            return NOBODY
        held = self._tokens.get(found[0].user)
        return (
            found[0] if held and (held.sha256, held.role) == (found[2], found[0].role) else NOBODY
        )

    def recognise(self, token: str, address: str) -> Visitor:
        """Return the owner of a token, or NOBODY, in the same time for every wrong token. Raises
        TooManyAttemptsError for a wrong token after many; a right token is never locked out,
        however many others guess from the same address (a proxy's, say). Tokens are random and
        long: their length prevents guessing, not this limit."""
        self._look()
        given, found = _digest(token).hex(), NOBODY
        for name, kept in self._tokens.items():
            if hmac.compare_digest(given, kept.sha256):
                found = Visitor(name, kept.role)
        if found is NOBODY:
            failures = self._recent_failures(address)
            if len(failures) >= FAILURES:
                raise TooManyAttemptsError(WITHIN_S - (self._clock.steady_s() - failures[0]))
            failures.append(self._clock.steady_s())
            self._failures[address] = failures
            while len(self._failures) > _MOST_ADDRESSES:
                self._failures.popitem(last=False)
        return found

    def open_session(self, visitor: Visitor) -> str:
        """Open a session and return the secret for the visitor's cookie."""
        secret = secrets.token_urlsafe(32)
        held = self._tokens.get(visitor.user)
        opened_with = held.sha256 if held else ""
        self._sessions[_digest(secret)] = visitor, self._clock.steady_s() + SESSION_S, opened_with
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return secret

    def close_session(self, secret: str | None) -> None:
        """Sign out."""
        if secret:
            self._sessions.pop(_digest(secret), None)

    def _look(self) -> None:
        """Reload the valid tokens, at most every LOOK_S, and close the sessions of revoked ones."""
        if self._look_again is None or self._clock.steady_s() < self._looked_s + LOOK_S:
            return
        self._looked_s = self._clock.steady_s()
        try:
            self._tokens = dict(self._look_again())
        except BadInputError as error:
            log.warning("%s; the previous tokens still hold", error.problem)

    def _recent_failures(self, address: str) -> deque[float]:
        failures = self._failures.pop(address, deque(maxlen=FAILURES))
        while failures and failures[0] <= self._clock.steady_s() - WITHIN_S:
            failures.popleft()
        if failures:
            self._failures[address] = failures
        return failures


def read_tokens(path: Path, *, may_be_empty: bool = False) -> dict[str, Token]:
    """Read the tokens of a file. Raises BadInputError naming the file, the mistake in it, and the
    remedy."""
    remedy = f"Make a token with: ecgwatch monitor --tokens {path} --new-token NAME --role view|acknowledge|admin"
    try:
        content: Any = tomllib.loads(path.read_text())
        tokens = msgspec.convert(content, _File).tokens
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadInputError(f"tokens file {path}: {error}", remedy) from error
    for name, token in tokens.items():
        if not _NAME.fullmatch(name) or not re.fullmatch("[0-9a-f]{64}", token.sha256):
            raise BadInputError(
                f"tokens file {path}: the name or the sha256 of {name!r} is not one", remedy
            )
    if not tokens and not may_be_empty:
        raise BadInputError(f"tokens file {path} has no tokens", remedy)
    return tokens


def single_token(token: str) -> dict[str, Token]:
    """One admin token without a name, as given in a container's environment. Raises BadInputError
    if it could be guessed."""
    if len(token) < 20:
        raise BadInputError(
            "the monitor's token is shorter than 20 characters",
            "Take 32 random bytes: openssl rand -hex 32",
        )
    return {"": Token("admin", _digest(token).hex())}


def add_token(path: Path, name: str, role: Role) -> str:
    """Make a new token, return its text and add its hash to the file; a missing file is created,
    readable by its owner only.

    Raises BadInputError for a name that is taken or unusable and for a file that cannot be read or
    written.
    """
    if not _NAME.fullmatch(name):
        raise BadInputError(
            f"{name!r} is no name for a token",
            "Take 1 to 64 letters, digits, spaces and . @ - _, beginning with a letter.",
        )
    if path.exists() and name in read_tokens(path):
        raise BadInputError(
            f"{path} already has a token of {name!r}",
            "Remove its section from the file first, or take another name.",
        )
    token = secrets.token_urlsafe(32)
    section = f'[tokens."{name}"]\nrole = "{role}"\nsha256 = "{_digest(token).hex()}"\n'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as file:
            file.write(section)
    except OSError as error:
        raise BadInputError(
            f"cannot write {path}: {error.strerror}", "Give another --tokens file."
        ) from error
    return token


class _File(msgspec.Struct, forbid_unknown_fields=True):
    tokens: dict[str, Token]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
