"""System alarm for a processor that breaks down repeatedly, so that its patients are not monitored.
It is shown and notified like every alarm."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable

from ingest.clock import Clock
from ingest.messages import Alarm, encode
from ingest.topics import ALARMS

log = logging.getLogger(__name__)
AFTER = 3  # breakdowns in a row
STEADY_S = 60.0  # a worker that has run for this long counts as steady
SEND_S = 10.0


class CrashLoop:
    """Counts the breakdowns of a supervisor's workers."""

    def __init__(self, send: Callable[[Alarm], None], clock: Clock) -> None:
        self._send, self._clock = send, clock
        self._in_a_row = 0
        self._since_ns = 0

    def broke_down(self, code: int) -> None:
        """Record that a worker ended with this exit status before it was steady. From the AFTER-th
        time on the alarm is sent each time, because the broker may not have taken the last one."""
        self._in_a_row += 1
        if self._in_a_row == 1:
            self._since_ns = self._clock.now_ns()
        if self._in_a_row >= AFTER:
            self._report(f"{self._in_a_row} times in a row, exit status {code}")

    def steady(self) -> None:
        """Record that a worker is steady, or no longer wanted: the alarm ends."""
        if self._in_a_row >= AFTER:
            self._report("", ended=True)
        self._in_a_row = 0

    def _report(self, detail: str, *, ended: bool = False) -> None:
        from stream_processor.pipeline.alarms.catalogue import CATALOGUE
        from stream_processor.system_alarms import system_alarm

        row, who = CATALOGUE["processor_down"], f"{socket.gethostname()}, process {os.getpid()}"
        text = f"{row.text.format(detail=who)}{': ' if detail else ''}{detail}; {row.remedy}"
        self._send(
            system_alarm("processor_down", self._since_ns, self._clock.now_ns(), text, ended=ended)
        )


def sender(broker: str) -> Callable[[Alarm], None]:
    """Return a function that sends to ecg.alarms; if the broker does not answer, it logs a line."""

    def send(alarm: Alarm) -> None:
        import confluent_kafka  # no supervisor of healthy workers needs it

        from ingest.kafka_access import librdkafka

        settings = {"partitioner": "murmur2_random", "acks": "all", "log_level": 2}
        producer = confluent_kafka.Producer({**librdkafka(broker), **settings})
        producer.produce(ALARMS.name, encode(alarm), alarm.patient_id.encode())
        if producer.flush(SEND_S):
            log.warning("Kafka does not answer, so this alarm is not sent: %s", alarm.text)
            producer.purge()

    return send
