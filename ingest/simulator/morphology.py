"""Morphology of simulated beats: Gaussian kernels for the P, Q, R, S and T waves, placed by physiological rules.

The model is that of McSharry, Clifford, Tarassenko and Smith, "A dynamical model for generating
synthetic electrocardiogram signals", IEEE Trans Biomed Eng 50(3), 2003, DOI
10.1109/TBME.2003.808805: the ECG is the sum of Gaussian events at fixed phases of a cycle whose
length is the RR interval. We differ:
- the closed form of the sum is evaluated, beat by beat, instead of integrating three differential
  equations sample by sample: a hundred times faster, and every R peak lies exactly where the rhythm
  put it;
- phases are milliseconds from the R peak and follow the rate by the rules of the clinic instead of
  staying a fixed share of the cycle: QRS keeps its width, QT = QTc RR^(1/3) (Fridericia 1920) with
  some memory of the last beats, PR shortens slightly;
- a kernel has one width before and one after its peak, because the T wave falls faster than it
  rises;
- every beat has its own kernels, so that ectopic, paced and premature beats are the same model with
  other numbers.

A kernel is a row (amplitude in mV, centre in s from the R peak, width before its own peak in s,
width after it in s); a width is an SD.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ingest.simulator.script import Patient

Kernels = NDArray[np.float64]  # shape (k, 4)

BEFORE_S, AFTER_S = 0.45, 0.9  # extent of a beat's kernels before and after its R peak
_END = 2.2  # visible end of a Gaussian wave, in widths from its peak


def render(kernels: Kernels, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum Gaussian kernels (..., k, 4) at times `times_s` (n,) from the R peak: (..., n), mV."""
    amplitude, centre, before, after = (kernels[..., i, None] for i in range(4))
    distance = times_s - centre
    return np.asarray(
        (amplitude * np.exp(-0.5 * (distance / np.where(distance < 0, before, after)) ** 2)).sum(
            axis=-2
        )
    )


def centred(kernels: Kernels) -> Kernels:
    """Move kernels so that the largest deflection of their sum lies at 0, the place of the
    reference annotation."""
    times = np.arange(-0.15, 0.15, 0.0005)
    peak = times[np.argmax(np.abs(render(kernels, times)))]
    return np.asarray(kernels - np.array([0.0, peak, 0.0, 0.0]))


