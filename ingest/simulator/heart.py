"""The simulated heart: the state that outlives a segment, and the beats and waves that rhythms are
made of.

Times are seconds since the start of the record until the last step, which puts a beat on the nearest
sample. The heart remembers the last beat, when the sinus node fires next, its rate, and the mean RR
interval that the QT interval follows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ingest.simulator import script
from ingest.simulator.events import Event
from ingest.simulator.morphology import Kernels, Morphology

RATE_SETTLES_S = 4.0  # the sinus node does not jump from one rate to another
QT_MEMORY = 0.15  # share of a new RR interval in the mean that QT follows
EDGE_S = 0.08  # no beat in the last part of a segment: its QRS complex would lie in the next


class Heart:
    """State of one patient's heart. The sequence of events depends on the patient, the calls and
    `rng` only."""

    def __init__(self, patient: script.Patient, fs_hz: float, rng: np.random.Generator) -> None:
        self._patient, self._fs, self.rng = patient, fs_hz, rng
        self.shape = Morphology(patient, fs_hz, rng)
        self._breath, self._vasomotor = rng.uniform(0, 2 * np.pi, 2)
        self.last_s = 0.0  # R peak of the last beat
        # when the sinus node fires next; random, so that patients of one script are not synchronous
        self.due_s = rng.uniform(0.3, 0.9)
        self.rate = 0.0  # of the sinus node, 1/min; 0 before its first beat
        self.atrium_s = 0.0  # next beat of the atria if they are dissociated from the ventricles
        self.rr_s = 0.85  # mean of the last RR intervals
        self.label = ""  # of the rhythm, as annotated

    def sinus_node(self, rate: float, start_s: float, end_s: float) -> Iterator[float]:
        """Yield the times of sinus beats; `due_s` already holds the next one, which the caller may
        postpone."""
        self.due_s = max(self.due_s, start_s)
        while self.due_s < end_s:
            time_s = self.due_s
            self.due_s += self._sinus_rr_s(rate, time_s)
            yield time_s

    def sinus_beat(self, time_s: float, label: str) -> Iterator[Event]:
        """Yield a normal beat, and its rhythm if that is new."""
        yield from self.mark(label, time_s - self.shape.qrs_onset_s(wide=False))
        yield self.beat(time_s, "N", self.shape.normal(self.follow(time_s)))

    def premature_atrial(self, time_s: float, end_s: float) -> Iterator[Event]:
        """Yield a premature atrial beat, which resets the sinus node: the pause after it is less than
        compensatory."""
        rr_s = self.due_s - time_s
        premature_s = time_s + 0.62 * rr_s
        if premature_s < end_s:
            yield self.beat(premature_s, "A", self.shape.premature(self.follow(premature_s)))
            self.due_s = premature_s + 1.08 * rr_s

    def premature_ventricular(
        self,
        time_s: float,
        end_s: float,
        beats: int = 1,
        cycle_s: float = 0.46,
        coupling_s: float | None = None,
    ) -> Iterator[Event]:
        """Yield ventricular beats that do not reset the sinus node: its impulses find the ventricles
        refractory until one after the last ectopic beat is conducted.

        The pause after a single beat is therefore fully compensatory, and a beat in a slow rhythm
        may be interpolated. Yields nothing if the beats do not fit before `end_s`.
        """
        rr_s = self.due_s - time_s
        first_s = time_s + (coupling_s or float(np.clip(0.57 * rr_s, 0.30, 0.60)))
        if first_s + beats * cycle_s > end_s:
            return
        for n in range(beats):
            ectopic_s = first_s + n * cycle_s * self.rng.normal(1, 0.01)
            yield from self.blocked(60 / self.rate, ectopic_s)
            if n == 0 and beats >= 3:
                yield from self.mark("(VT", ectopic_s - self.shape.qrs_onset_s(wide=True))
            yield self.beat(ectopic_s, "V", self.shape.ventricular(self.follow(ectopic_s)))
        yield from self.blocked(60 / self.rate, ectopic_s + max(0.62 * rr_s, 0.42))

    def blocked(self, rr_s: float, until_s: float) -> Iterator[Event]:
        """Yield the P waves of sinus impulses before `until_s` that are not conducted."""
        while self.due_s < until_s:
            yield Event(self.at(self.due_s), kernels=self.shape.p_wave(rr_s))
            self.due_s += rr_s

    def atria(self, cycle_s: float, until_s: float) -> Iterator[Event]:
        """Yield the P waves of dissociated atria before `until_s`."""
        while self.atrium_s < until_s:
            yield Event(self.at(self.atrium_s), kernels=self.shape.p_wave(cycle_s))
            self.atrium_s += cycle_s * self.rng.normal(1, 0.02)

    def regular(
        self, time_s: float, cycle_s: float, jitter: float, end_s: float
    ) -> Iterator[float]:
        """Yield times after `time_s` and before `end_s`, one cycle apart with a relative `jitter`."""
        while (time_s := time_s + cycle_s * self.rng.normal(1, jitter)) < end_s:
            yield time_s

    def _sinus_rr_s(self, rate: float, time_s: float) -> float:
        """Draw the next RR interval: the rate approaches `rate`, modulated by breathing and vasomotor
        tone (0.1 Hz), with some jitter."""
        self.rate += (
            (rate - self.rate) * (1 - np.exp(-60 / self.rate / RATE_SETTLES_S))
            if self.rate
            else rate
        )
        mean_s = 60 / self.rate
        breath = self._patient.respiratory_arrhythmia * np.sin(
            self._breath + 2 * np.pi * self._patient.breaths_per_minute / 60 * time_s
        )
        vasomotor = 0.03 * np.sin(self._vasomotor + 2 * np.pi * 0.1 * time_s)
        return float(mean_s * (1 + mean_s * (breath + vasomotor)) * self.rng.normal(1, 0.008))

    def follow(self, time_s: float) -> float:
        """Record a QRS complex; return the mean RR interval that repolarisation follows."""
        self.rr_s += QT_MEMORY * (min(max(time_s - self.last_s, 0.25), 1.6) - self.rr_s)
        self.last_s = time_s
        return self.rr_s

    def recover(self, end_s: float, rate: float | None = None) -> None:
        """Skip to the segment's end, after which the sinus node leads, at first at `rate` if it was
        stunned."""
        self.last_s, self.due_s, self.rate = end_s, end_s + EDGE_S + 0.45, rate or self.rate

    def beat(self, time_s: float, symbol: str, kernels: Kernels) -> Event:
        """Make a beat, whose amplitude follows the breath."""
        breath = np.sin(self._breath + 2 * np.pi * self._patient.breaths_per_minute / 60 * time_s)
        return Event(self.at(time_s), symbol, kernels=kernels * [1 + 0.04 * breath, 1, 1, 1])

    def mark(self, label: str, time_s: float) -> Iterator[Event]:
        """Yield a rhythm annotation if the rhythm has changed."""
        if label != self.label:
            self.label = label
            yield Event(self.at(max(time_s, 0)), "+", label)

    def at(self, time_s: float) -> int:
        """Return the nearest sample."""
        return round(time_s * self._fs)
