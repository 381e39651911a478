"""A call that happens once."""

from __future__ import annotations

from collections.abc import Callable


class Once:
    """Calls a function once, however often it is called itself."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def __call__(self) -> None:
        if self._call is not None:
            call, self._call = self._call, None
            call()
