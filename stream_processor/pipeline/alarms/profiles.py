"""Alarm limits: the built-in profiles, the profiles file, and one patient's own limits on top.

The file (TOML) names profiles, groups of patients and single patients; what it does not say is the
built-in adult profile:

    [profiles.athlete]
    base = "adult"                # or "paediatric", or another profile of this file that stands before it
    hr_low_bpm = 45
    off = ["missed_beat"]         # alarms that are not raised; asystole, VF, VT and a lost signal cannot be

    [groups.cycling-club]
    patients = ["club-*"]         # shell patterns; the first group that fits counts
    profile = "athlete"

    [patients."bed 7"]            # what differs from the group's (or the adult's) profile
    hr_high_bpm = 130
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from ingest.errors import BadInputError
from ingest.messages import AlarmKind

ALWAYS_ON: tuple[AlarmKind, ...] = (
    "asystole",
    "ventricular_fibrillation",
    "ventricular_tachycardia",
    "no_signal",  # nobody goes unwatched
)


class Limit(NamedTuple):
    """Name, unit and sensible range of a threshold."""

    label: str
    unit: str
    low: float
    high: float


LIMITS: dict[str, Limit] = {
    "asystole_s": Limit("Asystole: no QRS for", "s", 3, 10),
    "fibrillation_s": Limit("Ventricular fibrillation for", "s", 2, 10),
    "vt_beats": Limit("Ventricular tachycardia: V beats in a row", "", 3, 15),
    "vt_bpm": Limit("Ventricular tachycardia: rate above", "/min", 80, 200),
    "extreme_tachycardia_bpm": Limit("Extreme tachycardia: above", "/min", 100, 300),
    "extreme_tachycardia_beats": Limit("Extreme tachycardia: over beats", "", 5, 24),
    "extreme_bradycardia_bpm": Limit("Extreme bradycardia: below", "/min", 15, 60),
    "extreme_bradycardia_beats": Limit("Extreme bradycardia: over beats", "", 3, 17),
    "ventricular_rhythm_bpm": Limit("Ventricular rhythm: rate from", "/min", 20, 80),
    "svt_beats": Limit("Supraventricular run: S beats in a row", "", 3, 15),
    "svt_bpm": Limit("Supraventricular run: rate above", "/min", 100, 300),
    "af_s": Limit("Atrial fibrillation for", "s", 10, 1800),
    "af_end_s": Limit("Atrial fibrillation is over after", "s", 0, 1800),
    "pause_s": Limit("Pause: RR longer than", "s", 1.5, 5),
    "missed_beat_ratio": Limit("Missed beat: RR longer than the mean, times", "", 1.5, 3),
    "hr_high_bpm": Limit("Heart rate high", "/min", 60, 280),
    "hr_low_bpm": Limit("Heart rate low", "/min", 20, 150),
    "pvc_per_minute": Limit("PVC per minute more than", "/min", 1, 60),
    "artefact_s": Limit("Artefact: of the last 30 s", "s", 5, 30),
    "no_signal_s": Limit("No signal for", "s", 3, 60),
    "battery": Limit("Battery below", "", 0.02, 0.5),
    "refractory_s": Limit("A medium or low alarm is announced again after", "s", 0, 600),
    "escalate_s": Limit(
        "Calls again where nobody acknowledges, or it holds on, after", "s", 30, 600
    ),
}
SHARES = {"battery"}  # of 1; people read them in percent


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds, named and bounded in LIMITS; the defaults are the adult profile."""

    asystole_s: float = 4.0
    fibrillation_s: float = 4.0
    vt_beats: int = 5
    vt_bpm: float = 100.0
    extreme_tachycardia_bpm: float = 140.0
    extreme_tachycardia_beats: int = 17
    extreme_bradycardia_bpm: float = 40.0
    extreme_bradycardia_beats: int = 5
    ventricular_rhythm_bpm: float = 40.0
    svt_beats: int = 5
    svt_bpm: float = 150.0
    af_s: float = 30.0
    af_end_s: float = 30.0
    pause_s: float = 2.0
    missed_beat_ratio: float = 1.8
    hr_high_bpm: float = 120.0
    hr_low_bpm: float = 50.0
    pvc_per_minute: int = 10
    artefact_s: int = 20
    no_signal_s: float = 5.0
    battery: float = 0.1
    refractory_s: float = 60.0
    escalate_s: float = 120.0
    off: tuple[AlarmKind, ...] = ()


ADULT = Profile()
# Children of 1 to 12 years, between the defaults of the makers named in docs/alarms.md.
PAEDIATRIC = Profile(
    vt_bpm=120.0,
    extreme_tachycardia_bpm=200.0,
    extreme_bradycardia_bpm=50.0,
    svt_bpm=180.0,
    hr_high_bpm=160.0,
    hr_low_bpm=75.0,
)
BUILT_IN = {"adult": ADULT, "paediatric": PAEDIATRIC}
ORDER = (
    ("extreme_bradycardia_bpm", "hr_low_bpm"),
    ("hr_low_bpm", "hr_high_bpm"),
    ("hr_high_bpm", "extreme_tachycardia_bpm"),
    ("ventricular_rhythm_bpm", "vt_bpm"),
    ("pause_s", "asystole_s"),
)  # the first must be below the second


def changed(profile: Profile, changes: Mapping[str, Any]) -> Profile:
    """The profile with other thresholds. Raises ValueError with what is wrong: unknown, not a
    number, out of range, contradictory."""
    for name, value in changes.items():
        if name != "off":
            _check(name, value)
    try:
        new = msgspec.convert(msgspec.to_builtins(profile) | dict(changes), Profile, strict=True)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    for low, high in ORDER:
        a, b = getattr(new, low), getattr(new, high)
        if a >= b:
            raise ValueError(f"{low} ({a:g}) must be below {high} ({b:g})")
    forbidden = [kind for kind in new.off if kind in ALWAYS_ON]
    if forbidden:
        raise ValueError(f"{', '.join(forbidden)} cannot be switched off")
    return new


