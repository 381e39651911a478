"""The live trace to Grafana Live: a real broker on one side, on the other a server that answers as
Grafana does (it cannot be had here)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.grafana import files
from dashboards.grafana.live import (
    KEPT_S,
    RATE_HZ,
    LiveFeed,
    Publisher,
    Thinner,
    check_names,
    publish,
)
from ingest.broker import create_topics
from ingest.clock import ManualClock, SystemClock
from ingest.embedded import EmbeddedBroker
from ingest.errors import BadInputError
from ingest.messages import SampleChunk, encode, sample_offset_ns
from ingest.topics import SAMPLES
from tests.made_chunks import made_chunk
from tests.unit.dashboards.grafana_fake import TOKEN, FakeGrafana
from tools.services import Kafka

START_NS = 1_767_225_600 * 10**9
WAIT_S = 90.0


@pytest.fixture
def fake() -> Iterator[FakeGrafana]:
    server = FakeGrafana()
    yield server
    server.close()


def chunk(patient: str, first: int, counts: np.ndarray, fs_hz: float = 250.0) -> SampleChunk:
    return made_chunk(patient, first, counts, START_NS, fs_hz)


def read(line: str) -> tuple[str, float, int]:
    name, value, at = line.split(" ")
    return name, float(value.removeprefix("mv=")), int(at)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from([100.0, 125.0, 128.0, 250.0, 360.0, 500.0, 1000.0]))
def test_real_samples_at_their_own_times_however_they_are_cut(
    data: st.DataObject, fs_hz: float
) -> None:
    counts = np.array(
        data.draw(st.lists(st.integers(-3000, 3000), min_size=40, max_size=400)), dtype=np.int16
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, len(counts) - 1), max_size=8)))
    pieces = [(a, counts[a:b]) for a, b in zip([0, *cuts], [*cuts, len(counts)], strict=True)]
    thinner = Thinner()
    lines = [
        line for first, piece in pieces for line in thinner.push(chunk("p", first, piece, fs_hz))
    ]
    size = max(1, round(fs_hz / RATE_HZ))
    assert len(lines) == len(counts) // size
    real = {
        START_NS + sample_offset_ns(i, fs_hz): count / 200.0
        for i, count in enumerate(counts.tolist())
    }
    times = [at for _, _, at in map(read, lines)]
    assert times == sorted(set(times))
    assert all(abs(real[at] - mv) < 1e-4 for _, mv, at in map(read, lines))


def test_peaks_stay() -> None:
    counts = np.zeros(1000, np.int16)
    counts[np.arange(7, 1000, 97)] = 300  # a single sample each, on any place of its group
    for fs_hz in (250.0, 360.0, 500.0):
        values = [mv for _, mv, _ in map(read, Thinner().push(chunk("p", 0, counts, fs_hz)))]
        assert values.count(1.5) == len(range(7, 1000, 97))


def test_nothing_is_made_up_over_a_gap() -> None:
    thinner = Thinner()
    # the fifth waits for the sixth
    assert len(thinner.push(chunk("p", 0, np.full(5, 100), 250.0))) == 2
    lines = thinner.push(chunk("p", 101, np.full(4, 200), 250.0))  # joins the grid at 102
    assert [(mv, at) for _, mv, at in map(read, lines)] == [
        (1.0, START_NS + sample_offset_ns(102, 250.0))
    ]


def test_names_that_are_no_channel() -> None:
    check_names(["mitdb-208", "a.b/c_d=1"], "ecgwatch")
    for bad in ("two words", "", "ü", "x" * 121):
        with pytest.raises(BadInputError, match="channel"):
            check_names([bad], "ecgwatch")


async def test_grafana_away_costs_old_samples_only(fake: FakeGrafana) -> None:
    clock = ManualClock(START_NS)
    publisher = Publisher(fake.url, TOKEN, "ecgwatch", clock)
    fake.works = False
    running = asyncio.create_task(publisher.run())
    try:
        publisher.give(["p mv=1 1"])
        await asyncio.sleep(0.4)
        clock.advance(KEPT_S + 0.1)
        publisher.give(["p mv=2 2"])
        fake.works = True
        await until(lambda: publisher.sent == 1)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert fake.lines == [("ecgwatch", "p mv=2 2")]
    assert publisher.dropped == 1


async def test_a_wrong_token_is_told(fake: FakeGrafana, caplog: pytest.LogCaptureFixture) -> None:
    publisher = Publisher(fake.url, "wrong", "ecgwatch", SystemClock())
    running = asyncio.create_task(publisher.run())
    publisher.give(["p mv=1 1"])
    await until(lambda: bool(caplog.records))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert "ECGWATCH_GRAFANA_TOKEN" in caplog.text


async def test_chosen_patients_from_the_broker_to_grafana(
    broker: EmbeddedBroker | Kafka, fake: FakeGrafana
) -> None:
    import confluent_kafka

    await asyncio.to_thread(create_topics, broker.address)
    publisher = Publisher(fake.url, "admin:s3cret", "ecgwatch", SystemClock())
    running = asyncio.create_task(publish(LiveFeed(broker.address, ["a", "b"]), publisher))
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker.address, "log.connection.close": False}
    )
    counts = np.arange(125, dtype=np.int16)
    seconds = 0
    try:
        # Until both have come: the feed begins at the end of each partition, and finds those at
        # times of their own.
        while {read(line)[0] for _, line in fake.lines} != {"a", "b"}:
            for patient in ("a", "b", "other"):
                producer.produce(
                    SAMPLES.name,
                    encode(chunk(patient, 125 * seconds, counts)),
                    key=patient.encode(),
                )
            producer.produce(SAMPLES.name, b"no chunk", key=b"a")
            await asyncio.to_thread(producer.flush, 5)
            seconds += 1
            await asyncio.sleep(0.2)
            assert seconds < WAIT_S / 0.2, f"came: {fake.lines}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert {stream for stream, _ in fake.lines} == {"ecgwatch"}
    assert {read(line)[0] for _, line in fake.lines} == {"a", "b"}
    assert max(fake.pushes) > 50  # batches, not lines


def test_the_patient_board_shows_that_channel() -> None:
    (panel,) = (
        panel
        for panel in files.boards()["patient"]["panels"]
        if panel["datasource"]["type"] == "grafana"
    )
    assert panel["targets"][0]["channel"] == "stream/ecgwatch/${patient}"
    assert panel["targets"][0]["queryType"] == "measurements"


async def until(condition: object) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.05)
