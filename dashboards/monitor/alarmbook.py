"""What is alarming at one patient: the last step of each alarm decides, and a latching one stands until it is acknowledged.

Acknowledgements are still to come; until then a latched alarm stands until its kind alarms again or the monitor forgets the patient.
"""

from __future__ import annotations

from collections.abc import Iterable

from ingest.messages import Alarm

from .views import urgency

KEPT = 60


class AlarmBook:
    """The standing alarms and the most recent ones of a patient."""

    def __init__(self) -> None:
        self._recent: dict[str, Alarm] = {}
        self._standing: dict[str, Alarm] = {}

    def put(self, alarm: Alarm) -> None:
        """Take the next step of an alarm."""
        self._recent.pop(alarm.id, None)
        self._recent[alarm.id] = alarm
        if alarm.step != "end" or alarm.latching:
            self._standing[alarm.id] = alarm
        else:
            self._standing.pop(alarm.id, None)
        self._one_per_kind()
        while len(self._recent) > KEPT:
            self._recent.pop(next(iter(self._recent)))

    def load(self, stored: Iterable[Alarm], stream_start_ns: int) -> None:
        """Add what the store knows and the topics no longer bring. What a topic brought meanwhile is newer and stays.

        An alarm from before this stream that never got its end stands only if it latches: its condition cannot hold any more.
        """
        newer = list(self._recent.values())
        self._recent.clear()
        known = {alarm.id for alarm in newer}
        for alarm in stored:
            if alarm.id in known:
                continue
            self._recent[alarm.id] = alarm
            if alarm.latching or (alarm.step != "end" and alarm.onset_ns >= stream_start_ns):
                self._standing[alarm.id] = alarm
        self._recent |= {alarm.id: alarm for alarm in newer}
        self._one_per_kind()
        for id_ in list(self._recent)[: max(0, len(self._recent) - KEPT)]:
            del self._recent[id_]

    def _one_per_kind(self) -> None:
        """Of alarms of a kind that are over and latched only the newest stands, and none while the kind holds again."""
        newest: dict[str, tuple[bool, int]] = {}
        for alarm in self._standing.values():
            newest[alarm.kind] = max(newest.get(alarm.kind, (False, 0)), (alarm.step != "end", alarm.onset_ns))
        self._standing = {id_: a for id_, a in self._standing.items() if a.step != "end" or newest[a.kind] == (False, a.onset_ns)}

    def new_stream(self) -> None:
        """The patient's stream starts again: whatever does not latch belonged to the one before."""
        self._standing = {id_: alarm for id_, alarm in self._standing.items() if alarm.latching}

    def standing(self) -> list[Alarm]:
        """Announced alarms that hold or are latched, worst first."""
        return sorted((alarm for alarm in self._standing.values() if alarm.announced), key=urgency)

    def all(self) -> list[Alarm]:
        """Standing and recent alarms, newest onset first, also those that were not announced."""
        return sorted((self._recent | self._standing).values(), key=lambda alarm: -alarm.onset_ns)
