"""Devices and people: what each step makes, and what is refused."""

from __future__ import annotations

import pytest

from ingest.errors import BadInputError
from ingest.registry import steps
from tests.unit.ingest.registry_ward import Ward


@pytest.fixture
def ward() -> Ward:
    made = Ward()
    for device in ("h1", "h2"):
        made.add(device)
    return made


def test_admitted_worn_transferred_discharged_readmitted(ward):
    ward.admit("ada", name="Ada L.", bed="3", profile="paediatric", device_id="h1")
    assert (ward.worn_by("h1"), ward.registry.in_bed("3").name) == ("ada", "Ada L.")
    ward.take(steps.transfer(ward.registry, "ada", "4", ward.by()))
    assert ward.registry.in_bed("3") is None
    assert (ward.worn_by("h1"), ward.registry.in_bed("4").patient_id) == ("ada", "ada")
    ward.take(steps.assign(ward.registry, "h2", "ada", ward.by()))
    assert (ward.worn_by("h1"), ward.worn_by("h2")) == ("", "ada")
    ward.take(steps.discharge(ward.registry, "ada", ward.by()))
    assert (ward.registry.in_bed("4"), ward.worn_by("h2")) == (None, "")
    ward.admit("ada", bed="1")
    again = ward.registry.people["ada"]
    assert (again.name, again.profile, again.bed, again.present) == (
        "Ada L.",
        "paediatric",
        "1",
        True,
    )
    assert ward.worn_by("h2") == ""
    assert ward.journal == [
        ("ada", "admitted", "bed 3"),
        ("ada", "device assigned", "h1"),
        ("ada", "transferred", "from bed 3 to bed 4"),
        ("ada", "device released", "h1, in favour of h2"),
        ("ada", "device assigned", "h2"),
        ("ada", "discharged", "from bed 4"),
        ("ada", "device released", "h2"),
        ("ada", "admitted", "bed 1"),
    ]


def test_a_discharge_that_stopped_half_way_leaves_the_device_with_nobody(ward):
    ward.admit("ada", device_id="h1")
    made = steps.discharge(ward.registry, "ada", ward.by())
    ward.registry.apply(made.records[0])
    assert ward.worn_by("h1") == ""
    ward.admit("ada")
    assert ward.worn_by("h1") == ""  # a new stay: the old binding is not revived


def test_of_two_devices_given_at_once_the_later_one_holds(ward):
    ward.admit("ada")
    first = steps.assign(ward.registry, "h1", "ada", ward.by())
    second = steps.assign(ward.registry, "h2", "ada", ward.by())
    ward.take(first)
    ward.take(second)
    assert (ward.worn_by("h1"), ward.worn_by("h2")) == ("", "ada")


def test_a_token_is_shown_once_and_dies_with_its_revocation(ward):
    token = ward.add("h3")
    assert ward.registry.device_of(token).device_id == "h3"
    assert token not in repr(ward.registry.devices["h3"])
    ward.admit("ada", device_id="h3")
    ward.take(steps.revoke(ward.registry, "h3", ward.by()))
    assert ward.registry.device_of(token) is None
    assert (ward.worn_by("h3"), ward.registry.device_of("")) == ("", None)
    assert ward.journal[-1] == ("ada", "device released", "h3, its token revoked")
    renewed = ward.add("h3")
    assert ward.registry.device_of(renewed).model == "Polar H10"
    assert ward.registry.device_of(token) is None


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        (lambda r, by: steps.add_device(r, "h1", by), "already"),
        (lambda r, by: steps.add_device(r, "a/b", by), "/"),
        (lambda r, by: steps.add_device(r, " x", by), "blank"),
        (lambda r, by: steps.assign(r, "h9", "ada", by), "no device"),
        (lambda r, by: steps.assign(r, "h2", "eve", by), "not known"),
        (lambda r, by: steps.assign(r, "h1", "ada", by), "wears device 'h1' already"),
        (lambda r, by: steps.assign(r, "h1", "bob", by), "worn by 'ada'"),
        (lambda r, by: steps.release(r, "h2", by), "nobody wears"),
        (lambda r, by: steps.admit(r, "ada", by), "admitted already"),
        (lambda r, by: steps.admit(r, "eve", by, bed="3"), "'ada' is in bed '3'"),
        (lambda r, by: steps.admit(r, "eve", by, device_id="h1"), "worn by 'ada'"),
        (lambda r, by: steps.admit(r, "eve", by, name="x" * 201), "longer"),
        (lambda r, by: steps.transfer(r, "bob", "3", by), "in bed '3'"),
        (lambda r, by: steps.transfer(r, "ada", "3", by), "already"),
        (lambda r, by: steps.edit(r, "ada", by, name=""), "nothing"),
        (lambda r, by: steps.discharge(r, "eve", by), "not known"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_name(ward, step, problem):
    ward.admit("ada", bed="3", device_id="h1")
    ward.admit("bob")
    with pytest.raises(BadInputError) as refused:
        step(ward.registry, ward.by())
    assert problem in refused.value.problem
    assert refused.value.remedy
