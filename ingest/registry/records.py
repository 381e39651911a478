"""The records of devices and people, each the whole of what holds after a step. Topic ecg.registry.

The topic is compacted by key and kept for ever: the last record of a device or a person is its state,
and every service that reads the topic to its end knows the same. Who did what, and when, is in each
record, and once more in ecg.journal, which is stored.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ingest.messages import SCHEMA, BadMessageError

DeviceStep = Literal["added", "renewed", "assigned", "released", "revoked"]
PersonStep = Literal["admitted", "transferred", "edited", "discharged"]


class DeviceRecord(msgspec.Struct, frozen=True, kw_only=True, tag="device", tag_field="record"):
    """A device, the hash of its token, and who wears it. Key "device:ID"."""

    schema: int = SCHEMA
    device_id: str
    model: str = ""  # "Polar H10"
    notes: str = ""
    token_sha256: str  # hexadecimal, of 32 random bytes; "" for a revoked device
    patient_id: str = ""  # who wears it; "" for nobody
    stay_ns: int = 0  # the admission of that person which the device was given for
    bound_ns: int = 0  # when the device was given to that person
    step: DeviceStep
    by: str
    time_ns: int  # by the wall clock

    @property
    def key(self) -> bytes:
        return b"device:" + self.device_id.encode()


class PersonRecord(msgspec.Struct, frozen=True, kw_only=True, tag="person", tag_field="record"):
    """A person and, while admitted, the bed. Key "person:ID"."""

    schema: int = SCHEMA
    patient_id: str
    name: str = ""
    bed: str = ""
    profile: str = ""  # of alarm limits; "" for the one of the profiles file
    notes: str = ""
    admitted_ns: int  # of this stay, which it names
    discharged_ns: int | None = None
    step: PersonStep
    by: str
    time_ns: int  # by the wall clock

    @property
    def key(self) -> bytes:
        return b"person:" + self.patient_id.encode()

    @property
    def present(self) -> bool:
        """Whether the person is admitted."""
        return self.discharged_ns is None


Record = DeviceRecord | PersonRecord
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """MessagePack bytes."""
    return msgspec.msgpack.encode(record)


def decode_record(data: bytes) -> Record:
    """The record of the bytes. Raises BadMessageError with the reason."""
    try:
        record = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadMessageError(f"not a record of the registry: {error}") from error
    if record.schema != SCHEMA:
        raise BadMessageError(
            f"record has schema version {record.schema}; this version reads {SCHEMA}"
        )
    return record
