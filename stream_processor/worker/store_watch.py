"""Tells the ward that the store is away, and that it is back.

Of all processes that store, the one that stores the system's own alarms tells (it has their
partition of ecg.alarms), so that the ward hears it once. Whoever comes after it finds the alarm on
the topic and ends it.
"""

from __future__ import annotations

from typing import Literal

import confluent_kafka
from kafka.partitioner import murmur2

from ingest.bounds import SYSTEM
from ingest.clock import Clock
from ingest.consumers import TIMEOUT_S
from ingest.messages import Alarm
from ingest.topics import ALARMS
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.system_alarms import system_alarm

AWAY_S = 30.0
KIND: Literal["store_away"] = "store_away"


class StoreWatch:
    """Since when the store has been away, and the alarms that say so."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._away: tuple[float, int] | None = None  # since when, by the steady and the wall clock
        self._standing: dict[str, Alarm] = {}

    @property
    def away_s(self) -> float:
        """Seconds for which the store has been away; 0 if it is not."""
        return 0.0 if self._away is None else self._clock.steady_s() - self._away[0]

    def note_seen(self, alarm: Alarm) -> None:
        """Take note of an alarm on the topic, of this process or of an earlier one."""
        if alarm.patient_id == SYSTEM and alarm.kind == KIND:
            if alarm.end_ns is None:
                self._standing[alarm.id] = alarm
            else:
                self._standing.pop(alarm.id, None)

    def alarms(self, stored: bool, consumer: confluent_kafka.Consumer) -> list[Alarm]:
        """Return the step that follows from the store's last answer: the alarm's onset, its end, or
        none."""
        now_s, now_ns = self._clock.steady_s(), self._clock.now_ns()
        if stored:
            self._away = None
            ended = [
                system_alarm(KIND, a.onset_ns, max(now_ns, a.onset_ns), a.text, ended=True)
                for a in self._standing.values()
            ]
            self._standing.clear()
            return ended
        self._away = self._away or (now_s, now_ns)
        since_s, since_ns = self._away
        if now_s - since_s < AWAY_S or self._standing or not _raises_alarms(consumer):
            return []
        alarm = system_alarm(
            KIND, since_ns, now_ns, f"{CATALOGUE[KIND].text}: {CATALOGUE[KIND].remedy}"
        )
        self._standing[alarm.id] = alarm
        return [alarm]


def _raises_alarms(consumer: confluent_kafka.Consumer) -> bool:
    """Whether this process has the partition of the system alarms, and so raises them."""
    found = consumer.list_topics(ALARMS.name, timeout=TIMEOUT_S).topics[ALARMS.name].partitions
    place = (murmur2(SYSTEM.encode()) & 0x7FFFFFFF) % max(len(found), 1)
    return any(tp.topic == ALARMS.name and tp.partition == place for tp in consumer.assignment())
