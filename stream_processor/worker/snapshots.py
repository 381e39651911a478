"""Reading back the patients' snapshots from the compacted topic ecg.state.

A message is one patient's complete state. Its header `inside` says for each partition of
ecg.samples that the patient's chunks came from, usually one, which is the first message that is NOT
inside: whatever comes again from before it is skipped, exactly, whether the stream went on, ended or
started anew in between. `events` is the partition that the patient's events go to, if it is not
the snapshot's own. Offsets mean nothing in another topic: `topic` names the ecg.samples they
are of by Kafka's id; if it was made anew, the state holds and its offsets do not. `of` is how many
partitions there were: if there are more now, a patient belongs to the partition that Kafka's
partitioner gives it among them, where its actions and, from their next connection on, its chunks
go. An empty value says that the patient's stream had ended by then; None (a tombstone) that nothing
is to be known.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import confluent_kafka
from kafka.partitioner.default import murmur2

from ingest import topics
from ingest.consumers import (
    TIMEOUT_S,
    Extent,
    ask_with_retries,
    extents,
    open_consumer,
    read_to_end,
)
from ingest.messages import BadMessageError, Orders, decode
from stream_processor.kafka.event_producer import Letter
from stream_processor.worker.topic_id import TopicIds

log = logging.getLogger(__name__)
ENDED = b""
INSIDE, TOPIC, OF, EVENTS = "inside", "topic", "of", "events"  # headers


class InputLayout(NamedTuple):
    """The layout of ecg.samples: topic id and number of partitions."""

    topic: str = ""  # its id; "": the broker knows none
    partitions: int = 0


class Snapshot(NamedTuple):
    """A patient's state (ENDED: no open stream), its partition, and by partition the first input
    offset that the state does not include.

    `events`: the partition of the patient's events, if it is another one. Who moves because
    partitions were added keeps it: in two partitions, a step of an alarm could be read, and stored,
    after a later one.
    """

    partition: int
    state: bytes
    inside: Mapping[int, int]
    events: int | None = None

    def headers(self, layout: InputLayout) -> dict[str, str]:
        """Return the headers of the snapshot's message."""
        inside = json.dumps({str(p): at for p, at in self.inside.items()})
        events = {} if self.events is None else {EVENTS: str(self.events)}
        return {INSIDE: inside, TOPIC: layout.topic, OF: str(layout.partitions), **events}


class Restored(NamedTuple):
    """The restored patients of some partitions."""

    states: dict[str, Snapshot]
    layout: InputLayout = InputLayout()
    # by patient: partitions that hold a snapshot of it which no longer counts
    outdated: Mapping[str, set[int]] = {}
    # of partitions that have come to the topic since: they begin once the others have been
    # processed up to these offsets, so that patients who move keep their order
    added: frozenset[int] = frozenset()
    before: Mapping[int, int] = {}
    # by patient: the partition and the orders in force when last published
    orders: Mapping[str, tuple[int, Orders]] = {}


class _Kept(NamedTuple):
    snapshot: Snapshot
    layout: InputLayout
    time_ms: int


def home_of(patient_id: str, partitions: int) -> int:
    """The partition of a patient's messages, as Kafka's own clients choose it."""
    return int(murmur2(patient_id.encode()) & 0x7FFFFFFF) % partitions


class SnapshotReader:
    """Reads whole partitions of ecg.state with a plain consumer, outside the group."""

    def __init__(self, broker: str) -> None:
        self._topic_ids = TopicIds(broker)
        self._broker = broker

    def read(self, partitions: Iterable[int]) -> Restored:
        """The last snapshot of every patient of these partitions. Blocks; seconds for thousands of
        patients, and while the broker is away."""
        wanted = sorted(partitions)
        return ask_with_retries(lambda: self._read(wanted))

    def _read(self, wanted: list[int]) -> Restored:
        consumer = self._open()
        try:
            asked = self._topic_ids.ask(topics.SAMPLES.name)
            there = consumer.list_topics(topics.SAMPLES.name, timeout=TIMEOUT_S)
            count = len(there.topics[topics.SAMPLES.name].partitions)
            inputs = {p: e.high for p, e in _extents(consumer, wanted).items()}
            kept: dict[tuple[int, str], _Kept] = {}
            within = extents(consumer, topics.STATE.name, wanted)
            for message in read_to_end(consumer, topics.STATE.name, within):
                _apply(kept, message)
            last = [(patient, state) for (_, patient), state in kept.items()]
            found = restored(last, InputLayout(asked(), count), wanted, inputs)
            before = _behind(consumer, set(wanted) - found.added, inputs) if found.added else {}
            return found._replace(before=before, orders=_orders(consumer, wanted))
        finally:
            consumer.close()

    def input(self, until: Mapping[int, int]) -> dict[int, tuple[int, list[Letter]]]:
        """Messages of ecg.samples, by partition, from the processors' commit up to an offset; with
        the offset of the first one. Blocks."""
        return ask_with_retries(lambda: self._input(until))

    def _input(self, until: Mapping[int, int]) -> dict[int, tuple[int, list[Letter]]]:
        consumer = self._open()
        try:
            starts = {p: max(c, low) for p, (c, low) in _committed(consumer, until).items()}
            found: dict[int, tuple[int, list[Letter]]] = {
                p: (min(start, until[p]), []) for p, start in starts.items()
            }
            within = {p: Extent(starts[p], end) for p, end in until.items()}
            for message in read_to_end(consumer, topics.SAMPLES.name, within):
                letter = Letter(message.offset() or 0, message.key(), message.value())
                found[message.partition() or 0][1].append(letter)
            return found
        finally:
            consumer.close()

    def _open(self) -> confluent_kafka.Consumer:
        # nothing is committed under it; the commits of the processors are looked up
        return open_consumer(self._broker, topics.PROCESSOR_GROUP, enable_partition_eof=True)


