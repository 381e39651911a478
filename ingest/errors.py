"""Every error of the product, grouped by its consequence. Those that a person can remedy:

EcgwatchError            what is wrong and what to do; the command line prints both and exits
|- BadInputError         a record, file, setting or option that cannot be used           exit 1
|- UnreachableError      a broker, database or site that does not answer                 exit 3
`- ChildError            a part of the demo has ended by itself (ecgwatch/demo.py)       exit 1

Answered to the client, with a status and a remedy:

RefusedError             a request that the monitor does not carry out
`- IngestRefusedError    samples that the ingest server does not take (ingest/server/refusals.py)
TooManyAttemptsError     too many wrong tokens (dashboards/monitor/http/access.py)
WireError                a body that the ingest server would refuse (ingest/wire.py)

Set aside and counted, while everything else continues:

BadMessageError          not a valid message: to the dead-letter topic (ingest/messages/codec.py)
BatchRefusedError        events that the store will never accept (stream_processor/sinks/refusals.py)
BadPacketError           not a valid packet of this device (ingest/gateway/base.py)
KafkaRefusedError        a message that Kafka will never accept (ingest/server/outlet.py)

Retried, or started again:

SinkBusyError            the store accepts nothing at present (stream_processor/sinks/base.py)
LinkError                a device's link was lost (ingest/gateway/base.py)
RestartedError           a device's clock started again (ingest/gateway/timing/device_clock.py)
ClockSetError            the wall clock was set (ingest/gateway/timing/wall_clock.py)

The process ends without a commit, and its successor continues from the last one:

EventProducerError       a message was abandoned (stream_processor/kafka/event_producer.py)
NotifierError            the broker dropped the notifier (stream_processor/notifications/writer.py)
WardBrokeError           the pipeline failed on one input (stream_processor/worker/guarded_ward.py)
StalledError             the process was paused for too long
(stream_processor/worker/stall_guard.py)

Anything else is a defect and crashes.
"""

from __future__ import annotations

from collections.abc import Mapping


class EcgwatchError(Exception):
    """An error for a person: what is wrong, naming the input, and what to do about it."""

    exit_code = 1

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}\n{remedy}")
        self.problem = problem
        self.remedy = remedy


class BadInputError(EcgwatchError):
    """A record, a file, a setting or an option that cannot be used."""


class UnreachableError(EcgwatchError):
    """A broker, a database or a site that does not answer."""

    exit_code = 3


class RefusedError(Exception):
    """A refused request: the HTTP status, what is wrong, and what to do."""

    def __init__(
        self, status: int, problem: str, remedy: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(problem)
        self.status, self.problem, self.remedy, self.headers = status, problem, remedy, headers
