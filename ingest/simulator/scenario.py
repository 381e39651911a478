"""Scenarios: TOML files with the rhythms of a simulated patient, their durations and their noise.

    description = "Paroxysmal atrial fibrillation"
    loop = true
    [patient]
    r_mv = 1.2
    [noise]
    muscle_mv = 0.01
    [[segments]]
    rhythm = "sinus"
    duration_s = 20
    rate = 72
    [[segments]]
    rhythm = "afib"
    duration_s = 60

Every key has a default but `rhythm` and `duration_s`. Unknown keys and impossible values are
refused on load.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from ingest.bounds import MAX_FS_HZ, MIN_FS_HZ
from ingest.errors import BadInputError
from ingest.simulator.script import KINDS, Patient, ScriptNoise, ScriptPart, Segment

FOLDER = Path(__file__).parent.parent / "scenarios"


class Scenario(ScriptPart):
    """Script of a simulated patient."""

    name: str = Field(min_length=1, max_length=64)
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    fs_hz: float = Field(default=250, ge=MIN_FS_HZ, le=MAX_FS_HZ)
    counts_per_mv: float = Field(default=200, ge=20, le=10_000)
    lead: str = "II"
    loop: bool = False
    patient: Patient = Patient()
    noise: ScriptNoise = ScriptNoise()
    segments: tuple[Segment, ...] = Field(min_length=1)

    @property
    def script_s(self) -> float:
        """Length of the script, played once, in seconds."""
        return sum(segment.duration_s for segment in self.segments)

    def noise_in(self, segment: Segment) -> ScriptNoise:
        """Return the scenario's noise with the segment's own values in its place."""
        return self.noise.model_copy(update=segment.noise.model_dump(exclude_unset=True))


def shipped() -> list[str]:
    """Return the names of the scenarios that ship with the product."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(path_or_name: str | Path) -> Scenario:
    """Load a scenario from a TOML file, or a shipped one by name.

    Raises BadInputError that names the file, the segment (counted from 1), the key and the remedy.
    """
    path = FOLDER / f"{path_or_name}.toml" if str(path_or_name) in shipped() else Path(path_or_name)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"scenario {path}: {error}", f"Name a TOML file, or one of: {', '.join(shipped())}."
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(
            f"scenario {path}: not TOML: {error}",
            f"Correct that line; {FOLDER / 'normal.toml'} is an example.",
        ) from error
    return parse(data, str(path))


def parse(data: dict[str, Any], origin: str) -> Scenario:
    """Make a scenario from keys and values. `origin` names it in errors and, without folder and
    suffix, is the default of its name. Raises BadInputError as `load` does."""
    try:
        return Scenario.model_validate({"name": Path(origin).stem} | data)
    except ValidationError as error:
        where, key, problem, known = _explain(error, data)
        remedy = f"Correct it; known there: {', '.join(known)}." if known else "Correct it."
        raise BadInputError(
            f"scenario {origin}, {where}{f', key {key!r}' if key else ''}: {problem}", remedy
        ) from error


def _explain(error: ValidationError, data: dict[str, Any]) -> tuple[str, str, str, list[str]]:
    """Return place, key and problem of the first error, and the keys or values known at that
    place."""
    first = error.errors()[0]
    location, problem = list(first["loc"]), first["msg"]
    if "input" in first and not isinstance(first["input"], dict | list):
        problem += f" (is {first['input']!r})"
    kind: type[BaseModel] = Scenario
    where = "top level"
    if len(location) > 1 and location[0] == "segments":
        number = int(location[1])
        segment = data["segments"][number]
        rhythm = segment.get("rhythm") if isinstance(segment, dict) else None
        where = f"segment {number + 1}" + (f" ({rhythm})" if isinstance(rhythm, str) else "")
        if rhythm not in KINDS:
            return (
                where,
                "rhythm",
                "missing" if rhythm is None else f"no rhythm is called {rhythm!r}",
                sorted(KINDS),
            )
        kind, location = KINDS[rhythm], location[3:]
    for name, table in (("patient", Patient), ("noise", ScriptNoise)):
        if len(location) > 1 and location[0] == name:
            where, kind, location = (
                (f"[{name}]" if kind is Scenario else f"{where}, noise"),
                table,
                location[1:],
            )
    key = str(location[0]) if location else ""
    problem = {"extra_forbidden": "unknown key", "missing": "missing"}.get(first["type"], problem)
    return where, key, problem, list(kind.model_fields)
