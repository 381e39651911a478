"""Comparison with public QRS detectors on the same records: same beats, same rule, same run.

NeuroKit2 (Makowski et al. 2021, DOI 10.3758/s13428-020-01516-y) with its own method and
pantompkins1985 (Pan and Tompkins 1985, DOI 10.1109/TBME.1985.325532), and wfdb's XQRS. They get the
whole record at once, at its own sampling frequency, as their documentation shows; ours gets it as a
stream, with the network that was trained without the patient.
"""

from __future__ import annotations

import importlib.util
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ecgwatch.annotate import annotate
from ecgwatch.evaluating.tables import Cell, FigureTable
from ecgwatch.evaluating.task import EvaluationTask, symbols, tasks, ward_of
from ingest.errors import BadInputError
from ingest.sources.wfdb_record import WfdbSource
from stream_processor.scoring.beats import score_beats
from stream_processor.scoring.counts import Counts
from stream_processor.scoring.reference import Mark, Record, reference

Floats = npt.NDArray[np.float64]
Detect = Callable[[Floats, float], Sequence[int]]  # mV, Hz to samples
OURS = "ecgwatch (stream, patient left out)"
LEARNING_S = 300.0


class DetectorCounts(NamedTuple):
    """Counts of one detector on one record: the whole of it, and without the learning time."""

    detector: str
    record: str
    whole: Counts
    later: Counts
    cpu_s: float


def compare_on(folder: Path, wanted: Sequence[str]) -> list[str]:
    """Return tables of all detectors on the annotated records of a folder, and a line on each that
    could not run. Raises BadInputError as `tasks` does."""
    detectors, missing = available()
    found: list[DetectorCounts] = []
    for task in tasks(folder, wanted, "atr", 0.0, folds=True):
        if reference(symbols(task, 1.0), 1.0, 1).beats:
            print(f"  {task.name}", file=sys.stderr, flush=True)  # noqa: T201  minutes pass
            found += judge(task, detectors)
    if not found:
        raise BadInputError(f"{folder}: no record with annotated beats", "Name another --database.")
    return [summary(found).text(), per_record(found).text(), *missing]


def available() -> tuple[dict[str, Detect], list[str]]:
    """Return the installed detectors, and a line on those that are not installed."""
    detectors: dict[str, Detect] = {"wfdb XQRS": xqrs}
    if importlib.util.find_spec("neurokit2") is None:
        return detectors, [
            "NeuroKit2 is not installed: skipped. Install the extra: .venv/bin/pip install -e '.[bench]'"
        ]
    return {
        "NeuroKit2 neurokit": neurokit("neurokit"),
        "NeuroKit2 pantompkins1985": neurokit("pantompkins1985"),
    } | detectors, []


def judge(task: EvaluationTask, detectors: dict[str, Detect]) -> Iterator[DetectorCounts]:
    """Score our detector and the others on one record."""
    source = WfdbSource(task.path)
    began = time.process_time()
    ours = annotate(source, ward_of(task.fold))
    spent = time.process_time() - began
    ref = reference(symbols(task, ours.fs_hz), ours.fs_hz, ours.samples)
    yield score(OURS, task, ref, [b.sample for b in ours.beats], spent)
    signal = np.concatenate([block.counts for block in source.blocks()]) / source.counts_per_mv
    for name, detect in detectors.items():
        began = time.process_time()
        beats = detect(signal, source.fs_hz)
        yield score(name, task, ref, beats, time.process_time() - began)


def score(
    detector: str, task: EvaluationTask, ref: Record, beats: Sequence[int], cpu_s: float
) -> DetectorCounts:
    """Pair a detector's beats with the reference's within 150 ms, ventricular flutter left out."""
    test = Record(ref.fs_hz, ref.n, tuple(Mark(int(sample), "N") for sample in sorted(beats)))
    return DetectorCounts(
        detector,
        task.name,
        score_beats(ref, test, 0.0).qrs,
        score_beats(ref, test, LEARNING_S).qrs,
        cpu_s,
    )


def summary(found: Sequence[DetectorCounts]) -> FigureTable:
    """Make a table with a row per detector, counts summed over records."""
    columns = [
        ("QRS detector", ""),
        ("F1", ".2f"),
        ("Se", ".2f"),
        ("+P", ".2f"),
        ("missed", "d"),
        ("false", "d"),
        ("F1 from 5 min", ".2f"),
        ("worst records (F1)", ""),
        ("CPU, s per record", ".2f"),
    ]
    rows: list[tuple[Cell, ...]] = []
    for name in dict.fromkeys(f.detector for f in found):
        each = [f for f in found if f.detector == name]
        whole, later = (
            sum((f.whole for f in each), Counts()),
            sum((f.later for f in each), Counts()),
        )
        worst = sorted(each, key=lambda f: f.whole.f1 or 0.0)[:3]
        text = " ".join(f"{f.record} ({f.whole.f1 or 0:.2f})" for f in worst)
        cpu = float(np.median([f.cpu_s for f in each]))
        rows.append((name, whole.f1, whole.se, whole.ppv, whole.fn, whole.fp, later.f1, text, cpu))
    records = dict.fromkeys(f.record for f in found)
    note = f"{len(records)} records from their start, first channel, 150 ms, without flutter. CPU: median; ours with all its other work."
    return FigureTable("QRS detection", columns, rows, note)


def per_record(found: Sequence[DetectorCounts]) -> FigureTable:
    """Make a table of F1 of every detector on every record."""
    names = list(dict.fromkeys(f.detector for f in found))
    f1 = {(f.record, f.detector): f.whole.f1 for f in found}
    rows: list[tuple[Cell, ...]] = [
        (r, *(f1[r, n] for n in names)) for r in dict.fromkeys(f.record for f in found)
    ]
    return FigureTable("F1 by record", [("record", ""), *((n, ".2f") for n in names)], rows)


def neurokit(method: str) -> Detect:
    """Return NeuroKit2's detector: cleaning and peaks by the same method."""

    def detect(signal: Floats, fs_hz: float) -> Sequence[int]:
        import neurokit2

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clean = neurokit2.ecg_clean(signal, sampling_rate=int(fs_hz), method=method)
            found: dict[str, Any] = neurokit2.ecg_peaks(
                clean, sampling_rate=int(fs_hz), method=method
            )[1]
        return [int(sample) for sample in found["ECG_R_Peaks"]]

    return detect


def xqrs(signal: Floats, fs_hz: float) -> Sequence[int]:
    """Detect QRS complexes by wfdb.processing.XQRS with its defaults."""
    from wfdb.processing import XQRS

    detector = XQRS(sig=signal, fs=fs_hz)
    detector.detect(verbose=False)
    return [int(sample) for sample in detector.qrs_inds]
