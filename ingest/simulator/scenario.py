"""A scenario: a small TOML file that says which rhythms a simulated patient goes through, for how long, and with how much noise.

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

Every key has a default but `rhythm` and `duration_s`. Unknown keys and impossible values are refused on load.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ingest.errors import BadInputError
from ingest.messages import MAX_FS_HZ, MIN_FS_HZ

FOLDER = Path(__file__).parent.parent / "scenarios"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Noise(_Part):
    """What is added to the heart's signal; amplitudes in mV. A small white floor is always there, as in any amplifier."""

    wander_mv: float = Field(default=0.05, ge=0, le=5, description="baseline wander: breathing and slow drift, amplitude")
    muscle_mv: float = Field(default=0.006, ge=0, le=2, description="muscle noise above 20 Hz, RMS")
    mains_mv: float = Field(default=0.002, ge=0, le=2, description="mains, amplitude")
    mains_hz: Literal[50, 60] = 50
    motion_per_minute: float = Field(default=0, ge=0, le=30, description="bursts of electrode motion of 1-2 s")
    motion_mv: float = Field(default=1.0, ge=0, le=5, description="size of such a burst")


class Patient(_Part):
    """The heart at 60/min; what depends on the rate follows it from there."""

    r_mv: float = Field(default=1.0, ge=0.2, le=4)
    p_mv: float = Field(default=0.13, ge=0, le=0.4)
    t_mv: float = Field(default=0.28, ge=-0.8, le=0.8)
    pr_ms: float = Field(default=160, ge=110, le=320)
    qrs_ms: float = Field(default=88, ge=60, le=160)
    qtc_ms: float = Field(default=405, ge=330, le=520)
    breaths_per_minute: float = Field(default=15, ge=6, le=40)
    respiratory_arrhythmia: float = Field(default=0.05, ge=0, le=0.25, description="RR change with breathing, as a share of RR at 60/min")


class _Segment(_Part):
    duration_s: float = Field(gt=0, le=86_400)
    noise: Noise = Field(default=Noise(), description="the keys given here replace the scenario's for this segment")


class SinusRhythm(_Segment):
    """The sinus node leads; ectopic beats and pauses come on top, evenly spread with some jitter."""

    rate: float
    pvc_per_minute: float = Field(default=0, ge=0, le=30)
    pvc_coupling_s: float | None = Field(default=None, ge=0.25, le=0.8, description="from the beat before; default 0.57 of the RR interval")
    couplets_per_minute: float = Field(default=0, ge=0, le=12)
    nsvt_per_minute: float = Field(default=0, ge=0, le=6)
    nsvt_beats: int = Field(default=4, ge=3, le=20)
    nsvt_rate: float = Field(default=160, ge=100, le=250)
    pac_per_minute: float = Field(default=0, ge=0, le=30)
    pauses_per_minute: float = Field(default=0, ge=0, le=6)
    pause_s: float = Field(default=2.6, ge=1.2, le=10, description="RR interval of a pause")


class Sinus(SinusRhythm):
    rhythm: Literal["sinus"]
    rate: float = Field(default=70, ge=20, le=220)


class Bradycardia(SinusRhythm):
    rhythm: Literal["bradycardia"]
    rate: float = Field(default=36, ge=20, lt=60)


class Tachycardia(SinusRhythm):
    rhythm: Literal["tachycardia"]
    rate: float = Field(default=135, gt=100, le=220)


class Ectopy(_Segment):
    """A ventricular beat after every sinus beat (bigeminy) or every second (trigeminy)."""

    rhythm: Literal["bigeminy", "trigeminy"]
    rate: float = Field(default=72, ge=40, le=110, description="of the sinus node")


class Afib(_Segment):
    rhythm: Literal["afib"]
    rate: float = Field(default=105, ge=30, le=200, description="mean ventricular rate")
    irregularity: float = Field(default=0.22, ge=0.1, le=0.35, description="SD of the RR interval over its mean")
    f_wave_mv: float = Field(default=0.07, ge=0, le=0.3)
    f_wave_hz: float = Field(default=6.2, ge=4, le=9)
    pvc_per_minute: float = Field(default=0, ge=0, le=20)


class Svt(_Segment):
    rhythm: Literal["svt"]
    rate: float = Field(default=180, gt=100, le=250)


class VentricularTachycardia(_Segment):
    """A run of ventricular beats of one focus, with the atria beating on their own."""

    rhythm: Literal["vt"]
    rate: float = Field(default=170, gt=100, le=250)


class Idioventricular(_Segment):
    rhythm: Literal["ventricular"]
    rate: float = Field(default=65, ge=20, le=100)