def with_limits(
    profile: Profile,
    limits: Mapping[str, float | None],
    base: Profile,
    switches: Mapping[AlarmKind, bool | None] = MappingProxyType({}),
) -> Profile:
    """The profile with a patient's own limits, and alarms switched on (True) or off; None goes back
    to the base's value. Raises ValueError with the reason."""
    whole = {name for name, annotation in Profile.__annotations__.items() if annotation == "int"}
    values: dict[str, Any] = {}
    for name, value in limits.items():
        if name not in LIMITS:
            _check(name, value)
        given = getattr(base, name) if value is None else value
        values[name] = int(given) if name in whole and float(given).is_integer() else given
    if switches:
        off = set(profile.off)
        for kind, wanted in switches.items():
            on = kind not in base.off if wanted is None else wanted
            if on:
                off.discard(kind)
            else:
                off.add(kind)
        values["off"] = tuple(sorted(off))
    return changed(profile, values)


class Profiles:
    """The alarm profile of every patient."""

    def __init__(
        self,
        groups: Mapping[str, tuple[tuple[str, ...], str]],
        profiles: Mapping[str, Profile],
        patients: Mapping[str, Profile],
    ) -> None:
        self._groups, self._profiles, self._patients = groups, profiles, patients

    @classmethod
    def load(cls, path: Path | None) -> Profiles:
        """Read the profiles file; without one (None) everybody has the adult profile. Raises
        BadInputError naming the file, the place in it and what is wrong."""
        if path is None:
            return cls({}, BUILT_IN, {})
        try:
            return cls(*_parse(tomllib.loads(path.read_text(encoding="utf-8"))))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError) as error:
            remedy = "docs/alarms.md shows what it may hold; `ecgwatch alarms profile --check FILE` tries to read it."
            raise BadInputError(f"profiles file {path}: {error}", remedy) from error

    def name_of(self, patient_id: str) -> str:
        """The name of the patient's profile: its group's, or adult."""
        fits = (
            profile
            for patterns, profile in self._groups.values()
            if any(fnmatchcase(patient_id, p) for p in patterns)
        )
        return next(fits, "adult")

    @property
    def names(self) -> list[str]:
        return list(self._profiles)

    def check(self, name: str) -> None:
        """Raise BadInputError for a name that is no profile's."""
        if name not in self._profiles:
            raise BadInputError(
                f"there is no alarm profile {name!r}",
                f"There are {', '.join(self._profiles)}; the file of ECGWATCH_PROFILES may name more.",
            )

    def of(self, patient_id: str, given: str = "") -> Profile:
        """Return the patient's profile: the one given by name, if it exists, else the file's."""
        if given in self._profiles:
            return self._profiles[given]
        return self._patients.get(patient_id) or self._profiles[self.name_of(patient_id)]


def _check(name: str, value: Any) -> None:
    if name not in LIMITS:
        raise ValueError(f"unknown limit {name!r}; there are {', '.join(LIMITS)} and off")
    limit = LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}, not a number")
    if not limit.low <= value <= limit.high:
        raise ValueError(
            f"{name} = {value:g} is outside {limit.low:g} to {limit.high:g}{' ' + limit.unit if limit.unit else ''}"
        )


def _parse(
    text: Mapping[str, Any],
) -> tuple[dict[str, tuple[tuple[str, ...], str]], dict[str, Profile], dict[str, Profile]]:
    unknown = set(text) - {"profiles", "groups", "patients"}
    if unknown:
        raise ValueError(
            f"unknown table {sorted(unknown)[0]!r}; there are profiles, groups and patients"
        )
    profiles = dict(BUILT_IN)
    for name, values in _tables(text, "profiles"):
        if name in BUILT_IN:
            raise ValueError(
                f"[profiles.{name}] is built in; give yours another name, with base = {name!r}"
            )
        base = values.pop("base", "adult")
        if base not in profiles:
            raise ValueError(
                f"[profiles.{name}] base = {base!r} is no profile; so far there are {', '.join(profiles)}"
            )
        profiles[name] = _at(f"profiles.{name}", profiles[base], values)
    groups: dict[str, tuple[tuple[str, ...], str]] = {}
    for name, values in _tables(text, "groups"):
        patterns, profile = values.pop("patients", None), values.pop("profile", None)
        if (
            values
            or not isinstance(patterns, list)
            or not all(isinstance(p, str) for p in patterns)
            or not isinstance(profile, str)
        ):
            raise ValueError(
                f"[groups.{name}] needs patients = [patterns] and profile = a name, and nothing else"
            )
        if profile not in profiles:
            raise ValueError(
                f"[groups.{name}] profile = {profile!r} is no profile; there are {', '.join(profiles)}"
            )
        groups[name] = tuple(patterns), profile
    known = Profiles(groups, profiles, {})
    patients = {
        name: _at(f'patients."{name}"', known.of(name), values)
        for name, values in _tables(text, "patients")
    }
    return groups, profiles, patients


def _tables(text: Mapping[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    table = text.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(v, dict) for v in table.values()):
        raise ValueError(f"{name} must hold tables, as [{name}.NAME]")
    return [(key, dict(values)) for key, values in table.items()]


def _at(place: str, base: Profile, values: Mapping[str, Any]) -> Profile:
    try:
        return changed(base, values)
    except ValueError as error:
        raise ValueError(f"[{place}] {error}") from error
