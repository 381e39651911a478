"""The error that the monitor answers with instead of a result."""

from __future__ import annotations

from collections.abc import Mapping


class RefusedError(Exception):
    """A refused request: the HTTP status, what is wrong, and what to do."""

    def __init__(
        self, status: int, problem: str, remedy: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem)
        self.status, self.problem, self.remedy, self.headers = status, problem, remedy, headers