class Paced(_Segment):
    rhythm: Literal["paced"]
    rate: float = Field(default=70, ge=40, le=130)
    spike_mv: float = Field(default=0.5, ge=0, le=5)


class Fibrillation(_Segment):
    """No QRS complex at all: fibrillation (`vf`) or the more regular and larger flutter (`flutter`)."""

    rhythm: Literal["vf"]
    wave_hz: float = Field(default=4.8, ge=3, le=7)
    start_mv: float = Field(default=0.5, ge=0.05, le=2)
    end_mv: float = Field(default=0.25, ge=0.02, le=2)


class Flutter(_Segment):
    rhythm: Literal["flutter"]
    wave_hz: float = Field(default=4.3, ge=2.5, le=5.5)
    start_mv: float = Field(default=0.9, ge=0.05, le=2)
    end_mv: float = Field(default=0.9, ge=0.02, le=2)


class Silent(_Segment):
    """`asystole`: the heart stands still. `lead_off`: the electrode is off, the signal flat and flagged by the device."""

    rhythm: Literal["asystole", "lead_off"]


Segment = Annotated[
    Sinus | Bradycardia | Tachycardia | Ectopy | Afib | Svt
    | VentricularTachycardia | Idioventricular | Paced | Fibrillation | Flutter | Silent,
    Field(discriminator="rhythm"),
]  # fmt: skip


class Scenario(_Part):
    """What a simulated patient goes through."""

    name: str = Field(min_length=1, max_length=64)
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    fs_hz: float = Field(default=250, ge=MIN_FS_HZ, le=MAX_FS_HZ)
    counts_per_mv: float = Field(default=200, ge=20, le=10_000)
    lead: str = "II"
    loop: bool = False
    patient: Patient = Patient()
    noise: Noise = Noise()
    segments: tuple[Segment, ...] = Field(min_length=1)

    @field_validator("fs_hz")
    @classmethod
    def _whole(cls, fs_hz: float) -> float:
        if fs_hz != round(fs_hz):
            raise ValueError("a simulated patient needs a whole number of samples per second")
        return fs_hz

    @property
    def script_s(self) -> float:
        """Length of the script, once through, in seconds."""
        return sum(segment.duration_s for segment in self.segments)

    def noise_in(self, segment: _Segment) -> Noise:
        """The scenario's noise with what the segment says instead."""
        return self.noise.model_copy(update=segment.noise.model_dump(exclude_unset=True))


def shipped() -> list[str]:
    """Names of the scenarios that come with the product."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(path_or_name: str | Path) -> Scenario:
    """The scenario in a TOML file, or the shipped one of that name.

    Raises BadInputError naming the file, the segment (counted from 1), the key and what to do.
    """
    path = FOLDER / f"{path_or_name}.toml" if str(path_or_name) in shipped() else Path(path_or_name)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(f"scenario {path}: {error}", f"Name a TOML file, or one of: {', '.join(shipped())}.") from error
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(f"scenario {path}: not TOML: {error}", f"Mend that line; {FOLDER / 'normal.toml'} is an example.") from error
    return parse(data, str(path))


def parse(data: dict[str, Any], origin: str) -> Scenario:
    """The scenario that the keys and values describe; `origin` names it in errors and, without folder and ending, by default itself."""
    try:
        return Scenario.model_validate({"name": Path(origin).stem} | data)
    except ValidationError as error:
        where, key, problem, known = _explain(error, data)
        remedy = f"Correct it; known there: {', '.join(known)}." if known else "Correct it."
        raise BadInputError(f"scenario {origin}, {where}{f', key {key!r}' if key else ''}: {problem}", remedy) from error


def _explain(error: ValidationError, data: dict[str, Any]) -> tuple[str, str, str, list[str]]:
    """Place, key, problem and the keys or values known at that place, of the first thing that is wrong."""
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
        if rhythm not in _kinds():
            return where, "rhythm", "missing" if rhythm is None else f"no rhythm is called {rhythm!r}", sorted(_kinds())
        kind, location = _kinds()[rhythm], location[3:]
    for name, table in (("patient", Patient), ("noise", Noise)):
        if len(location) > 1 and location[0] == name:
            where, kind, location = (f"[{name}]" if kind is Scenario else f"{where}, noise"), table, location[1:]
    key = str(location[0]) if location else ""
    problem = {"extra_forbidden": "unknown key", "missing": "missing"}.get(first["type"], problem)
    return where, key, problem, list(kind.model_fields)


def _kinds() -> dict[str, type[BaseModel]]:
    """Model of each rhythm name."""
    union = Segment.__origin__.__args__  # type: ignore[attr-defined]
    return {name: kind for kind in union for name in kind.model_fields["rhythm"].annotation.__args__}
