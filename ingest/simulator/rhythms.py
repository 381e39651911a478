"""The rhythm script played by a heart: when each beat comes, of which kind, and the reference
annotation of each.

Times are seconds since the start of the record until the last moment, when a beat is put on the
nearest sample. A heart keeps what outlives a segment: the last beat, when the sinus node fires
next, its rate, and the mean RR interval that the QT interval follows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from ingest.simulator import script
from ingest.simulator.events import Ectopy, Event
from ingest.simulator.morphology import Kernels, Morphology

RATE_SETTLES_S = 4.0  # the sinus node does not jump from one rate to another
QT_MEMORY = 0.15  # share of a new RR interval in the mean that QT follows
STUNNED_RATE = 45.0  # of the sinus node just after fibrillation or asystole
ABERRANT_RUN = 4  # beats in a row that one branch does not conduct
EDGE_S = 0.08  # no beat in the last part of a segment: its QRS complex would lie in the next
LABELS = {
    "sinus": "(N",
    "bradycardia": "(N",
    "tachycardia": "(N",
    "bigeminy": "(B",
    "trigeminy": "(T",
    "afib": "(AFIB",
    "svt": "(SVTA",
    "vt": "(VT",
    "ventricular": "(IVR",
    "paced": "(P",
    "vf": "(VF",
    "flutter": "(VFL",
    "agonal": "(IVR",
    "asystole": "(ASYS",
    "lead_off": "(~",
}


class Heart:
    """Plays segments one after the other. The sequence of events depends on the patient, the
    segments and `rng` only."""

    def __init__(self, patient: script.Patient, fs_hz: float, rng: np.random.Generator) -> None:
        self._patient, self._fs, self._rng = patient, fs_hz, rng
        self._shape = Morphology(patient, fs_hz, rng)
        self._breath, self._vasomotor = rng.uniform(0, 2 * np.pi, 2)
        self._last_s = 0.0  # R peak of the last beat
        # when the sinus node leads again; patients of one script do not beat as one
        self._due_s = rng.uniform(0.3, 0.9)
        self._rate = 0.0  # of the sinus node; 0 before it has led
        self._atrium_s = 0.0  # when the atria beat next where they do so on their own
        self._rr_s = 0.85  # mean of the last intervals
        self._label = ""

    def play(self, segment: script.Segment, start_s: float, end_s: float) -> Iterator[Event]:
        """Beats and marks of one segment in order of time, save that a wave without a symbol may
        come up to 1 s late."""
        plays: dict[str, Callable[..., Iterator[Event]]] = {
            "bigeminy": self._geminy,
            "trigeminy": self._geminy,
            "afib": self._afib,
            "svt": self._svt,
            "vt": self._vt,
            "ventricular": self._idioventricular,
            "paced": self._paced,
            "vf": self._fibrillation,
            "flutter": self._fibrillation,
            "agonal": self._agonal,
            "asystole": self._asystole,
            "lead_off": self._lead_off,
        }
        if not self._label:
            self._rr_s = 60 / getattr(segment, "rate", 70)
        # the rhythm before ended there, whenever the next beat comes
        if not self._label or self._label in ("(VF", "(VFL", "(~"):
            yield from self._mark(LABELS[segment.rhythm], start_s)
        yield from plays.get(segment.rhythm, self._sinus)(segment, start_s, end_s - EDGE_S)

    # Rhythms. Each leaves `_due_s` at the time when the sinus node would lead again.

    def _sinus(self, segment: script.SinusRhythm, start_s: float, end_s: float) -> Iterator[Event]:
        per_minute = {
            "pvc": segment.pvc_per_minute,
            "couplet": segment.couplets_per_minute,
            "run": segment.nsvt_per_minute,
            "pac": segment.pac_per_minute,
            "pause": segment.pauses_per_minute,
        }
        ectopy = Ectopy(per_minute, start_s, self._rng)
        for time_s in self._sinus_node(segment.rate, start_s, end_s):
            yield from self._sinus_beat(time_s, "(N")
            kind = ectopy.due(time_s)
            if kind == "pause":
                self._due_s = time_s + segment.pause_s
            elif kind == "pac":
                yield from self._premature_atrial(time_s, end_s)
            elif kind is not None:
                beats = {"pvc": 1, "couplet": 2, "run": segment.nsvt_beats}[kind]
                cycle_s = 60 / segment.nsvt_rate if kind == "run" else 0.46
                yield from self._premature_ventricular(
                    time_s, end_s, beats, cycle_s, segment.pvc_coupling_s
                )

    def _geminy(self, segment: script.Ectopy, start_s: float, end_s: float) -> Iterator[Event]:
        sinus_beats = 1 if segment.rhythm == "bigeminy" else 2
        for number, time_s in enumerate(self._sinus_node(segment.rate, start_s, end_s), 1):
            yield from self._sinus_beat(time_s, LABELS[segment.rhythm])
            if number % sinus_beats == 0:
                yield from self._premature_ventricular(time_s, end_s)

    def _afib(self, segment: script.Afib, start_s: float, end_s: float) -> Iterator[Event]:
        per_minute = {"pvc": segment.pvc_per_minute, "aberrant": segment.aberrant_per_minute}
        ectopy = Ectopy(per_minute, start_s, self._rng)
        time_s = max(self._last_s + self._irregular_rr_s(segment), start_s)
        aberrant = 0
        while time_s < end_s:
            yield from self._mark("(AFIB", time_s - self._shape.qrs_onset_s(wide=False))
            shape = self._shape.aberrant if aberrant else self._shape.normal
            yield self._beat(time_s, "N", shape(self._follow(time_s), atrial=False))
            aberrant = max(0, aberrant - 1)
            kind = ectopy.due(time_s)
            if kind == "aberrant":
                aberrant = ABERRANT_RUN
            elif kind == "pvc" and time_s + 0.5 < end_s:
                time_s += self._rng.uniform(0.42, 0.5)
                yield self._beat(time_s, "V", self._shape.ventricular(self._follow(time_s)))
                time_s += 0.25  # an ectopic beat is followed by a longer interval here too
            time_s += self._irregular_rr_s(segment)
        self._due_s = self._last_s + 1.25

    def _svt(self, segment: script.Svt, start_s: float, end_s: float) -> Iterator[Event]:
        first_s = max(self._last_s + 0.5, start_s)
        yield from self._mark("(SVTA", first_s - self._shape.qrs_onset_s(wide=False))
        yield self._beat(first_s, "A", self._shape.premature(self._follow(first_s)))
        for time_s in self._regular(first_s, 60 / segment.rate, 0.008, end_s):
            yield self._beat(time_s, "A", self._shape.reentrant(self._follow(time_s)))
        self._due_s = self._last_s + 1.0

    def _vt(
        self, segment: script.VentricularTachycardia, start_s: float, end_s: float
    ) -> Iterator[Event]:
        first_s = max(self._last_s + 0.42, start_s)
        self._atrium_s = first_s + 0.2
        for time_s in itertools.chain(
            [first_s], self._regular(first_s, 60 / segment.rate, segment.irregularity, end_s)
        ):
            yield from self._mark("(VT", time_s - self._shape.qrs_onset_s(wide=True))
            rr_s = self._follow(time_s)
            given = self._shape.given(segment.kernels)
            yield self._beat(
                time_s, "V", given if segment.kernels else self._shape.tachycardic(rr_s)
            )
            yield from self._atria(0.68, time_s)
        self._due_s = self._last_s + 1.15

    def _idioventricular(
        self, segment: script.Idioventricular, start_s: float, end_s: float
    ) -> Iterator[Event]:
        first_s = max(self._last_s + 60 / segment.rate, start_s)
        for time_s in itertools.chain(
            [first_s], self._regular(first_s, 60 / segment.rate, 0.02, end_s)
        ):
            yield from self._mark("(IVR", time_s - self._shape.qrs_onset_s(wide=True))
            yield self._beat(time_s, "V", self._shape.ventricular(self._follow(time_s)))
        self._due_s = self._last_s + 1.0

    def _paced(self, segment: script.Paced, start_s: float, end_s: float) -> Iterator[Event]:
        """Ventricular pacing in complete heart block: the atria go their own way."""
        first_s = max(self._last_s + 60 / segment.rate, start_s)
        self._atrium_s = first_s + 0.2
        for time_s in itertools.chain(
            [first_s], self._regular(first_s, 60 / segment.rate, 0.0, end_s)
        ):
            yield from self._mark("(P", time_s - self._shape.qrs_onset_s(wide=True))
            yield self._beat(time_s, "/", self._shape.paced(self._follow(time_s), segment.spike_mv))
            yield from self._atria(0.72, time_s)
        self._due_s = self._last_s + 60 / segment.rate

    def _fibrillation(
        self, segment: script.Fibrillation | script.Flutter, start_s: float, end_s: float
    ) -> Iterator[Event]:
        """The wave itself is no sum of beats (ingest/simulator/oscillations.py); here only its
        marks."""
        yield from self._mark(LABELS[segment.rhythm], start_s)
        yield Event(self._at(start_s), "[")
        yield Event(self._at(end_s + EDGE_S) - 1, "]")
        self._recover(end_s)

    def _agonal(self, segment: script.Agonal, start_s: float, end_s: float) -> Iterator[Event]:
        yield from self._mark("(IVR", start_s)
        first_s = max(self._last_s + 60 / segment.rate, start_s)
        for time_s in self._regular(first_s - 60 / segment.rate, 60 / segment.rate, 0.15, end_s):
            self._follow(time_s)
            yield self._beat(time_s, "E", self._shape.agonal())
        self._recover(end_s, STUNNED_RATE)

    def _asystole(self, segment: script.Asystole, start_s: float, end_s: float) -> Iterator[Event]:
        """P waves and spikes that nothing follows have no annotation."""
        yield from self._mark("(ASYS", start_s)
        waves = [
            Event(self._at(time_s), kernels=kernels)
            for rate, kernels in (
                (segment.p_wave_rate, self._shape.p_wave(0.8)),
                (segment.spike_rate, self._shape.spike(segment.spike_mv)),
            )
            if rate
            for time_s in self._regular(start_s + 0.1, 60 / rate, 0.01, end_s - 0.3)
        ]
        yield from sorted(waves, key=lambda wave: wave.sample)
        self._recover(end_s, STUNNED_RATE)

    def _lead_off(self, segment: script.LeadOff, start_s: float, end_s: float) -> Iterator[Event]:
        yield from self._mark("(~", start_s)
        self._recover(end_s)

    # What the rhythms are made of.

    def _sinus_node(self, rate: float, start_s: float, end_s: float) -> Iterator[float]:
        """Times of the beats; when one is handed out, `_due_s` already holds the next, which the
        taker may put off."""
        self._due_s = max(self._due_s, start_s)
        while self._due_s < end_s:
            time_s = self._due_s
            self._due_s += self._sinus_rr_s(rate, time_s)
            yield time_s

    def _sinus_beat(self, time_s: float, label: str) -> Iterator[Event]:
        yield from self._mark(label, time_s - self._shape.qrs_onset_s(wide=False))
        yield self._beat(time_s, "N", self._shape.normal(self._follow(time_s)))

    def _premature_atrial(self, time_s: float, end_s: float) -> Iterator[Event]:
        """The ectopic impulse resets the sinus node: the pause after it is shorter than a
        compensatory one."""
        rr_s = self._due_s - time_s
        premature_s = time_s + 0.62 * rr_s
        if premature_s < end_s:
            yield self._beat(premature_s, "A", self._shape.premature(self._follow(premature_s)))
            self._due_s = premature_s + 1.08 * rr_s

    def _premature_ventricular(
        self,
        time_s: float,
        end_s: float,
        beats: int = 1,
        cycle_s: float = 0.46,
        coupling_s: float | None = None,
    ) -> Iterator[Event]:
        """Ventricular beats that leave the sinus node alone: its impulses find the ventricle
        refractory, the next one after that leads.

        So the pause after a single one is fully compensatory, and one in a slow rhythm may be
        interpolated.
        """
        rr_s = self._due_s - time_s
        first_s = time_s + (coupling_s or float(np.clip(0.57 * rr_s, 0.30, 0.60)))
        if first_s + beats * cycle_s > end_s:
            return
        for n in range(beats):
            ectopic_s = first_s + n * cycle_s * self._rng.normal(1, 0.01)
            yield from self._blocked(60 / self._rate, ectopic_s)
            if n == 0 and beats >= 3:
                yield from self._mark("(VT", ectopic_s - self._shape.qrs_onset_s(wide=True))
            yield self._beat(ectopic_s, "V", self._shape.ventricular(self._follow(ectopic_s)))
        yield from self._blocked(60 / self._rate, ectopic_s + max(0.62 * rr_s, 0.42))

    def _blocked(self, rr_s: float, until_s: float) -> Iterator[Event]:
        """P waves of the sinus impulses before `until_s` that no QRS complex follows."""
        while self._due_s < until_s:
            yield Event(self._at(self._due_s), kernels=self._shape.p_wave(rr_s))
            self._due_s += rr_s

    def _atria(self, cycle_s: float, until_s: float) -> Iterator[Event]:
        """P waves of atria that beat on their own, up to a time."""
        while self._atrium_s < until_s:
            yield Event(self._at(self._atrium_s), kernels=self._shape.p_wave(cycle_s))
            self._atrium_s += cycle_s * self._rng.normal(1, 0.02)

    def _regular(
        self, time_s: float, cycle_s: float, jitter: float, end_s: float
    ) -> Iterator[float]:
        """Times after `time_s` and before the end, one cycle apart."""
        while (time_s := time_s + cycle_s * self._rng.normal(1, jitter)) < end_s:
            yield time_s

    def _irregular_rr_s(self, segment: script.Afib) -> float:
        """Independent intervals of a right-skewed distribution, none shorter than the AV node
        allows."""
        shape = segment.irregularity**-2
        return max(float(self._rng.gamma(shape, 60 / segment.rate / shape)), 0.27)

    def _sinus_rr_s(self, rate: float, time_s: float) -> float:
        """The next RR interval: the rate on its way to `rate`, breathing (0.25 Hz) and vasomotor
        (0.1 Hz) modulation, and some chance."""
        self._rate += (
            (rate - self._rate) * (1 - np.exp(-60 / self._rate / RATE_SETTLES_S))
            if self._rate
            else rate
        )
        mean_s = 60 / self._rate
        breath = self._patient.respiratory_arrhythmia * np.sin(
            self._breath + 2 * np.pi * self._patient.breaths_per_minute / 60 * time_s
        )
        vasomotor = 0.03 * np.sin(self._vasomotor + 2 * np.pi * 0.1 * time_s)
        return float(mean_s * (1 + mean_s * (breath + vasomotor)) * self._rng.normal(1, 0.008))

    def _follow(self, time_s: float) -> float:
        """Note a QRS complex; returns the mean RR interval that repolarisation follows."""
        self._rr_s += QT_MEMORY * (min(max(time_s - self._last_s, 0.25), 1.6) - self._rr_s)
        self._last_s = time_s
        return self._rr_s

    def _recover(self, end_s: float, rate: float | None = None) -> None:
        """No beat up to the segment's end; then the sinus node leads, at `rate` first where it was
        stunned."""
        self._last_s, self._due_s, self._rate = end_s, end_s + EDGE_S + 0.45, rate or self._rate

    def _beat(self, time_s: float, symbol: str, kernels: Kernels) -> Event:
        breath = np.sin(self._breath + 2 * np.pi * self._patient.breaths_per_minute / 60 * time_s)
        return Event(self._at(time_s), symbol, kernels=kernels * [1 + 0.04 * breath, 1, 1, 1])

    def _mark(self, label: str, time_s: float) -> Iterator[Event]:
        """A rhythm change, where there is one."""
        if label != self._label:
            self._label = label
            yield Event(self._at(max(time_s, 0)), "+", label)

    def _at(self, time_s: float) -> int:
        return round(time_s * self._fs)
