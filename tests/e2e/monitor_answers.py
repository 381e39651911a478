"""In the stream processor's place: takes what people do from ecg.acks and answers on ecg.alarms, so
that the page's tests need no network.

The true answers are tested in tests/integration/processor/test_actions.py.
"""

from __future__ import annotations

import threading

import confluent_kafka
import msgspec

from ingest.messages import Action, Alarm, AlarmKind, LimitChange, Orders, Switch, decode
from ingest.topics import ACKS
from stream_processor.pipeline.alarms.profiles import ADULT, LIMITS
from tests.e2e.monitor_fakes import Ward

_Told = tuple[dict[str, float], dict[str, LimitChange], dict[AlarmKind, Switch]]


class Answers:
    """Acknowledges and silences the alarms that it is told of, while it is entered."""

    def __init__(self, streams: Ward, broker: str, alarms: list[Alarm]) -> None:
        self.streams = streams
        self.alarms = {alarm.id: alarm for alarm in alarms}
        self.taken: list[Action] = []
        self._orders: dict[str, _Told] = {}
        settings = {
            "bootstrap.servers": broker,
            "group.id": "answers",
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
        self._consumer = confluent_kafka.Consumer(settings)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Answers:
        for alarm in self.alarms.values():
            self.streams.send(alarm)
        partitions = self._consumer.list_topics(ACKS.name, timeout=30).topics[ACKS.name].partitions
        self._consumer.assign([confluent_kafka.TopicPartition(ACKS.name, k, 0) for k in partitions])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            record = self._consumer.poll(0.05)
            if record is not None and not record.error():
                self._take(decode(record.value() or b"", Action))

    def _take(self, action: Action) -> None:
        self.taken.append(action)
        self._order(action)
        for alarm in list(self.alarms.values()):
            changed = self._changed(alarm, action)
            if changed:
                self.alarms[alarm.id] = changed
                self.streams.send(changed)

    def _order(self, action: Action) -> None:
        """Report the orders in force, as the alarm life cycle does."""
        patient = action.patient_id
        silenced, changed, switched = self._orders.setdefault(patient, ({}, {}, {}))
        if action.action == "silence":
            silenced[action.kind] = action.seconds or 0.0
        elif action.action == "resume":
            silenced.clear()
        elif action.action == "limits":
            for name, value in action.limits.items():
                changed.pop(name, None)
                if value is not None:
                    changed[name] = LimitChange(value, action.time_ns, action.by)
            for kind, on in action.switches.items():
                switched.pop(kind, None)
                if on is not None:
                    switched[kind] = Switch(on, action.time_ns, action.by)
        defaults = {name: float(getattr(ADULT, name)) for name in LIMITS}
        limits = defaults | {name: change.value for name, change in changed.items()}
        self.streams.send(
            Orders(
                patient_id=patient,
                now_ns=action.time_ns,
                silenced=dict(silenced),
                limits=limits,
                defaults=defaults,
                changed=dict(changed),
                off=tuple(kind for kind, switch in switched.items() if not switch.on),
                default_off=(),
                switched=dict(switched),
            )
        )

    def _changed(self, alarm: Alarm, action: Action) -> Alarm | None:
        if alarm.patient_id != action.patient_id:
            return None
        if action.action == "acknowledge" and action.alarm_id in ("", alarm.id):
            return msgspec.structs.replace(
                alarm,
                step="acknowledged",
                acknowledged_ns=action.time_ns,
                acknowledged_by=action.by,
            )
        if action.action == "escalate" and action.alarm_id == alarm.id:
            return msgspec.structs.replace(alarm, step="escalated", level=alarm.level + 1)
        if action.kind not in ("", alarm.kind) or alarm.priority == "high":
            return None
        if action.action == "silence":
            return msgspec.structs.replace(
                alarm,
                step="silenced",
                silenced_until_ns=action.time_ns + round((action.seconds or 0) * 1e9),
            )
        return (
            msgspec.structs.replace(alarm, step="update", silenced_until_ns=None)
            if action.action == "resume"
            else None
        )
