"""A patient's state as bytes, which is validated completely before any of it is used."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from ingest.bounds import sentence, stream_problems
from stream_processor.pipeline.stages.admission.runs import AdmissionState, Stream

STATE_VERSION = 12
_CHECKSUM = 4  # bytes in front


class StreamState(msgspec.Struct, array_like=True):
    """The state of an open stream."""

    stream: Stream
    admission: AdmissionState
    lost: bool  # the signal counts as lost
    stages: dict[str, Any]  # by stage


class State(msgspec.Struct):
    """The complete state of a patient."""

    patient_id: str
    lifecycle: Any
    stream: StreamState | None = None
    version: int = STATE_VERSION


class _Version(msgspec.Struct):
    version: int


_decoder = msgspec.msgpack.Decoder(State)
_versions = msgspec.msgpack.Decoder(_Version)


def pack(state: State) -> bytes:
    """Return the state as bytes with a checksum."""
    data = msgspec.msgpack.encode(state)
    return zlib.crc32(data).to_bytes(_CHECKSUM) + data


def unpack(data: bytes, patient_id: str) -> State:
    """Return the state that `pack` has packed for this patient. Raises ValueError: damaged, of
    another version, of another patient."""
    checksum, data = data[:_CHECKSUM], data[_CHECKSUM:]
    if zlib.crc32(data).to_bytes(_CHECKSUM) != checksum:
        raise ValueError("not a state: its checksum is wrong")
    try:
        if (version := _versions.decode(data).version) != STATE_VERSION:
            raise ValueError(f"state of version {version}, expected {STATE_VERSION}")
        state = _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a state: {error}") from error
    if state.stream is not None and (problem := _problem(state.stream)):
        raise ValueError(f"not a state: {problem}")
    named = {state.patient_id, *({state.stream.stream.patient_id} if state.stream else ())}
    if named != {patient_id}:
        raise ValueError(f"state of {sorted(named)}, expected {patient_id!r}")
    return state


def _problem(state: StreamState) -> str:
    stream = state.stream
    problems = stream_problems(
        patient_id=stream.patient_id,
        device_id=stream.device_id,
        lead=stream.lead,
        fs_hz=stream.fs_hz,
        counts_per_mv=stream.counts_per_mv,
        start_ns=max(0, stream.start_ns),  # of a stream that we joined late it may be before 1970
    )
    if state.admission.stream != stream:
        return "two streams that differ"
    return sentence(problems)