def restored(
    kept: Iterable[tuple[str, _Kept]],
    layout: InputLayout,
    ours: Iterable[int],
    ends: Mapping[int, int],
) -> Restored:
    """Return the snapshots of our partitions that are valid for the present layout of the topic;
    `ends`: those of ecg.samples."""
    ours, kept = set(ours), sorted(kept, key=lambda item: item[1].time_ms)
    states: dict[str, Snapshot] = {}
    outdated: dict[str, set[int]] = {}
    fewest = layout.partitions
    for patient, (snapshot, made, _) in kept:  # a later one replaces the earlier ones
        inside = {p: at for p, at in snapshot.inside.items() if at <= ends.get(p, at)}
        if made.topic != layout.topic and made.topic and layout.topic:
            inside = {}
        if inside != snapshot.inside:
            log.warning("snapshot of %s is of an earlier %s", patient, topics.SAMPLES.name)
        home = snapshot.partition
        if made.partitions and made.partitions < layout.partitions:
            fewest = min(fewest, made.partitions)
            home = home_of(patient, layout.partitions)
            home = home if home in ours else snapshot.partition
        if (earlier := states.get(patient)) is not None:
            inside = {
                p: max(earlier.inside.get(p, 0), inside.get(p, 0))
                for p in earlier.inside.keys() | inside.keys()
            }
        events = snapshot.partition if snapshot.events is None else snapshot.events
        states[patient] = Snapshot(home, snapshot.state, inside, None if events == home else events)
        outdated.setdefault(patient, set()).add(snapshot.partition)
    for patient, snapshot in states.items():
        outdated[patient].discard(snapshot.partition)
    added = frozenset(p for p in ours if p >= fewest)
    return Restored(states, layout, {p: of for p, of in outdated.items() if of}, added)


def _apply(found: dict[tuple[int, str], _Kept], message: confluent_kafka.Message) -> None:
    patient, value = bytes(message.key() or b"").decode(errors="replace"), message.value()
    partition = message.partition() or 0
    if value is None:
        found.pop((partition, patient), None)
        return
    headers = dict(message.headers() or [])
    try:
        inside = {int(p): int(at) for p, at in json.loads(headers[INSIDE] or b"").items()}
        topic = headers[TOPIC] or b""
        layout = InputLayout(
            topic if isinstance(topic, str) else topic.decode(), int(headers[OF] or 0)
        )
        events = int(headers[EVENTS] or 0) if EVENTS in headers else None
    except (KeyError, ValueError, AttributeError, TypeError):
        return  # of another program, or of a version before these headers
    found[partition, patient] = _Kept(
        Snapshot(partition, value, inside, events), layout, message.timestamp()[1]
    )


def _orders(
    consumer: confluent_kafka.Consumer, partitions: Iterable[int]
) -> dict[str, tuple[int, Orders]]:
    """Return the newest orders of every patient."""
    found: dict[str, tuple[int, Orders]] = {}
    within = extents(consumer, topics.ORDERS.name, partitions)
    for message in read_to_end(consumer, topics.ORDERS.name, within):
        patient = bytes(message.key() or b"").decode(errors="replace")
        found.pop(patient, None)
        if (value := message.value()) is not None:
            try:
                found[patient] = (message.partition() or 0, decode(value, Orders))
            except BadMessageError as error:
                log.warning("orders of %s: %s", patient, error)
    return found


def _behind(
    consumer: confluent_kafka.Consumer, partitions: Iterable[int], ends: Mapping[int, int]
) -> dict[int, int]:
    """Return the ends of those partitions that have unprocessed messages."""
    places = _committed(consumer, partitions)
    return {p: ends[p] for p, (at, low) in places.items() if max(at, low) < ends[p]}


def _committed(
    consumer: confluent_kafka.Consumer, partitions: Iterable[int]
) -> dict[int, tuple[int, int]]:
    """Return, for these partitions of ecg.samples, the processors' commit (negative: none) and the
    offset of the oldest message."""
    lows = {p: e.low for p, e in _extents(consumer, partitions).items()}
    places = [confluent_kafka.TopicPartition(topics.SAMPLES.name, p) for p in lows]
    found = consumer.committed(places, TIMEOUT_S) if places else []
    return {place.partition: (place.offset, lows[place.partition]) for place in found}


def _extents(consumer: confluent_kafka.Consumer, partitions: Iterable[int]) -> dict[int, Extent]:
    return extents(consumer, topics.SAMPLES.name, partitions)
