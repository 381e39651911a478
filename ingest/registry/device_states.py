"""When each device was last heard, and its stream: what a restarted server, `devices list` and the page know it by. Topic ecg.devices.

One state per device, the last one counts. The server tells it when a stream begins or ends, and every
half minute while chunks come.
"""

from __future__ import annotations

import msgspec

from ingest.messages import SCHEMA, BadMessageError
from ingest.registry.compacted import read_all
from ingest.topics import DEVICES


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """A device as the ingest server has last heard it."""

    schema: int = SCHEMA
    device_id: str
    heard_ns: int  # by the server's wall clock
    battery: float | None = None  # 0-1, as last reported
    stream: str = ""  # the UUID of its newest stream
    patient_id: str = ""  # whose stream it is
    stay_ns: int = 0
    lead: str = ""
    fs_hz: float = 0.0
    counts_per_mv: float = 0.0
    start_ns: int = 0  # time of sample 0
    next_sample: int = 0
    over: str = ""  # why nothing more of the stream is taken; "" while it is
    before: tuple[str, ...] = ()  # the streams before it, oldest first


_decoder = msgspec.msgpack.Decoder(DeviceState)


def encode_state(state: DeviceState) -> bytes:
    """MessagePack bytes."""
    return msgspec.msgpack.encode(state)


def decode_state(data: bytes) -> DeviceState:
    """The state of the bytes. Raises BadMessageError with the reason."""
    try:
        state = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMessageError(f"not a device's state: {error}") from error
    if state.schema != SCHEMA:
        raise BadMessageError(
            f"state has schema version {state.schema}; this version reads {SCHEMA}"
        )
    return state


def read_states(broker: str) -> dict[str, DeviceState]:
    """By device. Makes the topics that are missing. Raises UnreachableError."""
    return {state.device_id: state for state in read_all(broker, DEVICES, decode_state)}
