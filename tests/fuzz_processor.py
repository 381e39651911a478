"""Mutated chunks and actions through the worker's ward: it never breaks, and nobody is affected but
the patients they name.

    python -m tests.fuzz_processor 100000 [SEED]     # the quick budget is in contract/test_fuzz.py
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np

from ingest.bounds import MAX_SEQ, MAX_TIME_NS
from ingest.clock import ManualClock
from ingest.messages import Action, BadMessageError, Event, Orders, SampleChunk, decode, encode
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from models.serving import runtime
from stream_processor.kafka.event_producer import EventProducer, Letter
from stream_processor.pipeline.ward import Ward
from stream_processor.sinks.base import identity
from stream_processor.worker.counters import Counters
from stream_processor.worker.guarded_ward import GuardedWard
from stream_processor.worker.ledger import Ledger
from stream_processor.worker.operator_actions import Placed
from stream_processor.worker.stall_guard import StallGuard
from tests.fakes import FakeActions
from tests.made_chunks import made_chunk

START_NS, FS = 1_700_000_000 * 10**9, 250.0
N = 125  # samples of a chunk
TARGETS = [f"target-{i}" for i in range(12)]
WITNESSES = {"witness-vt": "vt", "witness-asystole": "asystole"}
WITNESS_EVERY = 200  # mutants between two chunks of a witness
BATCH = 40
INTEGERS = (
    0,
    1,
    -1,
    2**31,
    2**53,
    2**62,
    2**63 - 1,
    -(2**63),
    MAX_SEQ,
    MAX_TIME_NS,
    899_999,
    10**9,
)
FLOATS = (0.0, -1.0, 1e-9, 1e9, 1e300, float("nan"), float("inf"), 99.9, 100.0, 360.0, 1000.0, 0.5)
TEXTS = ("", "x", "a" * 128, "a" * 129, "p\x00", " p", "é" * 60, "🫀", "p\n", "../..", "II", "V5")


class Report(NamedTuple):
    """What happened."""

    sent: int
    processed: int
    dead_letters: int
    refused: int
    rebuilds: int
    events: int
    wrong_witnesses: list[str]


class _Producer:
    """Encodes events as the real one does, and keeps none."""

    def __init__(self) -> None:
        self.letters = 0

    def event(self, event: Event, partition: int | None) -> None:
        encode(event)

    def orders(self, patient_id: str, orders: Orders | None, partition: int | None) -> None:
        if orders is not None:
            encode(orders)

    def dead_letter(self, *_: object) -> None:
        self.letters += 1

    def check(self) -> None:
        pass


def _signal(scenario: str) -> bytes:
    blocks = simulate(load(scenario), seed=1, duration_s=60)
    return np.concatenate([b.counts for b in blocks]).astype("<i2").tobytes()


def _chunk(patient: str, counts: bytes, number: int) -> SampleChunk:
    at = 2 * N * number % (len(counts) - 2 * N)
    samples = counts[at : at + 2 * N]
    return made_chunk(patient, number * N, samples, START_NS, FS, seq=number)


def _action(patient: str, number: int, dice: random.Random) -> Action:
    return Action(
        patient_id=patient,
        time_ns=START_NS + number * 10**9,
        id=str(number),
        by="Ada",
        action=dice.choice(("acknowledge", "silence", "resume", "escalate", "limits", "profile")),
        seconds=60.0,
        limits={"hr_high_bpm": 130.0},
        profile="adult",
    )


def _mutated_fields(message: Any, dice: random.Random) -> Any:
    """One to three fields with values from the edges, of any type."""
    changes: dict[str, Any] = {}
    for _ in range(dice.randint(1, 3)):
        name = dice.choice(message.__struct_fields__)
        if name == "patient_id":
            continue
        now = getattr(message, name)
        values: tuple[Any, ...] = (*INTEGERS, *FLOATS, *TEXTS, None, True, b"", [], {})
        if dice.random() < 0.8:  # of its own type: what the codec may let through
            values = {
                bool: (True, False),
                int: INTEGERS,
                float: FLOATS,
                str: TEXTS,
                bytes: (b"", b"\xff\x7f" * N, bytes(2 * N), dice.randbytes(2 * dice.randint(1, N))),
            }.get(type(now), values)
            if isinstance(now, int) and not isinstance(now, bool) and dice.random() < 0.5:
                values = (now + dice.choice((-1, 1)) * dice.choice((1, N, 10**4, 10**9, 10**12)),)
            if name == "fs_hz":
                values = (100.0, 128.0, 360.0, 500.0, 1000.0, 250.5, *FLOATS)
        changes[name] = dice.choice(values)
    return msgspec.msgpack.encode(msgspec.to_builtins(message, builtin_types=(bytes,)) | changes)


def _mutated_bytes(data: bytes, dice: random.Random) -> bytes:
    found = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(found) or 1)
        how = dice.random()
        if how < 0.6 and found:
            found[at] ^= 1 << dice.randrange(8)
        elif how < 0.8:
            found[at:at] = dice.randbytes(dice.randint(1, 4))
        else:
            del found[at : at + dice.randint(1, 16)]
    return bytes(found)


def _mutant(message: SampleChunk | Action, dice: random.Random) -> bytes:
    how = dice.random()
    if how < 0.15:
        return encode(message)
    if how < 0.5:
        return _mutated_bytes(encode(message), dice)
    return cast(bytes, _mutated_fields(message, dice))


def _told(events: list[Event], patient: str) -> dict[tuple[object, ...], Event]:
    return {(type(e).__name__, *identity(e)): e for e in events if e.patient_id == patient}


def run(count: int, seed: int = 1, progress: Callable[[int], None] = lambda _: None) -> Report:
    """Send so many mutants; raises whatever breaks."""
    dice, clock, model = random.Random(seed), ManualClock(START_NS), runtime.load()
    producer, actions, counters = _Producer(), FakeActions(), Counters()
    ledger = Ledger()
    guarded = GuardedWard(
        lambda: Ward(model, clock),
        ledger,
        cast(EventProducer, producer),
        actions,
        clock,
        counters,
        StallGuard(clock, 1e9),
    )
    ledger.pending.open([0])
    signals = {name: _signal(s) for name, s in WITNESSES.items()} | {"": _signal("pvcs")}
    numbers = dict.fromkeys((*TARGETS, *WITNESSES), 0)
    witnessed: list[Event] = []
    offset = sent = events = 0
    waiting: list[Letter] = []

    def put(value: bytes) -> None:
        nonlocal offset
        waiting.append(Letter(offset, b"k", value))
        offset += 1

    def process() -> None:
        nonlocal events
        ledger.pending.add(0, waiting)
        waiting.clear()
        clock.advance(0.1)
        found = guarded.slice(ledger.pending.take(10**6), dice.random() < 0.2).events
        events += len(found)
        witnessed.extend(e for e in found if e.patient_id in WITNESSES)
        if dice.random() < 0.05:  # a worker dies, another goes on
            names = [(t, 0) for t in dice.sample(TARGETS, 3)]
            for name, snapshot in guarded.snapshot(names).items():
                if snapshot.state:
                    guarded._ward.restore(name, snapshot.state)

    for i in range(count):
        target = dice.choice(TARGETS)
        if dice.random() < 0.1:
            data = _mutant(_action(target, i, dice), dice)
            try:
                actions.waiting.append(Placed(0, i, decode(data, Action)))
            except BadMessageError:
                counters.dead_letters += 1
        else:
            put(_mutant(_chunk(target, signals[""], numbers[target]), dice))
            numbers[target] += 1 if dice.random() < 0.98 else dice.randint(0, 900)
        sent += 1
        if i % WITNESS_EVERY == 0:
            for name in WITNESSES:
                put(encode(_chunk(name, signals[name], numbers[name])))
                numbers[name] += 1
        if len(waiting) >= BATCH:
            process()
            progress(sent)
    process()
    wrong = []
    for name in WITNESSES:
        alone = Ward(model, ManualClock(START_NS))
        wanted = alone.push([_chunk(name, signals[name], k) for k in range(numbers[name])])
        # silence is a matter of the clock, and so is when something calls again
        kept = [
            {k: e for k, e in _told(events, name).items() if "no_signal" not in str(k)}
            for events in (wanted, witnessed)
        ]
        same = kept[0].keys() == kept[1].keys() and all(
            type(e).__name__ == "Alarm" or kept[1][k] == e for k, e in kept[0].items()
        )
        if not same:
            wrong.append(name)
    return Report(
        sent, counters.chunks, producer.letters, counters.refused, counters.rebuilds, events, wrong
    )


if __name__ == "__main__":
    found = run(
        int(sys.argv[1]),
        int(sys.argv[2]) if len(sys.argv) > 2 else 1,
        lambda n: print(n, flush=True) if n % 10_000 < BATCH else None,
    )
    print(found)
    sys.exit(bool(found.wrong_witnesses or found.rebuilds or found.refused))
