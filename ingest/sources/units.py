"""Units of a file's values, and whether its amplitudes can be an ECG in that unit."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ingest.errors import BadInputError
from ingest.sources.base import Notice

MIN_MV, MAX_MV = 0.02, 20.0  # peak to peak within a second: an ECG's median lies well inside
MAX_SAID_MV = 100.0  # mains hum on a loose electrode may reach tens of millivolts
FLAT_MV = 1e-9
REMEDY = "Say the unit of its values: --unit mV, uV or V, or --unit 200/mV for converter counts, 200 of which are one millivolt."

_PREFIXES = {
    "": 1e3,
    "m": 1.0,
    "milli": 1.0,
    "u": 1e-3,
    "µ": 1e-3,
    "μ": 1e-3,
    "micro": 1e-3,
    "n": 1e-6,
    "nano": 1e-6,
}
_TO_MV = {prefix + volt: mv for prefix, mv in _PREFIXES.items() for volt in ("v", "volt", "volts")}
_NOT_SAID = {
    "",
    "nu",
    "n/u",
    "a.u.",
    "a.u",
    "au",
    "adu",
    "adc",
    "count",
    "counts",
    "raw",
    "lsb",
    "digit",
    "digits",
    "-",
    "none",
    "unknown",
}
_GAIN = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*/\s*mv", re.IGNORECASE)


def names_a_unit(unit: str) -> bool:
    """Whether the text is a unit at all, and not an admission that there is none."""
    key = _key(unit)
    return key not in _NOT_SAID and "ecg" not in key and "ekg" not in key


def is_voltage(unit: str) -> bool:
    """Whether a channel in this unit may be an ECG: a voltage, a gain, or nothing said."""
    return (
        not names_a_unit(unit) or _key(unit) in _TO_MV or _GAIN.fullmatch(unit.strip()) is not None
    )


def mv_per_unit(unit: str, *, name: str, channel: str) -> float:
    """Millivolts in one `unit`; what says no unit means mV (as WFDB's headers do). Raises BadInputError for what is no voltage."""
    if not names_a_unit(unit):
        return 1.0
    if gain := _GAIN.fullmatch(unit.strip()):
        if float(gain[1]) > 0:
            return 1 / float(gain[1])
    elif _key(unit) in _TO_MV:
        return _TO_MV[_key(unit)]
    raise BadInputError(
        f"{name}: channel {channel!r} is in {unit!r}, which is no voltage",
        f"Choose an ECG channel with --channel NAME. {REMEDY}",
    )


def check_amplitude(
    seconds: Sequence[NDArray[np.float64]], *, said: bool, name: str, channel: str, notice: Notice
) -> None:
    """Refuse what can be no ECG in millivolts; `seconds` are stretches of about 1 s of it, in mV, NaN where invalid.

    If the file has not `said` the unit, the median peak to peak must lie between 0.02 and 20 mV. If it has, only more than 100 mV is
    refused, and less than 0.02 told by `notice`, since it may be a flat line. What does not move is never asked about.
    Raises BadInputError.
    """
    heights = [
        float(np.ptp(finite))
        for second in seconds
        if len(finite := second[np.isfinite(second)]) > 1
    ]
    moving = [h for h in heights if h > FLAT_MV]
    if not moving or len(moving) * 2 < len(heights):
        return
    height = float(np.median(moving))
    if height > (MAX_SAID_MV if said else MAX_MV):
        raise BadInputError(
            f"{name}: {channel!r} swings by {height:.3g} a second, which cannot be mV: its unit is missing or wrong",
            REMEDY,
        )
    if height < MIN_MV and not said:
        raise BadInputError(
            f"{name}: {channel!r} has peaks of {height:.2g}, which cannot be mV: its unit is not said",
            REMEDY,
        )
    if height < MIN_MV:
        notice(
            f"{name}: {channel!r} has peaks of only {height:.2g} mV; if that is not so, say its unit with --unit"
        )


def _key(unit: str) -> str:
    return unit.strip().strip("[]()").strip().lower()
