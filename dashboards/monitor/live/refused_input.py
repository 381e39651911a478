"""What ecgwatch refused lately, as the messages on ecg.dead-letter tell: input that nobody could read
or that would break the ward, and events that the store will never take."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Literal, NamedTuple

from dashboards.monitor.live.views import View
from ingest import topics
from ingest.bounds import name_problem

LASTS_S = 3600.0  # how long the page speaks of it
KEPT = 10_000  # refusals at most; of more, the oldest are no longer counted on the page
NAMED = 3  # patients
What = Literal["signal", "action", "event"]
_WHAT: dict[str, What] = {topics.SAMPLES.name: "signal", topics.ACKS.name: "action"}


class RefusedInput(NamedTuple):
    """A dead letter. `patient_id` is "" if its key cannot be one."""

    patient_id: str
    what: What
    reason: str


class RefusedInputs:
    """The refusals of the last hour, and their number since the start."""

    def __init__(self) -> None:
        self.total = 0
        self._recent: deque[tuple[float, RefusedInput]] = deque(maxlen=KEPT)

    def add(self, refused: RefusedInput, at_s: float) -> None:
        """Count one, which arrived at this time of the steady clock."""
        self.total += 1
        self._recent.append((at_s, refused))

    def view(self, now_s: float) -> View | None:
        """Return what the page shows: the number, the newest patients and the newest reason; None
        if nothing was refused within the last hour."""
        while self._recent and self._recent[0][0] < now_s - LASTS_S:
            self._recent.popleft()
        if not self._recent:
            return None
        newest_first = [refused for _, refused in reversed(self._recent)]
        patients = dict.fromkeys(one.patient_id for one in newest_first if one.patient_id)
        return {
            "count": len(newest_first),
            "patients": list(patients)[:NAMED],
            "others": max(0, len(patients) - NAMED),
            "what": newest_first[0].what,
            "reason": newest_first[0].reason,
        }


def refused_input(key: bytes | None, headers: Mapping[str, bytes]) -> RefusedInput:
    """Read a dead letter by its key and headers, which may be anybody's."""
    patient = (key or b"").decode(errors="replace")
    if name_problem("patient_id", patient) is not None:
        patient = ""
    topic = headers.get("topic", b"").decode(errors="replace")
    reason = headers.get("reason", b"").decode(errors="replace")
    return RefusedInput(patient, _WHAT.get(topic, "event"), reason[:200])
