#!/usr/bin/env python3
"""How good the product's own stages are on the MIT-BIH records at hand, every patient judged by networks that never saw that patient.

    python benchmarks/accuracy.py [--data FOLDER] [--record mitdb/208 ...]

Each record runs through the whole data path (ecgwatch.annotate), with the beat network of the fold that left its patient out
(models/artifacts/beat/folds) and the shipped rhythm network, which was trained on CinC 2017 only. QRS: 150 ms window, ventricular flutter
left out as EC57 does. AF: share of the time annotated AF that is labelled AFIB, and of the rest. Nothing here was tuned on these records.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import wfdb
from wfdb.processing import compare_annotations

from ecgwatch.annotate import Annotated, annotate
from ingest.clock import ManualClock
from ingest.sources.open import open_source
from models.runtime import ARTIFACTS, Network, load
from stream_processor.ward import Ward

FOLDS = ARTIFACTS / "beat" / "folds"
BEATS = set("NLRBAaJSVrFejnE/fQ")
V, S = set("VE"), set("AaJS")
WINDOW_S = 0.150


@dataclass
class Counts:
    """Matches of one class."""

    tp: int = 0
    fn: int = 0
    fp: int = 0

    def add(self, other: Counts) -> None:
        self.tp, self.fn, self.fp = self.tp + other.tp, self.fn + other.fn, self.fp + other.fp

    def line(self) -> str:
        se, ppv = self.tp / max(1, self.tp + self.fn), self.tp / max(1, self.tp + self.fp)
        f1 = 2 * self.tp / max(1, 2 * self.tp + self.fn + self.fp)
        found = f"{self.tp + self.fn} reference, {self.fn} missed, {self.fp} extra"
        return f"F1 {100 * f1:6.2f}  Se {100 * se:6.2f}  +P {100 * ppv:6.2f}  ({found})"


@dataclass
class Score:
    """Everything counted on one record, or on several."""

    qrs: Counts = field(default_factory=Counts)
    qrs_after_5_min: Counts = field(default_factory=Counts)
    v: Counts = field(default_factory=Counts)
    s: Counts = field(default_factory=Counts)
    af: dict[tuple[bool, bool], float] = field(default_factory=lambda: dict.fromkeys(product((True, False), repeat=2), 0.0))  # s
    flutter_as_af_s: float = 0.0
    alarms: dict[str, int] = field(default_factory=dict)
    hours: float = 0.0

    def add(self, other: Score) -> None:
        for name in ("qrs", "qrs_after_5_min", "v", "s"):
            getattr(self, name).add(getattr(other, name))
        for key, value in other.af.items():
            self.af[key] += value
        for kind, n in other.alarms.items():
            self.alarms[kind] = self.alarms.get(kind, 0) + n
        self.flutter_as_af_s += other.flutter_as_af_s
        self.hours += other.hours


def score(path: Path, found: Annotated) -> Score:
    """Compare with the reference annotations of the record."""
    reference, fs = wfdb.rdann(str(path), "atr"), found.fs_hz
    result = Score(hours=found.samples / fs / 3600)
    outside = _outside_flutter(reference, found.samples)
    ref = [(s, y) for s, y in zip(reference.sample, reference.symbol, strict=True) if y in BEATS and outside[s]]
    got = [(b.sample, b.label) for b in found.beats if outside[min(b.sample, found.samples - 1)]]
    result.qrs, labels = _match(ref, got, fs)
    late = 300 * fs
    result.qrs_after_5_min, _ = _match([r for r in ref if r[0] >= late], [g for g in got if g[0] >= late], fs)
    result.v, result.s = _of_class(labels, V | {"F"}, "V", V), _of_class(labels, S, "S", S)
    _count_af(result, reference, found)
    for alarm in found.alarms:
        result.alarms[alarm.kind] = result.alarms.get(alarm.kind, 0) + 1
    return result


def _match(ref: list[tuple[int, str]], got: list[tuple[int, str]], fs: float) -> tuple[Counts, list[tuple[str, str]]]:
    """QRS counts, and (reference symbol or "", our label or "") of every beat."""
    at_ref, at_got = np.array([r[0] for r in ref], dtype=int), np.array([g[0] for g in got], dtype=int)
    if not len(at_ref) or not len(at_got):
        return Counts(0, len(ref), len(got)), [(r[1], "") for r in ref] + [("", g[1]) for g in got]
    matched = compare_annotations(at_ref, at_got, int(WINDOW_S * fs))
    pairs = [(ref[i][1], got[j][1]) for i, j in zip(matched.matched_ref_inds, matched.matched_test_inds, strict=True)]
    missed = [(ref[i][1], "") for i in matched.unmatched_ref_inds]
    extra = [("", got[j][1]) for j in matched.unmatched_test_inds]
    return Counts(len(pairs), len(missed), len(extra)), pairs + missed + extra


def _of_class(labels: list[tuple[str, str]], forgiven: set[str], label: str, wanted: set[str]) -> Counts:
    """As EC57: fusion beats called V are not held against us; a missed beat of the class counts."""
    return Counts(
        sum(r in wanted and g == label for r, g in labels),
        sum(r in wanted and g != label for r, g in labels),
        sum(r not in wanted | forgiven and g == label for r, g in labels),
    )


def _outside_flutter(reference: wfdb.Annotation, n: int) -> np.ndarray:
    outside = np.ones(n + 1, dtype=bool)
    begin = None
    for sample, symbol in zip(reference.sample, reference.symbol, strict=True):
        if symbol == "[":
            begin = sample
        elif symbol == "]" and begin is not None:
            outside[begin:sample], begin = False, None
    return outside


def _count_af(result: Score, reference: wfdb.Annotation, found: Annotated) -> None:
    fs, n = found.fs_hz, found.samples
    changes = [(s, a.strip("\0")) for s, y, a in zip(reference.sample, reference.symbol, reference.aux_note, strict=True) if y == "+"]
    truth, flutter = np.zeros(n, bool), np.zeros(n, bool)
    for (a, note), (b, _) in zip(changes, [*changes[1:], (n, "")], strict=True):
        truth[a:b] = note == "(AFIB"
        flutter[a:b] = note == "(AFL"
    ours = np.zeros(n, bool)
    for span in found.rhythm:
        ours[span.start_sample : span.end_sample] = span.label == "AFIB"
    for a, b in result.af:
        result.af[a, b] += float(np.sum((truth == a) & (ours == b) & ~flutter)) / fs
    result.flutter_as_af_s += float(np.sum(flutter & ours)) / fs


def main() -> None:
    """Print a line per record, then the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ECG_DATA", "~/.cache/ecg-data")).expanduser())
    parser.add_argument("--record", nargs="*", help="default: all of mitdb")
    options = parser.parse_args()
    fold_of: dict[str, int] = json.loads((FOLDS / "folds.json").read_text())
    networks = {n: Network(FOLDS / str(n)) for n in sorted(set(fold_of.values()))}
    wards = {n: Ward(network, load("rhythm"), ManualClock()) for n, network in networks.items()}
    total, by_fold, times = Score(), {n: Counts() for n in networks}, []
    for name in options.record or [f"mitdb/{p.stem}" for p in sorted((options.data / "mitdb").glob("*.hea"))]:
        began = time.process_time()
        found = annotate(open_source(name, data=options.data), wards[fold_of[name]])
        times.append(time.process_time() - began)
        one = score(options.data / name, found)
        total.add(one)
        by_fold[fold_of[name]].add(one.qrs)
        told = {k: n for k, n in one.alarms.items() if k in ("asystole", "ventricular_fibrillation", "ventricular_tachycardia")}
        print(f"{name}  fold {fold_of[name]}  QRS {one.qrs.line()}  {told or ''}", flush=True)
    f1 = [200 * c.tp / (2 * c.tp + c.fn + c.fp) for c in by_fold.values() if c.tp]
    af, of_af, rest = total.af, total.af[True, True] + total.af[True, False], total.af[False, True] + total.af[False, False]
    print(f"\nQRS            {total.qrs.line()}; over folds {np.mean(f1):.2f} +- {np.std(f1):.2f}")
    print(f"  after 5 min  {total.qrs_after_5_min.line()}")
    print(f"V              {total.v.line()}\nS              {total.s.line()}")
    print(f"AF time        {100 * af[True, True] / max(of_af, 1):.1f} % of {of_af / 60:.1f} min annotated AF labelled AFIB; ", end="")
    print(f"{100 * af[False, True] / max(rest, 1):.2f} % of the other {rest / 60:.1f} min", end="")
    print(f"; atrial flutter left out ({total.flutter_as_af_s:.0f} s of it labelled AFIB)")
    print("Alarms per h   " + ", ".join(f"{k} {n / total.hours:.2f}" for k, n in sorted(total.alarms.items())))
    minutes = total.hours / len(times) * 60
    print(f"CPU            {np.median(times):.2f} s per record of {minutes:.0f} min (median; at most {max(times):.2f} s)")


if __name__ == "__main__":
    main()
