"""Alarms of a signal that came late: marked, so that nobody is called for what is long over.

The only alarm times that come from the wall clock. A processor marks; `annotate` and the tests of
the data path do not, so that the same input gives them the same alarms.
"""

from __future__ import annotations

import msgspec

from ingest.clock import Clock
from ingest.messages import Alarm

BY_THE_CLOCK = {"no_signal"}  # raised because time passes, whenever the signal was


class Lateness:
    """Marks alarms that are raised more than `after_s` after their signal; None: never."""

    def __init__(self, clock: Clock, after_s: float | None) -> None:
        self._clock, self._after_s = clock, after_s

    def marked(self, alarm: Alarm) -> Alarm:
        """Return the step, marked if it is the onset of a late alarm."""
        if self._after_s is None or alarm.step != "onset" or alarm.kind in BY_THE_CLOCK:
            return alarm
        late_s = (self._clock.now_ns() - alarm.raised_ns) / 1e9
        if late_s <= self._after_s:
            return alarm
        return msgspec.structs.replace(alarm, late_s=round(late_s, 1))

    def is_in_time(self, until_ns: int) -> bool:
        """Whether a signal that reaches this time is current, not late."""
        return self._after_s is not None and self._clock.now_ns() - until_ns <= self._after_s * 1e9
