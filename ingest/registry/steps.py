"""Steps on devices and people, each checked against the registry first.

Every function returns Steps and changes nothing; raises BadInputError naming the device, person or bed.
"""

from __future__ import annotations

import secrets

from msgspec.structs import replace

from ingest.errors import BadInputError
from ingest.messages import Action
from ingest.registry.records import DeviceRecord, PersonRecord
from ingest.registry.state import Registry, token_hash
from ingest.registry.step import (
    Author,
    Steps,
    action,
    check_bed,
    check_names,
    check_texts,
    entry,
    known_device,
    present,
)


def add_device(
    registry: Registry, device_id: str, by: Author, *, model: str = "", notes: str = ""
) -> tuple[Steps, str]:
    """A new device, or a new token for a revoked one; the second value is the token, kept nowhere."""
    check_names(device_id=device_id)
    check_texts(model=model, notes=notes)
    if "/" in device_id or "+" in device_id or "#" in device_id:
        raise BadInputError(
            f"device {device_id!r} holds / + or #",
            "Give it a name that can stand in an MQTT topic.",
        )
    known = registry.devices.get(device_id)
    if known is not None and known.token_sha256:
        raise BadInputError(
            f"there is a device {device_id!r} already",
            f"Revoke its token first if it was lost: ecgwatch devices revoke {device_id}",
        )
    token = secrets.token_urlsafe(32)
    made = DeviceRecord(
        device_id=device_id,
        model=model or (known.model if known else ""),
        notes=notes or (known.notes if known else ""),
        token_sha256=token_hash(token),
        step="renewed" if known else "added",
        by=by.name,
        time_ns=by.time_ns,
    )
    return Steps([made], []), token


def assign(registry: Registry, device_id: str, patient_id: str, by: Author) -> Steps:
    """Give the device to an admitted person; another device that this person wears is released."""
    device, person = known_device(registry, device_id), present(registry, patient_id)
    if not device.token_sha256:
        raise BadInputError(
            f"the token of device {device_id!r} was revoked",
            f"Give it a new one: ecgwatch devices add {device_id}",
        )
    bound = registry.binding(device_id)
    if bound is not None and bound.person.patient_id == patient_id:
        raise BadInputError(
            f"{patient_id!r} wears device {device_id!r} already", "Nothing needs to be done."
        )
    if bound is not None:
        raise BadInputError(
            f"device {device_id!r} is worn by {bound.person.patient_id!r}",
            f"Release it first: ecgwatch devices release {device_id}",
        )
    steps = Steps([], [])
    worn = registry.holder(patient_id)
    if worn is not None:
        _unbind(steps, worn, by, f"{worn.device_id}, in favour of {device_id}")
    steps.records.append(
        replace(
            device,
            patient_id=patient_id,
            stay_ns=person.admitted_ns,
            bound_ns=by.time_ns,
            step="assigned",
            by=by.name,
            time_ns=by.time_ns,
        )
    )
    steps.journal.append(entry(patient_id, by, "device assigned", device_id))
    return steps


def release(registry: Registry, device_id: str, by: Author) -> Steps:
    """Take the device off whoever wears it."""
    bound = registry.binding(known_device(registry, device_id).device_id)
    if bound is None:
        raise BadInputError(
            f"nobody wears device {device_id!r}", "`ecgwatch devices list` shows who wears what."
        )
    steps = Steps([], [])
    _unbind(steps, bound.device, by, device_id)
    return steps


def revoke(registry: Registry, device_id: str, by: Author) -> Steps:
    """Make the device's token worthless, and take it off whoever wears it."""
    device = known_device(registry, device_id)
    if not device.token_sha256:
        raise BadInputError(
            f"the token of device {device_id!r} was revoked before", "Nothing needs to be done."
        )
    steps = Steps([], [])
    bound = registry.binding(device_id)
    if bound is not None:
        steps.journal.append(
            entry(bound.person.patient_id, by, "device released", f"{device_id}, its token revoked")
        )
    steps.records.append(_unbound(device, by, "revoked"))
    return steps


