"""The registry's state from its records: who is admitted, who wears which device, which device has
a token."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from ingest.registry.records import DeviceRecord, PersonRecord, Record


class Binding(NamedTuple):
    """A device on an admitted person."""

    device: DeviceRecord
    person: PersonRecord


def token_hash(token: str) -> str:
    """Hexadecimal SHA-256: a token is 32 random bytes, so nothing slower is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class Registry:
    """The newest record of every device and person. Not thread-safe; see `copy`."""

    def __init__(self) -> None:
        self.devices: dict[str, DeviceRecord] = {}
        self.people: dict[str, PersonRecord] = {}
        self._by_token: dict[str, str] = {}  # hash -> device id
        self._worn: dict[str, set[str]] = {}  # patient id -> devices whose record names it

    def apply(self, record: Record) -> None:
        """Take a record in. The last one of a key counts, as in the topic."""
        if isinstance(record, PersonRecord):
            self.people[record.patient_id] = record
            return
        before = self.devices.get(record.device_id)
        if before is not None:
            self._by_token.pop(before.token_sha256, None)
            self._worn.get(before.patient_id, set()).discard(before.device_id)
        self.devices[record.device_id] = record
        if record.token_sha256:
            self._by_token[record.token_sha256] = record.device_id
        if record.patient_id:
            self._worn.setdefault(record.patient_id, set()).add(record.device_id)

    def copy(self) -> Registry:
        """Return an independent registry with the same records."""
        other = Registry()
        records: list[Record] = [*self.people.values(), *self.devices.values()]
        for record in records:
            other.apply(record)
        return other

    def device_of(self, token: str) -> DeviceRecord | None:
        """Return the device that has this token."""
        device_id = self._by_token.get(token_hash(token))
        return None if device_id is None else self.devices[device_id]

    def binding(self, device_id: str) -> Binding | None:
        """Return who wears the device now: the person must be admitted, for the stay that the
        device was given for.

        If two devices were given to one person at once, the later one holds.
        """
        device = self.devices.get(device_id)
        holder = None if device is None else self.holder(device.patient_id)
        if device is None or holder is None or holder.device_id != device_id:
            return None
        return Binding(device, self.people[device.patient_id])

    def holder(self, patient_id: str) -> DeviceRecord | None:
        """Return the device that the person wears."""
        person = self.people.get(patient_id)
        if person is None or not person.present:
            return None
        worn = (self.devices[device] for device in self._worn.get(patient_id, ()))
        fitting = [device for device in worn if device.stay_ns == person.admitted_ns]
        return max(fitting, key=lambda device: (device.bound_ns, device.device_id), default=None)

    def in_bed(self, bed: str) -> PersonRecord | None:
        """Return the person in the bed."""
        return next((p for p in self.people.values() if p.present and p.bed == bed and bed), None)
