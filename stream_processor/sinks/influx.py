"""Event store in InfluxDB 2: explicit batches with the synchronous write API, and Flux queries of a
few hours each.

influxdb-client's own batching is not used: its flush() does nothing, and it drops points that it
could not write (its issues 80, 165, 504). influx_lines.py defines how events become points.
Waveforms go to a bucket of their own with a retention of `waveform_days` by the wall clock.
InfluxDB refuses older waveforms, so they are not stored; this is logged once and stops nothing
else.
"""

from __future__ import annotations

import csv
import io
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

import urllib3.exceptions
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.dialect import Dialect
from influxdb_client.rest import ApiException

from ingest.messages import Stored, Waveform
from ingest.redact import redacted
from stream_processor.sinks import influx_lines as lines
from stream_processor.sinks.base import (
    FOREVER_NS,
    KINDS,
    E,
    Kind,
    SinkBusyError,
    event_time,
    identity,
)
from stream_processor.sinks.queued import QueuedSink
from stream_processor.sinks.refusals import BatchRefusedError

log = logging.getLogger(__name__)
PAGE_NS = 6 * 3600 * 10**9
TIMEOUT_S = 10.0
RETRY_AFTER_S = (0.25, 0.75)  # between attempts within one flush; the caller tries again later
MIN_NS, MAX_NS = -(2**63) + 2, 2**63 - 2  # range of times in InfluxDB
BAD_POINTS = {400, 413, 422}
TOO_OLD = "outside retention policy"
DROPPED = re.compile(r"dropped=(\d+)")
LINES = 20_000  # lines in one request
DAY_S = 86_400
NAMES = (
    "Are ECGWATCH_INFLUX_ORG and ECGWATCH_INFLUX_BUCKET right? Make the bucket if there is none."
)
REMEDY = {
    0: "Does it speak TLS, and does ECGWATCH_INFLUX_CA name who signed its certificate?",
    400: NAMES,
    401: "Is ECGWATCH_INFLUX_TOKEN right?",
    403: "May this token write to and read from the bucket?",
    404: NAMES,
}
T = TypeVar("T")


