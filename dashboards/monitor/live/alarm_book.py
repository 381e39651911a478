"""The alarms of one patient: the last step of each alarm decides whether it stands
(Alarm.standing)."""

from __future__ import annotations

from collections.abc import Iterable

from dashboards.monitor.live.views import urgency
from ingest.messages import Alarm

KEPT = 60


class AlarmBook:
    """The standing alarms and the most recent ones of a patient."""

    def __init__(self) -> None:
        self._recent: dict[str, Alarm] = {}
        self._standing: dict[str, Alarm] = {}

    def get(self, alarm_id: str) -> Alarm | None:
        """The alarm of this id, if it stands or is recent."""
        return self._standing.get(alarm_id) or self._recent.get(alarm_id)

    def put(self, alarm: Alarm) -> None:
        """Add the next step of an alarm."""
        self._recent.pop(alarm.id, None)
        self._recent[alarm.id] = alarm
        self._stand(alarm)
        self._one_per_kind()
        while len(self._recent) > KEPT:
            self._recent.pop(next(iter(self._recent)))

    def load(self, stored: Iterable[Alarm], stream_start_ns: int) -> None:
        """Add alarms that the store has and the topics no longer deliver. Steps that a topic
        delivered meanwhile are newer and stay.

        An alarm from before this stream that never got its end stands only if it latches, because
        its condition cannot hold any more.
        """
        newer = list(self._recent.values())
        self._recent.clear()
        known = {alarm.id for alarm in newer}
        for alarm in stored:
            if alarm.id in known:
                continue
            self._recent[alarm.id] = alarm
            if alarm.latching or alarm.onset_ns >= stream_start_ns:
                self._stand(alarm)
        self._recent |= {alarm.id: alarm for alarm in newer}
        self._one_per_kind()
        for id_ in list(self._recent)[: max(0, len(self._recent) - KEPT)]:
            del self._recent[id_]

    def end_stream(self) -> None:
        """Note that the patient's stream has ended: an alarm that still holds and does not latch is
        dropped (stream_processor/pipeline/alarms/lifecycle.py)."""
        self._standing = {
            id_: a for id_, a in self._standing.items() if a.latching and a.acknowledged_ns is None
        }

    def stands(self, alarm_id: str) -> bool:
        """True if the alarm is shown as standing."""
        return alarm_id in self._standing

    def standing(self) -> list[Alarm]:
        """The alarms that need attention, or are acknowledged and still hold, most urgent first."""
        return sorted(self._standing.values(), key=urgency)

    def worst(self) -> Alarm | None:
        """The most urgent standing alarm."""
        return min(self._standing.values(), key=urgency, default=None)

    def all(self) -> list[Alarm]:
        """Standing and recent alarms, newest onset first, also those that were not announced."""
        return sorted((self._recent | self._standing).values(), key=lambda alarm: -alarm.onset_ns)

    def _stand(self, alarm: Alarm) -> None:
        if alarm.standing:
            self._standing[alarm.id] = alarm
        else:
            self._standing.pop(alarm.id, None)

    def _one_per_kind(self) -> None:
        """Keep, of latched alarms of a kind that are over, only the newest, and none while the kind
        holds again."""
        newest: dict[str, tuple[bool, int]] = {}
        for alarm in self._standing.values():
            newest[alarm.kind] = max(
                newest.get(alarm.kind, (False, 0)), (alarm.end_ns is None, alarm.onset_ns)
            )
        self._standing = {
            id_: a
            for id_, a in self._standing.items()
            if a.end_ns is None or newest[a.kind] == (False, a.onset_ns)
        }
