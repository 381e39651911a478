"""Decides who may send, and how much: device tokens, a limit on guessing, a budget per device."""

from __future__ import annotations

import math
from collections import OrderedDict, deque

from ingest.clock import Clock
from ingest.registry.records import DeviceRecord
from ingest.registry.state import Registry
from ingest.server.refusals import IngestRefusedError

FAILURES, WITHIN_S = 20, 60.0  # wrong tokens from one address
BURST_BYTES, BYTES_PER_S = (
    16 * 1024 * 1024,
    1024 * 1024,
)  # of one device: hours of backlog in seconds
BURST_CALLS, CALLS_PER_S = 400.0, 100.0
_MOST = 4096  # addresses and devices remembered
_LONGEST_TOKEN = 256


class _Budget:
    """A token bucket."""

    def __init__(self, most: float, per_s: float, now: float) -> None:
        self._left, self._most, self._per_s, self._at_s = most, most, per_s, now

    def wait_s(self, cost: float, now: float) -> float:
        """Take the cost and return 0, or take nothing and return how long to wait."""
        self._left = min(self._most, self._left + (now - self._at_s) * self._per_s)
        self._at_s = now
        if cost > self._left:
            return (cost - self._left) / self._per_s
        self._left -= cost
        return 0.0


class Gate:
    """Right tokens are always let in; wrong ones are counted by address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._budgets: OrderedDict[str, tuple[_Budget, _Budget]] = OrderedDict()

    def device(self, registry: Registry, token: str, address: str) -> DeviceRecord:
        """Return the device that has this token. Raises RefusedError 401, or 429 for an address
        that guesses."""
        found = registry.device_of(token) if 0 < len(token) <= _LONGEST_TOKEN else None
        if found is not None:
            return found
        now = self._clock.steady_s()
        failures = self._failures.setdefault(address, deque(maxlen=FAILURES))
        self._failures.move_to_end(address)
        while len(self._failures) > _MOST:
            self._failures.popitem(last=False)
        while failures and failures[0] <= now - WITHIN_S:
            failures.popleft()
        if len(failures) >= FAILURES:
            wait_s = WITHIN_S - (now - failures[0])
            raise IngestRefusedError(
                429, "too many wrong tokens", "Wait, then send the right one.", retry_after_s=wait_s
            )
        failures.append(now)
        raise IngestRefusedError(
            401,
            "no device has this token, or it was revoked" if token else "there is no token",
            "Send the token of `ecgwatch devices add` as Authorization: Bearer TOKEN.",
        )

    def charge(self, device_id: str, size: int) -> None:
        """Charge a device for one call with a body of `size` bytes. Raises RefusedError 429 if it
        sends too much."""
        now = self._clock.steady_s()
        budgets = self._budgets.get(device_id)
        if budgets is None:
            budgets = _Budget(BURST_BYTES, BYTES_PER_S, now), _Budget(BURST_CALLS, CALLS_PER_S, now)
            self._budgets[device_id] = budgets
            while len(self._budgets) > _MOST:
                self._budgets.popitem(last=False)
        wait_s = max(budgets[0].wait_s(size, now), budgets[1].wait_s(1, now))
        if wait_s > 0:
            raise IngestRefusedError(
                429,
                f"device {device_id!r} sends too much at once",
                f"Send at most {BYTES_PER_S // 1024} KiB and {CALLS_PER_S:.0f} requests a second.",
                retry_after_s=math.ceil(wait_s),
            )


def bearer(authorization: str | None) -> str:
    """The token of an Authorization header; "" if there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
