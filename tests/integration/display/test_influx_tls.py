"""The store behind TLS with a certificate of one's own authority: sink, figures, check, the page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecgwatch.checks import findings
from ecgwatch.settings import Settings
from ecgwatch.stores import influx_ca, open_sink
from ecgwatch.telemetry import publisher
from ingest.clock import SystemClock
from ingest.errors import BadInputError
from ingest.messages import Beat
from stream_processor.sinks.base import SinkBusyError
from stream_processor.worker.counters import Counters
from tests.conftest import _running
from tests.contract.test_sinks import beat
from tools import fetching, secure_services


@pytest.fixture(scope="module")
def secure() -> Iterator[secure_services.SecureInfluxdb]:
    yield from _running(secure_services.SecureInfluxdb, fetching.have_influxd(), "InfluxDB")


def settings_of(store: secure_services.SecureInfluxdb, ca: str) -> Settings:
    return Settings(sink=f"influxdb:{store.url}", influx_token=store.token, influx_ca=ca)


def test_events_and_figures_over_tls(secure, caplog) -> None:
    chosen = settings_of(secure, str(secure.ca))
    sink = open_sink(chosen)
    sink.add(beat())
    sink.flush()
    sink.close()
    again = open_sink(chosen)
    assert [type(e) for e in again.read(Beat, again.patients()[0])] == [Beat]
    again.close()
    with caplog.at_level(logging.WARNING):
        publisher(chosen, "1", {}, SystemClock())(Counters())
    assert not caplog.records
    (found,) = [one for one in findings(chosen) if one.part == "sink"]
    assert found.works, found.text


def test_who_is_not_known_is_not_trusted(secure) -> None:
    sink = open_sink(settings_of(secure, ""))
    sink.add(beat())
    with pytest.raises(SinkBusyError, match="ECGWATCH_INFLUX_CA"):
        sink.flush()
    assert sink.pending == 1
    sink.close()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_is_none_is_refused(tmp_path: Path, content: str | None) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_text(content)
    with pytest.raises(BadInputError, match=r"ca\.pem cannot be used") as caught:
        influx_ca(Settings(influx_ca=str(ca)))
    assert "ECGWATCH_INFLUX_CA" in caught.value.remedy
