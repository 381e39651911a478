"""The streams that devices send: what is taken, in which order, and as whose.

The token says which device sends, the registry who wears it, and so whose stream it is; the device's
own word is not asked. A stream belongs to one device and one stay of one person, for ever: when either
changes it is over, and the next samples need a stream with a new UUID.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ingest import topics
from ingest.clock import Clock
from ingest.messages import SampleChunk, encode, sample_offset_ns
from ingest.registry.device_states import DeviceState, encode_state
from ingest.registry.records import DeviceRecord
from ingest.registry.state import Binding, Registry
from ingest.server import stream_checks as checks
from ingest.server.outlet import KafkaOutlet
from ingest.server.refusals import IngestRefusedError
from ingest.server.rivals import RefusedSenders
from ingest.server.stream import Done, IngestStream
from ingest.wire import Chunk, Reply, Status

REMEMBERED = 512  # repeats recognised per stream, by key; older ones the processor recognises
STREAMS_BEFORE = 16  # of a device, by name
FORGET_NS = 24 * 3600 * 10**9  # a stream that was not heard for so long leaves the memory
CURRENT_NS = 300 * 10**9  # after so long without a chunk the processor has closed the stream


class AcceptedBody(NamedTuple):
    """A body that was taken: wait for `done`, then acknowledge."""

    stream: IngestStream
    done: list[Done]


class StreamBook:
    """All streams of this server. Used on the event loop only."""

    def __init__(self, outlet: KafkaOutlet, clock: Clock) -> None:
        self.registry = Registry()
        self.streams: dict[str, IngestStream] = {}
        self._newest: dict[str, str] = {}  # device -> its newest stream
        self._before: dict[str, tuple[str, ...]] = {}
        self._outlet, self._clock = outlet, clock
        self._rivals = RefusedSenders(clock)

    def restore(self, states: Sequence[DeviceState]) -> None:
        """Restore the streams that an earlier server has published on these topics."""
        for state in states:
            self._before[state.device_id] = state.before
            if not state.stream:
                continue
            self._newest[state.device_id] = state.stream
            self.streams[state.stream] = IngestStream(
                state.stream,
                state.device_id,
                state.patient_id,
                state.stay_ns,
                state.lead,
                state.fs_hz,
                state.counts_per_mv,
                state.start_ns,
                state.heard_ns,
                next_sample=state.next_sample,
                kept=state.next_sample,
                sure=False,
                battery=state.battery,
                over=state.over,
            )

    def newest(self, device_id: str) -> IngestStream | None:
        """The device's newest stream."""
        return self.streams.get(self._newest.get(device_id, ""))

    def take(self, device: DeviceRecord, stream_id: str, chunks: Sequence[Chunk]) -> AcceptedBody:
        """Check all chunks, then send them. Raises RefusedError if any is to be refused: then none is sent."""
        bound = self._binding(device)
        stream = self.streams.get(stream_id)
        if stream is None:
            stream = self._begun(stream_id, bound, chunks[0])
        else:
            checks.check_owner(stream, bound)
        repeats = checks.check_chunks(stream, chunks, self._clock.now_ns())
        if stream.over and None not in repeats:  # whose acknowledgement was lost
            return AcceptedBody(stream, [done for done in repeats if done is not None])
        self._check_open(stream)
        done: list[Done] = []
        if stream_id not in self.streams:
            self._open(stream)
            done.append(self._publish_state(stream))
        stream.heard_ns = self._clock.now_ns()
        for chunk, repeat in zip(chunks, repeats, strict=True):
            done.append(self._send(stream, chunk) if repeat is None else repeat)
        if chunks[-1].end:
            self._over(stream, "it has ended")
            done.append(self._publish_state(stream))
        return AcceptedBody(stream, done)

    def status(self, device: DeviceRecord, status: Status) -> list[Done]:
        """Take a device's status, which comes without samples."""
        stream = self.newest(device.device_id)
        if stream is None or stream.over:
            return []
        if status.battery is not None:
            stream.battery, stream.battery_s = status.battery, self._clock.steady_s()
        return [self._publish_state(stream)]

    def registry_changed(self, registry: Registry) -> None:
        """End the streams whose device or person is another now."""
        self.registry = registry
        for stream in self.streams.values():
            if stream.over:
                continue
            bound = registry.binding(stream.device_id)
            if bound is None or (bound.person.patient_id, bound.person.admitted_ns) != (
                stream.patient_id,
                stream.stay_ns,
            ):
                self._end(stream, self._why(registry, stream))

    def announce(self, since_ns: int) -> None:
        """Tell ecg.devices of the devices heard since then; forget what was not heard for long."""
        now_ns = self._clock.now_ns()
        for stream in list(self.streams.values()):
            if stream.heard_ns >= since_ns and self._newest.get(stream.device_id) == stream.id:
                self._publish_state(stream)
            elif now_ns - stream.heard_ns > FORGET_NS:
                del self.streams[stream.id]

    def _binding(self, device: DeviceRecord) -> Binding:
        bound = self.registry.binding(device.device_id)
        if bound is not None:
            return bound
        before = self.newest(device.device_id)
        holder = self.registry.holder(before.patient_id) if before else None
        if before is not None and holder is not None and holder.device_id != device.device_id:
            self._rivals.refused(before.patient_id, device.device_id, holder.device_id)
            raise IngestRefusedError(
                409,
                f"device {device.device_id!r} was replaced by {holder.device_id!r}, which has the stream",
                "Stop sending, or assign this device: ecgwatch devices assign.",
            )
        raise IngestRefusedError(
            409,
            f"nobody wears device {device.device_id!r}",
            f"Assign it (ecgwatch devices assign {device.device_id} PATIENT), then begin a new stream.",
        )

    def _check_open(self, stream: IngestStream) -> None:
        if not stream.over:
            return
        newest = self._newest.get(stream.device_id, "")
        if newest != stream.id:  # two gateways, one device
            device = stream.device_id
            rival, holder = (f"{device} (stream {name[:8]})" for name in (stream.id, newest))
            self._rivals.refused(stream.patient_id, rival, holder)
        raise IngestRefusedError(
            409, f"stream {stream.id} is over: {stream.over}", checks.BEGIN_NEW
        )

    def _begun(self, stream_id: str, bound: Binding, first: Chunk) -> IngestStream:
        """A stream as its first chunk tells it; not in the book yet."""
        device, person = bound
        if stream_id in self._before.get(device.device_id, ()):
            raise IngestRefusedError(
                409, f"stream {stream_id} is over: the device has begun another", checks.BEGIN_NEW
            )
        checks.check_first(stream_id, bound, first)
        return IngestStream(
            stream_id,
            device.device_id,
            person.patient_id,
            person.admitted_ns,
            first.lead,
            first.fs_hz,
            first.counts_per_mv,
            first.t0_ns,
            self._clock.now_ns(),
        )

    def _open(self, stream: IngestStream) -> None:
        before = self.newest(stream.device_id)
        if before is not None:
            names = (*self._before.get(stream.device_id, ()), before.id)
            self._before[stream.device_id] = names[-STREAMS_BEFORE:]
            if not before.over:
                self._over(before, f"the device has begun stream {stream.id}")
        self._newest[stream.device_id] = stream.id
        self.streams[stream.id] = stream

    def _send(self, stream: IngestStream, chunk: Chunk) -> Done:
        fault = self._rivals.fault(stream.patient_id)
        message = chunk.bound(stream.patient_id, stream.device_id, stream.seq, fault)
        done = self._outlet.send(topics.SAMPLES.name, stream.patient_id.encode(), encode(message))
        stream.seq += 1
        behind = chunk.first_sample + chunk.n
        stream.next_sample = max(stream.next_sample, behind)
        stream.sure = True
        if chunk.battery is not None:
            stream.battery, stream.battery_s = chunk.battery, self._clock.steady_s()
        stream.recent[chunk.key] = chunk.digest(), done
        while len(stream.recent) > REMEMBERED:
            stream.recent.popitem(last=False)
        done.add_done_callback(lambda d: self._delivered(stream, chunk.key, behind, d))
        return done

    def _delivered(
        self, stream: IngestStream, key: tuple[int, int], behind: int, done: Done
    ) -> None:
        if done.cancelled() or done.exception() is not None:
            stream.recent.pop(key, None)
        else:
            stream.kept = max(stream.kept, behind)

    def _end(self, stream: IngestStream, why: str) -> None:
        """End a stream whose person or device has changed: accept nothing more, and tell the
        processor."""
        if self._clock.now_ns() - stream.heard_ns < CURRENT_NS:
            first = stream.next_sample
            if (
                not stream.sure
            ):  # more may have been taken before a restart: what is missing until now is missing
                first = max(
                    first, round((self._clock.now_ns() - stream.start_ns) / 1e9 * stream.fs_hz)
                )
            offset_ns = sample_offset_ns(first, stream.fs_hz)
            closing = SampleChunk(
                patient_id=stream.patient_id,
                device_id=stream.device_id,
                lead=stream.lead,
                seq=stream.seq,
                first_sample=first,
                t0_ns=stream.start_ns + offset_ns,
                fs_hz=stream.fs_hz,
                counts_per_mv=stream.counts_per_mv,
                samples=b"",
                end=True,
            )
            self._outlet.send(topics.SAMPLES.name, stream.patient_id.encode(), encode(closing))
        self._over(stream, why)
        self._publish_state(stream)

    def _over(self, stream: IngestStream, why: str) -> None:
        stream.over = why
        for reply_to in list(stream.listeners):
            reply_to(Reply(next_sample=stream.kept, released=why))

    def _why(self, registry: Registry, stream: IngestStream) -> str:
        person, device = (
            registry.people.get(stream.patient_id),
            registry.devices.get(stream.device_id),
        )
        if person is None or not person.present or person.admitted_ns != stream.stay_ns:
            return f"{stream.patient_id} was discharged"
        if device is None or not device.token_sha256:
            return "the device's token was revoked"
        holder = registry.holder(stream.patient_id)
        return (
            f"{stream.patient_id} wears {holder.device_id} now"
            if holder
            else "the device was released"
        )

    def _publish_state(self, stream: IngestStream) -> Done:
        state = DeviceState(
            device_id=stream.device_id,
            heard_ns=stream.heard_ns,
            battery=stream.battery,
            stream=stream.id,
            patient_id=stream.patient_id,
            stay_ns=stream.stay_ns,
            lead=stream.lead,
            fs_hz=stream.fs_hz,
            counts_per_mv=stream.counts_per_mv,
            start_ns=stream.start_ns,
            next_sample=stream.kept,
            over=stream.over,
            before=self._before.get(stream.device_id, ()),
        )
        return self._outlet.send(
            topics.DEVICES.name, stream.device_id.encode(), encode_state(state)
        )