class InfluxSink(QueuedSink):
    """A Sink on one bucket and a second one for waveforms, which is created if it is missing.
    Connects at the first flush or read."""

    def __init__(
        self,
        url: str,
        token: str,
        org: str,
        bucket: str,
        waveform_bucket: str = "waveform",
        waveform_days: float = 7.0,
        ca: str = "",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__()
        self._org, self._bucket, self._sleep = org, bucket, sleep
        self._shown = redacted(url)  # the URL without secrets, for messages
        self._waveform_bucket, self._waveform_s = waveform_bucket, round(waveform_days * DAY_S)
        self._client = InfluxDBClient(
            url=url, token=token, org=org, timeout=round(TIMEOUT_S * 1000), ssl_ca_cert=ca or None
        )
        self._writer = self._client.write_api(write_options=SYNCHRONOUS)
        self._too_old_logged = False

    def patients(self) -> list[str]:
        found = {
            name
            for bucket in (self._bucket, self._waveform_bucket)
            for name in self._patients(bucket)
        }
        return sorted(found)

    def read(
        self, kind: type[E], patient_id: str, start_ns: int = 0, end_ns: int = FOREVER_NS
    ) -> Iterator[E]:
        # a point may lie up to `spread` ns after its event
        bucket, spread = self._bucket_of(kind), lines.SPREAD_NS[kind]
        points = f'r._measurement == "{lines.measurement(kind)}" and r.patient == {_quote(lines.quoted(patient_id))}'
        at, end = max(start_ns, MIN_NS), min(end_ns, MAX_NS + 1)
        while at < end and (first := self._first(bucket, points, at, end + spread)) is not None:
            begin = max(at, first - spread)
            at = min(begin + PAGE_NS, end)
            pivot = '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'
            page = [
                lines.event(kind, row)
                for row in self._query(self._select(bucket, points, begin, at + spread) + pivot)
            ]
            yield from sorted((e for e in page if begin <= event_time(e) < at), key=identity)

    def check(self) -> str:
        version = self._ask(self._client.version)
        if self._find(self._bucket) is None:
            raise SinkBusyError(
                f"InfluxDB {version} at {self._shown} has no bucket {self._bucket!r}. {NAMES}"
            )
        waveforms = f"{self._waveform_bucket}{'' if self._find(self._waveform_bucket) else ' (made with the first waveform)'}"
        return f"InfluxDB {version} at {self._shown}, org {self._org}, bucket {self._bucket}, waveforms in {waveforms}"

    def close(self) -> None:
        self._client.close()  # type: ignore[no-untyped-call]

    def _write(self, batch: Sequence[Stored]) -> None:
        lines_in_all = 0
        for bucket, events in groupby(
            sorted(batch, key=lambda e: type(e) is Waveform), key=lambda e: self._bucket_of(type(e))
        ):
            try:
                data = [line for event in events for line in lines.lines(event)]
                records = [
                    "\n".join(data[i : i + LINES]).encode() for i in range(0, len(data), LINES)
                ]
            except (
                ValueError
            ) as error:  # text with lone surrogates, or samples that cannot be unpacked
                raise BatchRefusedError(str(error)) from error
            lines_in_all += len(data)
            for record in records:
                self._write_to(bucket, record, whole=len(data) == lines_in_all == len(batch))

    def _write_to(self, bucket: str, record: bytes, *, whole: bool) -> None:
        """Write lines of line protocol to a bucket. `whole`: they are the whole batch, one line per
        event."""
        for pause_s in (*RETRY_AFTER_S, None):
            try:
                self._writer.write(bucket, self._org, record)
                return
            except ApiException as error:
                if bucket == self._waveform_bucket and error.status == 404 and pause_s is not None:
                    self._make_waveform_bucket()
                    continue
                if bucket == self._waveform_bucket and TOO_OLD in str(error.message):
                    self._log_too_old(error)
                    return
                if error.status in BAD_POINTS:
                    dropped = DROPPED.search(str(error.message))
                    number = len(record.splitlines())
                    raise BatchRefusedError(
                        _reason(error),
                        all_of_it=whole and dropped is not None and int(dropped[1]) == number,
                    ) from error
                problem: Exception = error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                problem = error
            if pause_s is None or (isinstance(problem, ApiException) and problem.status in REMEDY):
                raise self._busy(problem) from problem
            self._sleep(pause_s)

    def _make_waveform_bucket(self) -> None:
        """Create the bucket for waveforms. Raises SinkBusyError with the remedy if the token may
        not."""
        # a token that may not list organisations finds the organisation's id in this bucket
        events = self._find(self._bucket)
        if events is None:
            raise SinkBusyError(
                f"InfluxDB at {self._shown} has no bucket {self._bucket!r}. {NAMES}"
            )
        try:
            rules = [{"type": "expire", "everySeconds": self._waveform_s}]
            self._client.buckets_api().create_bucket(
                bucket_name=self._waveform_bucket, retention_rules=rules, org=events.org_id
            )
        except ApiException as error:
            if error.status == 422:  # another process has created it meanwhile
                return
            command = f"influx bucket create --name {self._waveform_bucket} --retention {self._waveform_s}s"
            raise SinkBusyError(
                f"InfluxDB at {self._shown} has no bucket {self._waveform_bucket!r} (ECGWATCH_INFLUX_WAVEFORM_BUCKET) and this token may not"
                f" make it: {_reason(error)}. Make it ({command}), and let the token read and write it."
            ) from error
        log.info(
            "made the bucket %s, which keeps waveforms for %.3g days",
            self._waveform_bucket,
            self._waveform_s / DAY_S,
        )

    def _log_too_old(self, error: Any) -> None:
        if not self._too_old_logged:
            self._too_old_logged = True
            log.warning(
                "waveforms older than the bucket %s keeps are not stored: %s",
                self._waveform_bucket,
                _reason(error),
            )

    def _bucket_of(self, kind: Kind) -> str:
        return self._waveform_bucket if kind is Waveform else self._bucket

    def _find(self, bucket: str) -> Any:
        return self._ask(lambda: self._client.buckets_api().find_bucket_by_name(bucket))  # type: ignore[no-untyped-call]

    def _patients(self, bucket: str) -> Iterator[str]:
        kinds = [kind for kind in KINDS if self._bucket_of(kind) == bucket]
        ours = " or ".join(f'r._measurement == "{lines.measurement(kind)}"' for kind in kinds)
        flux = f"""import "influxdata/influxdb/schema"
            schema.tagValues(bucket: {_quote(bucket)}, tag: "patient", predicate: (r) => {ours},
                start: time(v: {MIN_NS}), stop: time(v: {MAX_NS}))"""
        return (lines.unquoted(row["_value"]) for row in self._query(flux))

    def _select(self, bucket: str, points: str, start_ns: int, stop_ns: int) -> str:
        return f"""from(bucket: {_quote(bucket)}) |> range(start: time(v: {start_ns}), stop: time(v: {min(stop_ns, MAX_NS + 1)}))
            |> filter(fn: (r) => {points})"""

    def _first(self, bucket: str, points: str, start_ns: int, stop_ns: int) -> int | None:
        """Return the time of the first of these points. The query is cheap and saves one for every
        empty page."""
        rows = self._query(
            self._select(bucket, f'{points} and r._field == "none"', start_ns, stop_ns)
            + "|> first()"
        )
        return min((lines.nanoseconds(row["_time"]) for row in rows), default=None)

    def _query(self, flux: str) -> Iterator[dict[str, str]]:
        """Yield the rows of all tables of a query's answer as they arrive."""
        dialect = Dialect(
            header=True, annotations=[], delimiter=",", date_time_format="RFC3339Nano"
        )  # type: ignore[no-untyped-call]
        try:
            answer = self._ask(lambda: self._client.query_api().query_raw(flux, dialect=dialect))
        except SinkBusyError as error:
            if (
                _quote(self._waveform_bucket) in flux
                and getattr(error.__cause__, "status", 0) == 404
            ):
                return  # no waveform has been written yet
            raise
        answer.auto_close = False  # its end must not close it under the TextIOWrapper
        header: list[str] = []
        table = csv.reader(io.TextIOWrapper(answer, encoding="utf-8", newline=""))
        try:
            for row in table:
                if not row or row == [""]:
                    header = []
                elif not header:
                    header = row
                elif header[1:2] == ["error"]:
                    raise SinkBusyError(f"InfluxDB at {self._shown} ended a query: {row[1]}")
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
            return SinkBusyError(
                f"InfluxDB at {self._shown}: {_reason(error)}. {REMEDY.get(error.status, 'Look at its log.')}"
            )
        return SinkBusyError(
            f"InfluxDB at {self._shown} does not answer: {redacted(str(error))}. Is it running, and is the URL right?"
        )


def _reason(error: Any) -> str:
    return f"{error.status} {error.reason}: {error.message or ''}".strip(": ")


def _quote(text: str) -> str:
    """Quote a text as a Flux string literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'