def admit(
    registry: Registry,
    patient_id: str,
    by: Author,
    *,
    name: str = "",
    bed: str = "",
    profile: str = "",
    notes: str = "",
    device_id: str = "",
) -> Steps:
    """Admit a person, to a bed and with a device if these are given; a person known from before keeps name and profile."""
    check_names(patient_id=patient_id)
    check_texts(name=name, bed=bed, profile=profile, notes=notes)
    known = registry.people.get(patient_id)
    if known is not None and known.present:
        raise BadInputError(
            f"{patient_id!r} is admitted already"
            + (f", to bed {known.bed!r}" if known.bed else ""),
            "Transfer to another bed, or discharge first.",
        )
    check_bed(registry, bed, patient_id)
    made = PersonRecord(
        patient_id=patient_id,
        name=name or (known.name if known else ""),
        bed=bed,
        profile=profile or (known.profile if known else ""),
        notes=notes,
        admitted_ns=by.time_ns,
        step="admitted",
        by=by.name,
        time_ns=by.time_ns,
    )
    journal_entry = entry(patient_id, by, "admitted", f"bed {bed}" if bed else "")
    steps = Steps([made], [journal_entry], _profile(known, made, by))
    if device_id:
        after = registry.copy()
        after.apply(made)
        given = assign(after, device_id, patient_id, by)
        return Steps(steps.records + given.records, steps.journal + given.journal, steps.actions)
    return steps


def transfer(registry: Registry, patient_id: str, bed: str, by: Author) -> Steps:
    """Move an admitted person to another bed; device, limits and profile go along."""
    person = present(registry, patient_id)
    check_texts(bed=bed)
    if person.bed == bed:
        raise BadInputError(
            f"{patient_id!r} is in bed {bed!r} already", "Nothing needs to be done."
        )
    check_bed(registry, bed, patient_id)
    text = f"from bed {person.bed or '-'} to bed {bed or '-'}"
    moved = replace(person, bed=bed, step="transferred", by=by.name, time_ns=by.time_ns)
    return Steps([moved], [entry(patient_id, by, "transferred", text)])


def edit(
    registry: Registry,
    patient_id: str,
    by: Author,
    *,
    name: str | None = None,
    profile: str | None = None,
    notes: str | None = None,
) -> Steps:
    """Change what is written of an admitted person; None leaves a field as it is."""
    person = present(registry, patient_id)
    fields = {"name": name, "profile": profile, "notes": notes}
    given = {
        field: text
        for field, text in fields.items()
        if text is not None and text != getattr(person, field)
    }
    check_texts(**given)
    if not given:
        raise BadInputError(
            f"nothing of {patient_id!r} would change", "Give a new name, profile or notes."
        )
    edited = replace(person, **given, step="edited", by=by.name, time_ns=by.time_ns)
    journal_entry = entry(patient_id, by, "edited", ", ".join(given))
    return Steps([edited], [journal_entry], _profile(person, edited, by))


def discharge(registry: Registry, patient_id: str, by: Author) -> Steps:
    """End the stay: the bed is free, the devices are released, the record is kept, and standing
    alarms are acknowledged, because nobody needs to look at them."""
    person = present(registry, patient_id)
    gone = replace(
        person, discharged_ns=by.time_ns, step="discharged", by=by.name, time_ns=by.time_ns
    )
    where = f"from bed {person.bed}" if person.bed else ""
    journal_entry = entry(patient_id, by, "discharged", where)
    quiet = action(patient_id, by, action="acknowledge", note="discharged")
    steps = Steps([gone], [journal_entry], [quiet])
    for device in list(registry.devices.values()):
        if device.patient_id == patient_id:
            _unbind(steps, device, by, device.device_id)
    return steps


def _unbind(steps: Steps, device: DeviceRecord, by: Author, text: str) -> None:
    steps.journal.append(entry(device.patient_id, by, "device released", text))
    steps.records.append(_unbound(device, by, "released"))


def _unbound(device: DeviceRecord, by: Author, step: str) -> DeviceRecord:
    token = "" if step == "revoked" else device.token_sha256
    return replace(
        device,
        token_sha256=token,
        patient_id="",
        stay_ns=0,
        bound_ns=0,
        step=step,
        by=by.name,
        time_ns=by.time_ns,
    )


def _profile(before: PersonRecord | None, after: PersonRecord, by: Author) -> list[Action]:
    """Make the action by which the processor learns of another alarm profile."""
    if after.profile == (before.profile if before else ""):
        return []
    return [action(after.patient_id, by, action="profile", profile=after.profile)]
