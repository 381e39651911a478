"""Addresses as they may be shown: no log line, error or page prints a password or a token."""

from __future__ import annotations

import re

STARS = "********"
# everything up to the last @ before the path: an unescaped password may hold @ and : itself
_LOGIN = re.compile(r"(?P<scheme>\w+://)(?P<user>[^:/?#@]*):[^/?#]*@")
_QUERY = re.compile(r"(?P<name>[?&](?:token|password|secret|api_?key)=)[^&#]*", re.IGNORECASE)


def redacted(text: str) -> str:
    """The text with the passwords and tokens of its URLs starred out."""
    return _QUERY.sub(rf"\g<name>{STARS}", _LOGIN.sub(rf"\g<scheme>\g<user>:{STARS}@", text))
