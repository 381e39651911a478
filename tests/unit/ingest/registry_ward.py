"""A registry for tests that take steps on it."""

from __future__ import annotations

from ingest.registry import steps
from ingest.registry.records import decode_record, encode_record
from ingest.registry.state import Registry
from ingest.registry.step import Author, Steps

S = 10**9


class Ward:
    """A registry that steps are taken on, each a second after the last."""

    def __init__(self) -> None:
        self.registry, self.now, self.journal = Registry(), 10**18, []

    def by(self) -> Author:
        self.now += S
        return Author("Kim", self.now)

    def take(self, made: Steps) -> None:
        for record in made.records:
            self.registry.apply(decode_record(encode_record(record)))
        self.journal += [(e.patient_id, e.kind, e.text) for e in made.journal]

    def add(self, device: str) -> str:
        made, token = steps.add_device(self.registry, device, self.by(), model="Polar H10")
        self.take(made)
        return token

    def admit(self, patient: str, **fields: str) -> None:
        self.take(steps.admit(self.registry, patient, self.by(), **fields))

    def worn_by(self, device: str) -> str:
        bound = self.registry.binding(device)
        return bound.person.patient_id if bound else ""
