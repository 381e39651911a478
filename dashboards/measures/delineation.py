"""Begin and end of P, QRS and T in an average beat.

After Martínez et al., "A wavelet-based ECG delineator", IEEE Trans Biomed Eng 2004,
DOI 10.1109/TBME.2003.821031: a wave's borders lie where the slope at the wave's scale has fallen
to a share of the slope of its outermost flank. We differ: the slope is that of the beat smoothed
by a Gaussian (their quadratic spline is close to it), one beat is an average and not each beat,
and the shares were chosen on the odd records of LUDB (benchmarks/delineation.py, which judges by
the even ones).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]

_QRS_SIGMA_S, _WAVE_SIGMA_S = 0.006, 0.015  # of the Gaussian
_QRS_WITHIN_S = (-0.12, 0.14)  # of the R peak, in which flanks of the QRS complex are sought
_FLANK = 0.08  # of the steepest: a lower flank is no part of the complex
_JOINED_S = 0.05  # nor is one that is this far from the others
_ON, _OFF = 0.06, 0.12
_P_BEFORE_S = (0.26, 0.02)  # before the QRS complex
_P_ON, _P_OFF = 0.5, 0.65
_P_LEAST = 2.5  # of the noise: a lower wave is none
_T_AFTER_S = 0.06  # after the complex, T is sought up to _T_LATEST_S after R
_T_LATEST_S = 0.55
_T_LATEST_RR = 0.68  # of the RR interval: beyond it the next P wave may begin
_T_OFF = 0.35
_T_LEAST_MV = 0.04


class Marks(NamedTuple):
    """Borders of the waves in samples of the beat; None if a wave was not found."""

    p_on: int | None
    p_off: int | None
    qrs_on: int | None
    qrs_off: int | None
    t_peak: int | None
    t_off: int | None


NONE = Marks(None, None, None, None, None, None)


def delineate(beat: Floats, r: int, fs_hz: float, rr_s: float) -> Marks:
    """Find the borders of the waves of a beat (n,) in mV, its R peak at sample `r`, the next one
    `rr_s` later.

    The beat should reach from 0.35 s before R to 0.6 s after, or as far as the next one allows.
    """
    slope = _slope(beat, _QRS_SIGMA_S, fs_hz)
    first, last = (max(0, min(beat.size - 1, r + round(s * fs_hz))) for s in _QRS_WITHIN_S)
    if last - first < 4 or not np.abs(slope[first:last]).max(initial=0.0) > 0:
        return NONE
    on, off = _complex(slope, first, last, fs_hz)
    if on is None or off is None:
        return NONE
    wave = _slope(beat, _WAVE_SIGMA_S, fs_hz)
    p_on, p_off = _p(beat, wave, on, fs_hz)
    latest = r + round(min(_T_LATEST_S, _T_LATEST_RR * rr_s) * fs_hz)
    t_peak, t_off = _t(beat, wave, off, min(beat.size - 1, latest), fs_hz)
    return Marks(p_on, p_off, on, off, t_peak, t_off)


def _slope(beat: Floats, sigma_s: float, fs_hz: float) -> Floats:
    """Slope (n,) of the smoothed beat, mV per sample."""
    slope: Floats = ndimage.gaussian_filter1d(beat, sigma_s * fs_hz, order=1, mode="nearest")
    return slope


def _complex(slope: Floats, first: int, last: int, fs_hz: float) -> tuple[int | None, int | None]:
    """(begin, end) of the QRS complex: outside of its outermost flanks."""
    steep = np.abs(slope)
    peaks = _flanks(steep, first, last)
    peaks = peaks[steep[peaks] >= _FLANK * steep[first:last].max()]
    if not peaks.size:
        return None, None
    steepest = int(np.argmax(steep[peaks]))
    far = np.flatnonzero(np.diff(peaks) > _JOINED_S * fs_hz)  # between a flank and the next one
    before, after = far[far < steepest], far[far >= steepest]
    begin = int(peaks[before[-1] + 1 if before.size else 0])
    end = int(peaks[after[0] if after.size else -1])
    return _fallen(steep, begin, -1, _ON), _fallen(steep, end, 1, _OFF)


def _flanks(steep: Floats, first: int, last: int) -> npt.NDArray[np.int64]:
    """Samples of the local maxima of the slope."""
    inner = steep[first + 1 : last - 1]
    at = (inner >= steep[first : last - 2]) & (inner > steep[first + 2 : last])
    return np.flatnonzero(at) + first + 1


def _fallen(steep: Floats, flank: int, step: int, share: float) -> int | None:
    """The first sample beyond a flank at which the slope has fallen to a share of the flank's, or
    rises again (another wave begins); None if it does not within the beat."""
    limit = share * steep[flank]
    at = flank
    while 0 <= at + step < steep.size:
        at += step
        if steep[at] <= limit:
            return at
        if at != flank + step and steep[at] > steep[at - step]:
            return at - step
    return None


def _p(beat: Floats, slope: Floats, on: int, fs_hz: float) -> tuple[int | None, int | None]:
    """(begin, end) of the P wave, the highest wave before the complex."""
    first, last = (max(0, on - round(s * fs_hz)) for s in _P_BEFORE_S)
    if last - first < round(0.08 * fs_hz):
        return None, None
    part = ndimage.gaussian_filter1d(beat[first:last], _WAVE_SIGMA_S / 2 * fs_hz)
    line = np.linspace(part[0], part[-1], part.size)
    peak = int(np.argmax(np.abs(part - line)))
    rough = float(np.median(np.abs(np.diff(beat[first:last])))) + 1e-6
    if abs(part[peak] - line[peak]) < max(_P_LEAST * rough, 0.02):
        return None, None
    peak += first
    steep = np.abs(slope)
    rise = _steepest(steep, max(first, peak - round(0.09 * fs_hz)), peak)
    fall = _steepest(steep, peak + 1, min(last, peak + round(0.09 * fs_hz)))
    if rise is None or fall is None:
        return None, None
    return _fallen(steep, rise, -1, _P_ON), _fallen(steep, fall, 1, _P_OFF)


def _t(
    beat: Floats, slope: Floats, off: int, last: int, fs_hz: float
) -> tuple[int | None, int | None]:
    """(peak, end) of the T wave: beyond the steepest flank that follows its peak."""
    first = off + round(_T_AFTER_S * fs_hz)
    if last - first < round(0.1 * fs_hz):
        return None, None
    part = ndimage.gaussian_filter1d(beat, _WAVE_SIGMA_S / 2 * fs_hz)[first:last]
    line = np.linspace(part[0], part[-1], part.size)
    peak = int(np.argmax(np.abs(part - line)))
    if abs(part[peak] - line[peak]) < _T_LEAST_MV:
        return None, None
    peak += first
    steep = np.abs(slope)
    fall = _steepest(steep, peak + 1, min(last, peak + round(0.16 * fs_hz)))
    return peak, None if fall is None else _fallen(steep, fall, 1, _T_OFF)


def _steepest(steep: Floats, first: int, last: int) -> int | None:
    return None if last - first < 2 else first + int(np.argmax(steep[first:last]))
