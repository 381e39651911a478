"""How well the marks of the average beat are placed, on LUDB (DOI 10.13026/eegm-h675): its beats are
averaged per lead and delineated, and the marks compared with the mean of the cardiologists' marks.

    python benchmarks/delineation.py FOLDER [--records even|odd|all] [--lead ii]

The shares in dashboards/measures/delineation.py were chosen on the odd records: judge by the even
ones. `sure` counts what the page would show, `unsure` what it would call unsure.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import wfdb

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from dashboards.measures.average import BEFORE_S
from dashboards.measures.intervals import measure

LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")
MARKS = ("p_on", "p_off", "qrs_on", "qrs_off", "t_peak", "t_off")
WAVES = {
    "p": ("p_on", None, "p_off"),
    "N": ("qrs_on", "r", "qrs_off"),
    "t": (None, "t_peak", "t_off"),
}


def reference(path: Path, lead: str) -> tuple[list[int], dict[str, float]]:
    """R peaks, and the mean place of each mark from its beat's R peak, in samples."""
    found = wfdb.rdann(str(path), lead)
    waves: list[tuple[str, int | None, int, int | None]] = []
    symbols, samples = found.symbol, found.sample
    for k, symbol in enumerate(symbols):
        if symbol in WAVES:
            begin = samples[k - 1] if k and symbols[k - 1] == "(" else None
            end = samples[k + 1] if k + 1 < len(symbols) and symbols[k + 1] == ")" else None
            waves.append((symbol, begin, samples[k], end))
    peaks = [peak for symbol, _, peak, _ in waves if symbol == "N"]
    places = defaultdict(list)
    for k, (symbol, *at) in enumerate(waves):
        beside = {"p": 1, "N": 0, "t": -1}[symbol]
        near = waves[k + beside] if 0 <= k + beside < len(waves) else None
        if near is None or near[0] != "N":
            continue
        for name, place in zip(WAVES[symbol], at, strict=True):
            if name and place is not None:
                places[name].append(place - near[2])
    return peaks, {name: float(np.mean(of)) for name, of in places.items()}


def errors(folder: Path, records: list[int], leads: list[str]) -> Iterator[tuple[str, float, bool]]:
    """(mark, error in ms, whether it is sure) of each mark that both have; NaN if only one has it."""
    for number in records:
        path = folder / str(number)
        if not path.with_suffix(".hea").exists():  # not every record is at hand everywhere
            continue
        record = wfdb.rdrecord(str(path))
        for lead in leads:
            signal = record.p_signal[:, record.sig_name.index(lead)]
            peaks, truth = reference(path, lead)
            if len(peaks) < 2:
                continue
            found = measure(
                signal, peaks, record.fs, float(np.median(np.diff(peaks))) / record.fs * 1000
            )
            if found is None:
                yield "no average", np.nan, False
                continue
            for name in MARKS:
                place = getattr(found.marks, name)
                sure = name not in found.unsure
                if place is None or name not in truth:
                    if (place is None) != (name not in truth):
                        yield f"{name} {'missed' if place is None else 'invented'}", np.nan, sure
                    continue
                at = place - round(BEFORE_S * record.fs)
                yield name, (at - truth[name]) / record.fs * 1000, sure


def main() -> None:
    """Print the mean error and its standard deviation per mark."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("folder", type=Path)
    options.add_argument("--records", choices=("even", "odd", "all"), default="even")
    options.add_argument("--lead", choices=LEADS, nargs="*", default=["ii"])
    given = options.parse_args()
    first, step = {"even": (2, 2), "odd": (1, 2), "all": (1, 1)}[given.records]
    numbers = list(range(first, 201, step))
    rows = list(errors(given.folder, numbers, given.lead))
    print(f"LUDB, {given.records} records, leads {' '.join(given.lead)}; ms")
    print(
        f"{'mark':8}{'n':>6}{'mean':>8}{'SD':>7}{'sure n':>8}{'mean':>8}{'SD':>7}{'missed':>8}{'invented':>10}"
    )
    for name in MARKS:
        of = np.array([e for n, e, _ in rows if n == name])
        sure = np.array([e for n, e, s in rows if n == name and s])
        missed = sum(n == f"{name} missed" for n, _, _ in rows)
        invented = sum(n == f"{name} invented" and s for n, _, s in rows)
        print(
            f"{name:8}{of.size:6}{of.mean():8.1f}{of.std():7.1f}{sure.size:8}{sure.mean():8.1f}{sure.std():7.1f}{missed:8}{invented:10}"
        )


if __name__ == "__main__":
    main()
