"""Two senders for one person: the one that is refused, and the alarm that names both.

A sender that was told to stop may take a moment to hear it; one that still sends after GRACE_S is a
second sender. From then on the holder's chunks carry a fault, which the processor raises as a technical
alarm, until the rival has been quiet for QUIET_S.
"""

from __future__ import annotations

from typing import NamedTuple

from ingest.clock import Clock

GRACE_S = 5.0
QUIET_S = 30.0


class _Rival(NamedTuple):
    text: str
    first_s: float
    last_s: float


class RefusedSenders:
    """The newest refused sender of each person."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rivals: dict[str, _Rival] = {}

    def refused(self, patient_id: str, rival: str, holder: str) -> None:
        """Record that a chunk of the rival was refused."""
        now, text = (
            self._clock.steady_s(),
            f"two senders: {holder} holds the stream, {rival} is refused",
        )
        known = self._rivals.get(patient_id)
        fresh = known is None or known.text != text or now - known.last_s > QUIET_S
        self._rivals[patient_id] = _Rival(
            text, now if fresh or known is None else known.first_s, now
        )

    def fault(self, patient_id: str) -> str:
        """Return the fault for the holder's chunks that names the rival; "" if there is no
        rival."""
        rival = self._rivals.get(patient_id)
        if rival is None:
            return ""
        if self._clock.steady_s() - rival.last_s > QUIET_S:
            del self._rivals[patient_id]
            return ""
        return rival.text if rival.last_s - rival.first_s >= GRACE_S else ""
