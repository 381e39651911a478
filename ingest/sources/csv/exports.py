"""Reads what recorders and their programs write above the numbers: sampling frequency, unit, the
names of columns.

Known by their own headers: Apple Watch (Health app), OpenSignals (biosignalsplux, BITalino), OpenBCI GUI, BioSPPy and LabChart text;
Polar Sensor Logger and Shimmer name columns and units like any table. A line that says a sampling frequency in other words is
understood too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ingest.sources.csv.fields import clean
from ingest.sources.units import is_voltage, names_a_unit

_RATE = re.compile(
    r"(?:sampl\w*[\s_-]*(?:rate|freq\w*)|abtast\w*|\bfs\b|fréquence d.échantillonnage|frecuencia de muestreo)[^\d\n]{0,24}?"
    r"(?P<hz>\d+(?:[.,]\d+)?)\s*(?P<kilo>k)?(?:hz|hertz)?",
    re.IGNORECASE,
)
_HERTZ = re.compile(r"[,;:=\t ](?P<hz>\d+(?:[.,]\d+)?)\s*(?P<kilo>k)?(?:hz|hertz)\b", re.IGNORECASE)
_INTERVAL = re.compile(
    r"interval\s*[=:]\s*(?P<step>\d+(?:[.,]\d+)?(?:e-?\d+)?)\s*(?P<unit>m?s)\b", re.IGNORECASE
)
_PER_SAMPLE = re.compile(
    r"(?P<step>\d+(?:[.,]\d+)?)\s*(?P<unit>msec|ms|sec|s)\s*/\s*sample", re.IGNORECASE
)
_LABELS = re.compile(r"^\W*labels\s*:=\s*(.+)$", re.IGNORECASE | re.MULTILINE)  # BioSPPy
_UNITS = re.compile(r"^\W*units\s*:=\s*(.+)$", re.IGNORECASE | re.MULTILINE)
_OPENSIGNALS, _OPENBCI = "OpenSignals", "OpenBCI"
# Millivolts at the electrodes that all 2^n steps of the converter stand for: VCC / gain, by the makers' data sheets of the ECG sensor.
_OPENSIGNALS_MV = {"bitalino": 3300 / 1100, "biosignalsplux": 3000 / 1000}


@dataclass(frozen=True)
class Export:
    """The contents of a file's own header; each may be missing."""

    maker: str = ""
    fs_hz: float | None = None
    unit: str = ""  # of the values, if the file has one column
    names: list[str] = field(default_factory=list)  # of all columns
    units: list[str] = field(default_factory=list)  # of all columns
    ecg: int | None = None  # the column that an ECG sensor was plugged into
    remedy: str = ""  # what to do if the unit is not known


def recognise(header: Sequence[str], columns: int) -> Export:
    """Read the lines above the numbers; `columns` is the number of columns of the numbers."""
    text = "\n".join(header)
    if _OPENSIGNALS in text and (found := _opensignals(header, columns)) is not None:
        return found
    fs_hz = _rate(text)
    if _OPENBCI in text:
        microvolts = "microvolts" in text.lower() or "exg channel" in text.lower()
        return _openbci(text, fs_hz, columns, microvolts)
    labels = _LABELS.search(text)
    names = [clean(name) for name in re.split(r"[\t,;]", labels[1])] if labels else []
    pairs = [
        tuple(map(clean, re.split(r"[,;\t]", line, maxsplit=1)))
        for line in header
        if re.search(r"[,;\t]", line)
    ]
    unit = next(
        (
            value
            for _, value in (p for p in pairs if len(p) == 2)
            if names_a_unit(value) and is_voltage(value)
        ),
        "",
    )
    if len(names) == columns and (found_unit := _UNITS.search(text)):
        return Export(
            fs_hz=fs_hz,
            unit=found_unit[1].strip(),
            names=names,
            units=[found_unit[1].strip()] * columns,
        )
    unit = unit if columns == 1 else ""
    return Export(fs_hz=fs_hz, unit=unit, names=names if len(names) == columns else [])


def _rate(text: str) -> float | None:
    for pattern in (_RATE, _HERTZ):
        if (found := pattern.search(text)) and (
            hz := _float(found["hz"]) * (1000 if found["kilo"] else 1)
        ) > 0:
            return hz
    for pattern in (_INTERVAL, _PER_SAMPLE):
        if (found := pattern.search(text)) and (
            step := _float(found["step"]) * (1e-3 if found["unit"][0] in "mM" else 1)
        ) > 0:
            return 1 / step
    return None


def _float(text: str) -> float:
    return float(text.replace(",", "."))


def _openbci(text: str, fs_hz: float | None, columns: int, microvolts: bool) -> Export:
    """The channels follow the sample's index; old versions name no column."""
    found = re.search(r"Number of channels\s*=\s*(\d+)", text)
    channels = min(int(found[1]), columns - 1) if found else 0
    names = ["Sample Index", *(f"EXG Channel {i}" for i in range(channels))]
    names += [f"Other {i}" for i in range(columns - len(names))]
    units = ["", *(["uV" if microvolts else ""] * channels)]
    return Export(_OPENBCI, fs_hz, names=names, units=units + [""] * (columns - len(units)))


def _opensignals(header: Sequence[str], columns: int) -> Export | None:
    """The header is a line of JSON with one entry for each device."""
    device = next((d for d in map(_json_device, header) if d is not None), None)
    if device is None:
        return None
    names = [str(name) for name in _list(device, "column")]
    sensors = [str(s).upper() for s in _list(device, "sensor")]
    n = len(sensors)
    if len(names) != columns or n > columns:
        return None
    first = columns - n  # the sensors' columns are the last ones
    where = next(
        (first + i for i, sensor in enumerate(sensors) if sensor.startswith(("ECG", "EKG"))), None
    )
    bits = _list(device, "resolution")[-n:] if n else []
    full_mv = next(
        (
            mv
            for name, mv in _OPENSIGNALS_MV.items()
            if str(device.get("device", "")).lower().startswith(name)
        ),
        None,
    )
    units = [""] * columns
    if full_mv is not None and len(bits) == n:
        units[first:] = [
            f"{2 ** int(b) / full_mv:g}/mV" if str(b).isdecimal() and int(b) <= 32 else ""
            for b in bits
        ]
    rate = device.get("sampling rate")
    remedy = (
        "OpenSignals files hold converter counts: say how many are one millivolt at the electrodes, for example --unit 341/mV"
        " (BITalino, 10 bit) or --unit 21845/mV (biosignalsplux, 16 bit)."
    )
    return Export(
        _OPENSIGNALS,
        float(rate) if isinstance(rate, int | float) else None,
        names=names,
        units=units,
        ecg=where,
        remedy=remedy,
    )


def _json_device(line: str) -> dict[str, Any] | None:
    begin = line.find("{")
    if begin < 0:
        return None
    try:
        read = json.loads(line[begin:])
    except (ValueError, RecursionError):
        return None
    return next(
        (device for device in read.values() if isinstance(device, dict) and "column" in device),
        None,
    )


def _list(device: dict[str, Any], key: str) -> list[Any]:
    found = device.get(key)
    return found if isinstance(found, list) else []
