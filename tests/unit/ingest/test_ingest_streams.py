"""Which chunks the ingest server takes, as whose, and which it refuses. Kafka is a list here; with a
real one: tests/integration/devices/test_ingest_server.py."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from uuid import uuid4

import msgspec
import pytest
from msgspec.structs import replace

from ingest.clock import ManualClock
from ingest.messages import SampleChunk, decode
from ingest.registry import steps
from ingest.registry.device_states import decode_state
from ingest.registry.step import Author
from ingest.server.refusals import IngestRefusedError
from ingest.server.socket import _Session
from ingest.server.streams import StreamBook
from ingest.wire import Chunk, Reply
from tests.unit.ingest.registry_ward import Ward

S = 10**9
N = 65  # half a second
FS = 130.0


class Kafka:
    """What was sent, and the futures to complete."""

    def __init__(self) -> None:
        self.sent, self.states, self.futures = [], [], []
        self.away = False

    def send(self, topic: str, key: bytes, value: bytes) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()
        if topic == "ecg.samples":
            self.sent.append(decode(value, SampleChunk))
            assert key == self.sent[-1].patient_id.encode()
        else:
            self.states.append(decode_state(value))
        self.futures.append(done)
        return done

    def acknowledge(self) -> None:
        for future in self.futures:
            if not future.done():
                future.set_result(None)


class Bench:
    """A ward with ada wearing h1, and a book of streams."""

    def __init__(self) -> None:
        self.ward, self.kafka = Ward(), Kafka()
        self.ward.add("h1")
        self.ward.add("h2")
        self.ward.admit("ada", device_id="h1")
        self.ward.admit("bob")
        self.clock = ManualClock(self.ward.now + S)
        self.book = StreamBook(self.kafka, self.clock)
        self.t0 = self.clock.now_ns()
        self.book.registry_changed(self.ward.registry)

    def chunk(self, k: int, *, start_ns: int | None = None, **fields) -> Chunk:
        start_ns = self.t0 if start_ns is None else start_ns
        base = {
            "first_sample": k * N,
            "t0_ns": start_ns + round(k * N * 1e9 / FS),
            "fs_hz": FS,
            "counts_per_mv": 1000.0,
            "samples": bytes([k % 250 + 1, 0] * N),
        }
        return Chunk(**(base | fields))

    def take(self, stream: str, *chunks: Chunk, device: str = "h1"):
        return self.book.take(self.ward.registry.devices[device], stream, list(chunks))

    def refused(self, stream: str, *chunks: Chunk, device: str = "h1") -> IngestRefusedError:
        before = len(self.kafka.sent)
        with pytest.raises(IngestRefusedError) as refused:
            self.take(stream, *chunks, device=device)
        assert len(self.kafka.sent) == before  # all or nothing
        return refused.value

    def step(self, make, *arguments, **fields) -> None:
        self.ward.now = self.clock.now_ns()
        made = make(self.ward.registry, *arguments, Author("Kim", self.clock.now_ns()), **fields)
        self.ward.take(made)
        self.book.registry_changed(self.ward.registry)


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_chunks_go_to_the_wearer_in_order_and_are_acknowledged_when_kafka_has_them(bench):
    stream = str(uuid4())
    taken = bench.take(stream, bench.chunk(0), bench.chunk(1))
    assert [(c.patient_id, c.device_id, c.seq, c.first_sample) for c in bench.kafka.sent] == [
        ("ada", "h1", 0, 0),
        ("ada", "h1", 1, N),
    ]
    assert taken.stream.kept == 0
    bench.kafka.acknowledge()
    await asyncio.sleep(0)
    assert taken.stream.kept == 2 * N
    assert bench.kafka.states[0].stream == stream


async def test_a_repeat_counts_once_and_waits_for_the_same_acknowledgement(bench):
    stream = str(uuid4())
    first = bench.take(stream, bench.chunk(0))
    again = bench.take(stream, bench.chunk(0), bench.chunk(1))
    assert again.done[0] in first.done
    assert [c.first_sample for c in bench.kafka.sent] == [0, N]
    changed = bench.refused(stream, bench.chunk(0, samples=bytes(2 * N)))
    assert (changed.status, changed.field) == (409, "samples")


async def test_after_a_failed_delivery_the_repeat_is_sent_again(bench):
    stream = str(uuid4())
    bench.take(stream, bench.chunk(0))
    bench.kafka.futures[-1].set_exception(OSError("refused"))
    await asyncio.sleep(0)
    bench.take(stream, bench.chunk(0))
    assert [c.first_sample for c in bench.kafka.sent] == [0, 0]


@pytest.mark.parametrize(
    ("k", "fields", "status", "field"),
    [
        (1, {"fs_hz": 250.0}, 422, "fs_hz"),
        (1, {"counts_per_mv": 1.0}, 422, "counts_per_mv"),
        (1, {"lead": "V1"}, 422, "lead"),
        (1, {"t0_ns": 0}, 422, "t0_ns"),
        (10**6, {}, 422, "t0_ns"),  # hours ahead of the clock
    ],
)
async def test_a_chunk_that_does_not_fit_its_stream_is_refused_by_field(
    bench, k, fields, status, field
):
    stream = str(uuid4())
    bench.take(stream, bench.chunk(0))
    found = bench.refused(stream, bench.chunk(1), bench.chunk(k, **fields))
    assert (found.status, found.field) == (status, field)


async def test_a_jump_of_more_than_an_hour_needs_a_new_stream(bench):
    stream = str(uuid4())
    bench.take(stream, bench.chunk(0))
    bench.clock.advance(3 * 3600)
    assert bench.refused(stream, bench.chunk(3 * 7200)).field == "first_sample"
    assert bench.take(stream, bench.chunk(7000)).stream.next_sample == 7001 * N  # a gap


async def test_the_clock_of_2019_cannot_pass_for_an_earlier_wearers(bench):
    found = bench.refused(str(uuid4()), bench.chunk(0, start_ns=bench.t0 - 3600 * S))
    assert (found.status, found.field) == (409, "t0_ns")


async def test_nobody_wears_it(bench):
    found = bench.refused(str(uuid4()), bench.chunk(0), device="h2")
    assert found.status == 409
    assert "nobody wears device 'h2'" in found.problem


async def test_another_devices_stream(bench):
    stream = str(uuid4())
    bench.take(stream, bench.chunk(0))
    bench.step(steps.assign, "h2", "bob")
    assert "another device's" in bench.refused(stream, bench.chunk(1), device="h2").problem


async def test_a_restart_is_a_new_stream_at_once_and_ends_the_earlier(bench):
    one, two = str(uuid4()), str(uuid4())
    bench.take(one, bench.chunk(0), bench.chunk(1))
    bench.clock.advance(2)
    restart_ns = bench.clock.now_ns()
    bench.take(two, bench.chunk(0, start_ns=restart_ns, samples=bytes(2 * N)))
    assert bench.kafka.sent[-1].start_ns == restart_ns
    assert bench.take(one, bench.chunk(1)).done  # a repeat whose acknowledgement was lost
    assert bench.refused(one, bench.chunk(2)).status == 409


async def test_discharge_ends_the_stream_and_tells_the_socket(bench):
    stream, heard = str(uuid4()), []
    bench.take(stream, bench.chunk(0)).stream.listeners.add(heard.append)
    bench.step(steps.discharge, "ada")
    end = bench.kafka.sent[-1]
    assert (end.patient_id, end.end, end.n, end.first_sample) == ("ada", True, 0, N)
    assert heard[0].released == "ada was discharged"
    assert bench.refused(stream, bench.chunk(1)).status == 409


async def test_a_reassigned_device_never_continues_the_earlier_persons_stream(bench):
    stream = str(uuid4())
    bench.take(stream, bench.chunk(0))
    bench.clock.advance(1)
    bench.step(steps.release, "h1")
    bench.clock.advance(20)
    bench.step(steps.assign, "h1", "bob")
    assert bench.refused(stream, bench.chunk(1)).status == 409
    old = bench.refused(str(uuid4()), bench.chunk(0))  # ada's backlog, sent as a new stream
    assert (old.status, old.field) == (409, "t0_ns")
    bench.take(str(uuid4()), bench.chunk(0, start_ns=bench.clock.now_ns()))
    assert bench.kafka.sent[-1].patient_id == "bob"


async def test_two_senders_one_is_refused_and_the_others_chunks_name_both(bench):
    one, two = str(uuid4()), str(uuid4())
    bench.take(one, bench.chunk(0))
    bench.clock.advance(1)
    bench.step(steps.assign, "h2", "ada")
    start_ns = bench.clock.now_ns()
    for k in range(20):
        assert "replaced by 'h2'" in bench.refused(one, bench.chunk(k + 1)).problem
        bench.take(two, bench.chunk(k, start_ns=start_ns), device="h2")
        bench.clock.advance(0.5)
    faults = [c.fault for c in bench.kafka.sent if c.device_id == "h2"]
    assert faults[:10] == [""] * 10  # a sender that was told to stop may take a moment
    assert set(faults[11:]) == {"two senders: h2 holds the stream, h1 is refused"}
    bench.clock.advance(31)
    bench.take(two, bench.chunk(82, start_ns=start_ns), device="h2")
    assert bench.kafka.sent[-1].fault == ""


async def test_two_gateways_with_one_devices_token(bench):
    one, two = str(uuid4()), str(uuid4())
    bench.take(one, bench.chunk(0))
    bench.take(two, bench.chunk(0))
    for k in range(1, 20):
        bench.clock.advance(0.5)
        assert bench.refused(one, bench.chunk(k)).status == 409
        bench.take(two, bench.chunk(k))
    assert bench.kafka.sent[-1].fault == (
        f"two senders: h1 (stream {two[:8]}) holds the stream, h1 (stream {one[:8]}) is refused"
    )


async def test_a_restarted_server_goes_on_and_still_refuses(bench):
    stream, old = str(uuid4()), str(uuid4())
    bench.take(old, bench.chunk(0))
    bench.clock.advance(2)
    start_ns = bench.clock.now_ns()
    bench.take(stream, bench.chunk(0, start_ns=start_ns))
    bench.kafka.acknowledge()
    await asyncio.sleep(0)
    bench.book.announce(0)
    last = {state.device_id: state for state in bench.kafka.states}
    bench.book = StreamBook(bench.kafka, bench.clock)
    bench.book.restore(list(last.values()))
    bench.book.registry_changed(bench.ward.registry)
    taken = bench.take(stream, bench.chunk(0, start_ns=start_ns), bench.chunk(1, start_ns=start_ns))
    assert taken.stream.next_sample == 2 * N
    assert bench.refused(old, bench.chunk(0)).status == 409
    assert bench.refused(str(uuid4()), bench.chunk(5)).field == "first_sample"


async def test_a_restarted_server_ends_what_was_discharged_meanwhile(bench):
    stream = str(uuid4())
    bench.take(stream, bench.chunk(0))
    bench.clock.advance(10)
    bench.step(steps.transfer, "ada", "7")  # no reason to end anything
    assert not bench.kafka.sent[-1].end
    bench.book = StreamBook(bench.kafka, bench.clock)
    bench.book.restore([bench.kafka.states[-1]])
    bench.step(steps.discharge, "ada")
    end = bench.kafka.sent[-1]
    assert (end.end, end.first_sample) == (True, 10 * 130)


async def test_a_stream_ends_and_its_last_chunk_may_be_repeated(bench):
    stream = str(uuid4())
    last = replace(bench.chunk(1), end=True)
    bench.take(stream, bench.chunk(0), last)
    assert bench.kafka.sent[-1].end
    assert bench.take(stream, last).done
    assert bench.refused(stream, bench.chunk(2)).status == 409
    early = replace(bench.chunk(0), end=True)
    assert bench.refused(str(uuid4()), early, bench.chunk(1)).field == "end"


async def test_a_socket_says_what_kafka_has_even_if_that_is_news_of_this_very_moment(bench):
    """A sender that waits for the word about one frame before it sends the next would wait for ever."""
    sent: list[Reply] = []

    class Socket:
        client = None

        async def send_bytes(self, data: bytes) -> None:
            sent.append(msgspec.msgpack.decode(data, type=Reply))

    session = _Session(SimpleNamespace(clock=bench.clock), Socket())
    taken = bench.take(str(uuid4()), bench.chunk(0), bench.chunk(1))
    session._stream = taken.stream
    session._unanswered.extend(taken.done)
    bench.kafka.acknowledge()  # nobody who waits for these futures has run yet
    await session._acknowledge()
    assert [reply.next_sample for reply in sent] == [2 * N]
