"""Parts of a scenario: the patient, the noise, and one kind of segment for each rhythm, with their
defaults and limits."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field


class ScriptPart(BaseModel):
    """Base of all parts: unknown keys are refused, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ScriptNoise(ScriptPart):
    """Noise added to the heart's signal, amplitudes in mV. A small white noise is always present,
    as in any amplifier."""

    wander_mv: float = Field(
        default=0.05, ge=0, le=5, description="baseline wander: breathing and slow drift, amplitude"
    )
    muscle_mv: float = Field(default=0.006, ge=0, le=2, description="muscle noise above 20 Hz, RMS")
    mains_mv: float = Field(default=0.002, ge=0, le=2, description="mains, amplitude")
    mains_hz: Literal[50, 60] = 50
    motion_per_minute: float = Field(
        default=0, ge=0, le=30, description="bursts of electrode motion of 1-2 s"
    )
    motion_mv: float = Field(default=1.0, ge=0, le=5, description="size of such a burst")


class Patient(ScriptPart):
    """The heart at 60/min; values that depend on the rate are derived from these."""

    r_mv: float = Field(default=1.0, ge=0.2, le=4)
    p_mv: float = Field(default=0.13, ge=0, le=0.4)
    t_mv: float = Field(default=0.28, ge=-0.8, le=0.8)
    pr_ms: float = Field(default=160, ge=110, le=320)
    qrs_ms: float = Field(default=88, ge=60, le=160)
    qtc_ms: float = Field(default=405, ge=330, le=520)
    breaths_per_minute: float = Field(default=15, ge=6, le=40)
    respiratory_arrhythmia: float = Field(
        default=0.05,
        ge=0,
        le=0.25,
        description="RR change with breathing, as a share of RR at 60/min",
    )


class _Segment(ScriptPart):
    duration_s: float = Field(ge=0.1, le=86_400)
    noise: ScriptNoise = Field(
        default=ScriptNoise(),
        description="the keys given here replace the scenario's for this segment",
    )


class SinusRhythm(_Segment):
    """Sinus rhythm with ectopic beats and pauses, evenly spread with some jitter."""

    rate: float
    pvc_per_minute: float = Field(default=0, ge=0, le=30)
    pvc_coupling_s: float | None = Field(
        default=None,
        ge=0.25,
        le=0.8,
        description="from the beat before; default 0.57 of the RR interval",
    )
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
    """A ventricular beat after every sinus beat (bigeminy) or after every second one
    (trigeminy)."""

    rhythm: Literal["bigeminy", "trigeminy"]
    rate: float = Field(default=72, ge=40, le=110, description="of the sinus node")


class Afib(_Segment):
    rhythm: Literal["afib"]
    rate: float = Field(default=105, ge=30, le=200, description="mean ventricular rate")
    irregularity: float = Field(
        default=0.22, ge=0.1, le=0.35, description="SD of the RR interval over its mean"
    )
    f_wave_mv: float = Field(default=0.07, ge=0, le=0.3)
    f_wave_hz: float = Field(default=6.2, ge=4, le=9)
    pvc_per_minute: float = Field(default=0, ge=0, le=20)
    aberrant_per_minute: float = Field(
        default=0,
        ge=0,
        le=12,
        description="runs of four beats conducted with a bundle branch block",
    )


class Svt(_Segment):
    rhythm: Literal["svt"]
    rate: float = Field(default=180, gt=100, le=250)


class VentricularTachycardia(_Segment):
    """A run of ventricular beats of one focus, with dissociated atria."""

    rhythm: Literal["vt"]
    rate: float = Field(default=170, gt=100, le=250)
    irregularity: float = Field(
        default=0.012, ge=0, le=0.2, description="SD of the RR interval over its mean"
    )
    kernels: tuple[tuple[float, float, float, float], ...] = Field(
        default=(),
        max_length=16,
        description="shape of a beat as in ingest/simulator/morphology.py; default the patient's",
    )


class Idioventricular(_Segment):
    rhythm: Literal["ventricular"]
    rate: float = Field(default=65, ge=20, le=100)


class Paced(_Segment):
    rhythm: Literal["paced"]
    rate: float = Field(default=70, ge=40, le=130)
    spike_mv: float = Field(default=0.5, ge=0, le=5)


class Fibrillation(_Segment):
    """Ventricular fibrillation, without QRS complexes."""

    rhythm: Literal["vf"]
    wave_hz: float = Field(default=4.8, ge=3, le=7)
    start_mv: float = Field(default=0.5, ge=0.05, le=2)
    end_mv: float = Field(default=0.25, ge=0.02, le=2)


class Flutter(_Segment):
    rhythm: Literal["flutter"]
    wave_hz: float = Field(default=4.3, ge=2.5, le=5.5)
    start_mv: float = Field(default=0.9, ge=0.05, le=2)
    end_mv: float = Field(default=0.9, ge=0.02, le=2)


class Agonal(_Segment):
    """Agonal rhythm: very wide, slurred complexes, many seconds apart."""

    rhythm: Literal["agonal"]
    rate: float = Field(default=10, ge=3, le=20)


class Asystole(_Segment):
    """Ventricular standstill; P waves or pacing spikes may go on without capture."""

    rhythm: Literal["asystole"]
    p_wave_rate: float = Field(default=0, ge=0, le=120, description="0: the atria stand still too")
    spike_rate: float = Field(default=0, ge=0, le=130, description="of a pacemaker without capture")
    spike_mv: float = Field(default=0.5, ge=0, le=5)


class LeadOff(_Segment):
    """The electrode is off: the signal is flat, and flagged by the device."""

    rhythm: Literal["lead_off"]


Segment = Annotated[
    Sinus
    | Bradycardia
    | Tachycardia
    | Ectopy
    | Afib
    | Svt
    | VentricularTachycardia
    | Idioventricular
    | Paced
    | Fibrillation
    | Flutter
    | Agonal
    | Asystole
    | LeadOff,
    Field(discriminator="rhythm"),
]

KINDS: dict[str, type[BaseModel]] = {
    name: kind
    for kind in get_args(get_args(Segment)[0])
    for name in get_args(kind.model_fields["rhythm"].annotation)
}
"""Kind of segment of each rhythm, by its name."""