class Morphology:
    """Beats of one patient. Two patients with the same numbers but another `rng` differ slightly,
    as people do."""

    def __init__(self, patient: Patient, fs_hz: float, rng: np.random.Generator) -> None:
        self.patient = patient
        self._fs_hz = fs_hz
        vary = rng.uniform(0.85, 1.15, 9)
        r, stretch = patient.r_mv, patient.qrs_ms / 88
        narrow = [
            [-0.09 * vary[0], -0.026, 0.0065, 0.0065],
            [1.0, 0.0, 0.0105, 0.0105],
            [-0.2 * vary[1], 0.028, 0.0075, 0.009],
        ]
        upward = [
            [1.0, 0.0, 0.029, 0.024],
            [0.34 * vary[2], -0.052, 0.018, 0.020],
            [-0.26 * vary[3], 0.066, 0.020, 0.034],
        ]
        downward = [
            [-1.0, 0.0, 0.026, 0.032],
            [0.22 * vary[2], -0.066, 0.014, 0.016],
            [-0.30 * vary[3], 0.056, 0.020, 0.024],
        ]
        rapid = [[1.0, 0.0, 0.031, 0.028], [-0.55 * vary[5], 0.080, 0.026, 0.034]]
        stimulated = [
            [-1.0, 0.0, 0.030, 0.034],
            [0.16, -0.056, 0.012, 0.016],
            [-0.25 * vary[7], 0.050, 0.018, 0.026],
        ]
        sign = rng.choice([1, -1], p=[0.6, 0.4], size=2)
        self._qrs = centred(np.array(narrow) * [r, stretch, stretch, stretch])
        self._pvc = centred(
            np.array(upward if sign[0] > 0 else downward) * [1.45 * r * vary[4], 1, 1, 1]
        )
        self._vt = centred(np.array(rapid) * [1.2 * r * vary[6] * sign[1], 1, 1, 1])
        self._paced = centred(np.array(stimulated) * [1.15 * r * vary[8], 1, 1, 1])
        self._rng = rng

    def qrs_onset_s(self, wide: bool) -> float:
        """Return the time from QRS onset to R peak, s."""
        return 0.085 if wide else 0.042 * self.patient.qrs_ms / 88

    def pr_s(self, rr_s: float) -> float:
        """Return the PR interval at an RR interval, s: shorter at a high rate."""
        return self.patient.pr_ms / 1000 * (0.75 + 0.25 * min(rr_s, 1.2))

    def qt_s(self, rr_s: float) -> float:
        """Return the QT interval at an RR interval, s, by Fridericia's cube root."""
        return float(self.patient.qtc_ms / 1000 * np.cbrt(rr_s))

    def normal(self, rr_s: float, *, atrial: bool = True) -> Kernels:
        """Make a conducted beat. `rr_s`: mean of the last RR intervals; `atrial`: with a P wave."""
        rows = [self._qrs, self._t_wave(rr_s)]
        return np.vstack([*rows, self.p_wave(rr_s)] if atrial else rows)

    def aberrant(self, rr_s: float, *, atrial: bool = True) -> Kernels:
        """Make a beat with bundle branch block: it begins as a normal one and ends late, with a T
        wave opposite to the late part."""
        r = self.patient.r_mv
        late = np.array([[-0.5 * r, 0.052, 0.018, 0.022]])
        rows = [self._qrs * [0.9, 1, 1, 1.5], late, self._t_wave(rr_s) * [1.1, 1, 1, 1]]
        return np.vstack([*rows, self.p_wave(rr_s)] if atrial else rows)

    def given(self, kernels: tuple[tuple[float, float, float, float], ...]) -> Kernels:
        """Make a beat of the morphology given in the script, with a slightly varying amplitude."""
        return np.array(kernels).reshape(-1, 4) * [self._rng.normal(1.0, 0.025), 1, 1, 1]

    def agonal(self) -> Kernels:
        """Make a slurred complex of a third of a second."""
        size = 0.7 * self.patient.r_mv * self._rng.normal(1.0, 0.15)
        return np.array([[size, 0.0, 0.055, 0.075], [-0.45 * size, 0.24, 0.07, 0.09]])

    def spike(self, spike_mv: float) -> Kernels:
        """Make a pacing spike, a sample wide, without a beat."""
        width = 0.4 / self._fs_hz
        return np.array([[spike_mv, 0.0, width, width]])

    def p_wave(self, rr_s: float) -> Kernels:
        """Make the P wave that precedes a conducted R peak at 0."""
        onset = -self.qrs_onset_s(wide=False) - self.pr_s(rr_s)
        return np.array([[self.patient.p_mv, onset + 0.048, 0.020, 0.022]])

    def premature(self, rr_s: float) -> Kernels:
        """Make a premature supraventricular beat: narrow, after a P wave of another shape
        (negative, then positive)."""
        onset = -self.qrs_onset_s(wide=False) - 0.9 * self.pr_s(rr_s)
        p = self.patient.p_mv
        return np.vstack(
            [
                self._qrs,
                self._t_wave(rr_s),
                [[-0.6 * p, onset + 0.030, 0.013, 0.013], [0.6 * p, onset + 0.065, 0.014, 0.015]],
            ]
        )

    def reentrant(self, rr_s: float) -> Kernels:
        """Make a beat of AV nodal re-entry: the retrograde P wave is a dip at the end of QRS."""
        return np.vstack(
            [
                self._qrs,
                self._t_wave(rr_s) * [0.8, 1, 1, 1],
                [[-0.7 * self.patient.p_mv, 0.082, 0.012, 0.014]],
            ]
        )

    def ventricular(self, rr_s: float) -> Kernels:
        """Make a premature ventricular beat: wide, without P wave, T opposite to the main
        deflection."""
        return self._wide(self._pvc, 0.44, rr_s)

    def tachycardic(self, rr_s: float) -> Kernels:
        """Make a beat of a ventricular tachycardia, from another focus than the premature beats."""
        return self._wide(self._vt, 0.30, rr_s)

    def paced(self, rr_s: float, spike_mv: float) -> Kernels:
        """Make a beat paced from the right ventricle: a spike one sample wide, then a wide, mostly
        negative QRS complex."""
        # on a sample, so that no spike falls between two samples
        at = -round(0.092 * self._fs_hz) / self._fs_hz
        width = 0.4 / self._fs_hz
        return np.vstack([self._wide(self._paced, 0.32, rr_s), [[spike_mv, at, width, width]]])

    def _wide(self, qrs: Kernels, t_share: float, rr_s: float) -> Kernels:
        gain = self._rng.normal(1.0, 0.025)
        qrs = qrs * [gain, 1, 1, 1]
        height = -t_share * qrs[0, 0]
        scale = np.cbrt(rr_s)
        # a wide QRS lengthens QT by its additional width
        end = self.qt_s(rr_s) + 0.045 - self.qrs_onset_s(wide=True)
        after = 0.050 * scale
        return np.vstack([qrs, [[height, end - _END * after, 0.075 * scale, after]]])

    def _t_wave(self, rr_s: float) -> Kernels:
        scale = np.cbrt(rr_s)
        after = 0.038 * scale
        centre = self.qt_s(rr_s) - self.qrs_onset_s(wide=False) - _END * after
        return np.array(
            [[self.patient.t_mv * self._rng.normal(1.0, 0.02), centre, 0.058 * scale, after]]
        )
