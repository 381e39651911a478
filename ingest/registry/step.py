"""A step on the registry, and the checks that steps share."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from ingest.bounds import name_problem
from ingest.errors import BadInputError
from ingest.messages import Action, JournalEntry, JournalKind
from ingest.registry.records import DeviceRecord, PersonRecord, Record
from ingest.registry.state import Registry

MAX_TEXT = 200  # characters of a name, a bed, a model or notes


class Steps(NamedTuple):
    """Records for ecg.registry, in the order to send them, what the journal says of them, and what
    follows for the patient's alarms."""

    records: list[Record]
    journal: list[JournalEntry]
    actions: Sequence[Action] = ()

    @property
    def messages(self) -> list[Record | JournalEntry | Action]:
        """All of it, in the order to send it."""
        return [*self.records, *self.journal, *self.actions]


class Author(NamedTuple):
    """Who takes a step, and when (wall clock, nanoseconds)."""

    name: str
    time_ns: int


def entry(patient_id: str, by: Author, kind: JournalKind, text: str) -> JournalEntry:
    """Make the journal's entry about a step."""
    return JournalEntry(
        patient_id=patient_id,
        time_ns=by.time_ns,
        id=secrets.token_hex(12),
        by=by.name,
        kind=kind,
        text=text,
    )


def action(patient_id: str, by: Author, **fields: Any) -> Action:
    """The action by which the processor learns of a step."""
    return Action(
        patient_id=patient_id, time_ns=by.time_ns, id=secrets.token_hex(12), by=by.name, **fields
    )


def known_device(registry: Registry, device_id: str) -> DeviceRecord:
    """The device. Raises BadInputError."""
    found = registry.devices.get(device_id)
    if found is None:
        raise BadInputError(
            f"there is no device {device_id!r}",
            f"Add it (ecgwatch devices add {device_id}), or see `ecgwatch devices list`.",
        )
    return found


def present(registry: Registry, patient_id: str) -> PersonRecord:
    """The person, admitted. Raises BadInputError."""
    found = registry.people.get(patient_id)
    if found is None or not found.present:
        state = "was discharged" if found else "is not known"
        raise BadInputError(
            f"patient {patient_id!r} {state}",
            f"Admit first: ecgwatch patients admit {patient_id!r} --bed BED",
        )
    return found


def check_bed(registry: Registry, bed: str, patient_id: str) -> None:
    """Raise BadInputError for a bed that is occupied by another person."""
    there = registry.in_bed(bed)
    if there is not None and there.patient_id != patient_id:
        raise BadInputError(
            f"{there.patient_id!r} is in bed {bed!r}",
            "Take another bed, or transfer or discharge who is there.",
        )


def check_names(**names: str) -> None:
    """Raise BadInputError for a text that can be no id."""
    for field, text in names.items():
        if problem := name_problem(field, text):
            raise BadInputError(f"{problem}: {text[:40]!r}", "Give 1 to 128 printable characters.")


def check_texts(**texts: str) -> None:
    """Raise BadInputError for a text that does not fit in a line."""
    for field, text in texts.items():
        if len(text) > MAX_TEXT or not text.isprintable():
            raise BadInputError(
                f"{field} is longer than {MAX_TEXT} characters or holds some that cannot be printed",
                "Write it shorter, in one line.",
            )
