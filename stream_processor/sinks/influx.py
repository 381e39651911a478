"""Events in InfluxDB 2: explicit batches with the synchronous write API, and Flux queries a few hours at a time.

We do not use influxdb-client's batching: its flush() does nothing and it drops what it could not write (its issues 80, 165, 504).
How events become points is in influx_lines.py.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import urllib3.exceptions
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.dialect import Dialect
from influxdb_client.rest import ApiException

from ingest.messages import Alarm, Event
from stream_processor.sinks import influx_lines as lines
from stream_processor.sinks.base import FOREVER_NS, KINDS, E, SinkBusyError, event_time, identity
from stream_processor.sinks.queued import QueuedSink
from stream_processor.sinks.refusals import RefusedError

PAGE_NS = 6 * 3600 * 10**9
TIMEOUT_S = 10.0
RETRY_AFTER_S = (0.25, 0.75)  # within one flush; the caller tries again later and longer
MIN_NS, MAX_NS = -(2**63) + 2, 2**63 - 2  # what InfluxDB can hold
BAD_POINTS = {400, 413, 422}
NAMES = "Are ECGWATCH_INFLUX_ORG and ECGWATCH_INFLUX_BUCKET right? Make the bucket if there is none."
REMEDY = {
    400: NAMES,
    401: "Is ECGWATCH_INFLUX_TOKEN right?",
    403: "May this token write to and read from the bucket?",
    404: NAMES,
}
T = TypeVar("T")


class InfluxSink(QueuedSink):
    """A Sink on one bucket. Connects with the first flush or read."""

    def __init__(self, url: str, token: str, org: str, bucket: str, sleep: Callable[[float], None] = time.sleep) -> None:
        super().__init__()
        self._url, self._org, self._bucket, self._sleep = url, org, bucket, sleep
        self._client = InfluxDBClient(url=url, token=token, org=org, timeout=round(TIMEOUT_S * 1000))
        self._writer = self._client.write_api(write_options=SYNCHRONOUS)

    def patients(self) -> list[str]:
        ours = " or ".join(f'r._measurement == "{lines.measurement(kind)}"' for kind in KINDS)
        flux = f"""import "influxdata/influxdb/schema"
            schema.tagValues(bucket: {_quote(self._bucket)}, tag: "patient", predicate: (r) => {ours},
                start: time(v: {MIN_NS}), stop: time(v: {MAX_NS}))"""
        return sorted(lines.unquoted(row["_value"]) for row in self._query(flux))

    def read(self, kind: type[E], patient_id: str, start_ns: int = 0, end_ns: int = FOREVER_NS) -> Iterator[E]:
        spread = len(lines.ALARM_KINDS) if kind is Alarm else 0  # points of alarms lie up to so many ns after their onset
        at, stop = max(start_ns, MIN_NS), min(end_ns + spread, MAX_NS + 1)
        points = f'r._measurement == "{lines.measurement(kind)}" and r.patient == {_quote(lines.quoted(patient_id))}'
        while (first := self._first(points, at, stop)) is not None:
            at = min(first + PAGE_NS, stop)
            pivot = '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
            page = [lines.event(kind, row) for row in self._query(self._select(points, first, at) + pivot)]
            yield from sorted((e for e in page if start_ns <= event_time(e) < end_ns), key=identity)

    def check(self) -> str:
        version = self._ask(self._client.version)
        found = self._ask(lambda: self._client.buckets_api().find_bucket_by_name(self._bucket))  # type: ignore[no-untyped-call]
        if found is None:
            raise SinkBusyError(f"InfluxDB {version} at {self._url} has no bucket {self._bucket!r}. {NAMES}")
        return f"InfluxDB {version} at {self._url}, org {self._org}, bucket {self._bucket}"

    def close(self) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def _write(self, batch: Sequence[Event]) -> None:
        data = "\n".join([lines.line(event) for event in batch])
        try:
            record = data.encode()
        except UnicodeEncodeError as error:
            raise RefusedError(str(error)) from error
        for pause_s in (*RETRY_AFTER_S, None):
            try:
                self._writer.write(self._bucket, self._org, record)
                return
            except ApiException as error:
                if error.status in BAD_POINTS:
                    raise RefusedError(_reason(error)) from error
                problem: Exception = error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                problem = error
            if pause_s is None or (isinstance(problem, ApiException) and problem.status in REMEDY):
                raise self._busy(problem) from problem
            self._sleep(pause_s)

    def _select(self, points: str, start_ns: int, stop_ns: int) -> str:
        return f"""from(bucket: {_quote(self._bucket)}) |> range(start: time(v: {start_ns}), stop: time(v: {stop_ns}))
            |> filter(fn: (r) => {points})"""

    def _first(self, points: str, start_ns: int, stop_ns: int) -> int | None:
        """The time of the first of these points. Finding it is cheap, and spares a query for every empty page."""
        if start_ns >= stop_ns:
            return None
        rows = self._query(self._select(f'{points} and r._field == "none"', start_ns, stop_ns) + "|> first()")
        return min((lines.nanoseconds(row["_time"]) for row in rows), default=None)

    def _query(self, flux: str) -> Iterator[dict[str, str]]:
        """The rows of all tables of a query's answer, as they come."""
        dialect = Dialect(header=True, annotations=[], delimiter=",", date_time_format="RFC3339Nano")  # type: ignore[no-untyped-call]
        answer = self._ask(lambda: self._client.query_api().query_raw(flux, dialect=dialect))
        header: list[str] = []
        table = csv.reader(io.TextIOWrapper(answer, encoding="utf-8", newline=""))
        try:
            for row in table:
                if not row or row == [""]:
                    header = []
                elif not header:
                    header = row
                elif header[1:2] == ["error"]:
                    raise SinkBusyError(f"InfluxDB at {self._url} ended a query: {row[1]}")
                else:
                    yield dict(zip(header, row, strict=True))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._busy(error) from error
        finally:
            answer.close()

    def _ask(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise self._busy(error) from error

    def _busy(self, error: Exception) -> SinkBusyError:
        if isinstance(error, ApiException):
            return SinkBusyError(f"InfluxDB at {self._url}: {_reason(error)}. {REMEDY.get(error.status, 'Look at its log.')}")
        return SinkBusyError(f"InfluxDB at {self._url} does not answer: {error}. Is it running, and is the URL right?")


def _reason(error: Any) -> str:
    return f"{error.status} {error.reason}: {error.message or ''}".strip(": ")


def _quote(text: str) -> str:
    """A Flux string literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'
