"""Beats of twelve-lead records (PTB-XL, LUDB) for task T2: a record states that it has ventricular
beats, but not which ones.

A ventricular beat changes its shape in most leads at once, however little in some. So in a record
that is stated to have one, a beat is V in every lead if the mean over all leads of its similarity
to the lead's template is low, and N if it is high; every lead is then a separate single-lead track.
In records without stated ectopic beats all beats are N. Over the records stated to have V, the
means are below 0.6 or above 0.9 with hardly any between.

PTB-XL: Wagner et al. 2020, DOI 10.1038/s41597-020-0495-6; LUDB: Kalyakulina et al. 2020, DOI
10.1109/ACCESS.2020.3029211.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.beats.morphology import CORE, Doubles, Floats
from models.training.data.beat_scenarios import repeated
from models.training.data.records import read_channels, record_names
from models.training.tasks.beat_class.beats import (
    BIT,
    UNKNOWN,
    AnnotatedBeats,
    Codes,
    beats_without_reference,
    found_in,
)
from models.training.tasks.qrs.metrics import Predict

LEADS = 12
USUAL_LEADS = 4  # of a record without V, drawn; of one with V all
TOGETHER = 10  # samples between leads' R peaks of one beat, at most
SEEN_IN = 7  # leads
NEAR = 15  # samples from a beat of all leads to that of one
UNLIKE, LIKE = 0.65, 0.85
SHIFTS = range(-4, 5)  # values of a shape
LAST = 65  # samples at a record's end, in which shapes are cut off
# each record's beats are repeated this often, because ten seconds do not fill the context; the
# first pass is not learned from
TIMES = 3

N, S, V = BIT["N"], BIT["S"], BIT["V"]
Found = tuple[Doubles, Floats]  # R peaks and shapes of one lead


def twelve_leads(folder: Path, detector: Predict) -> Iterator[AnnotatedBeats]:
    """The tracks of all records whose statements are clear."""
    rng = np.random.default_rng(3)
    for name, patient, diagnosed in (*_ptbxl(folder), *_ludb(folder)):
        _, signals = read_channels(folder, name, range(LEADS))
        leads = [found_in(beats_without_reference(name, signal), detector) for signal in signals]
        beats = common(leads)
        if len(beats) < 5:
            continue
        codes = np.where(
            beats < len(signals[0]) - LAST, labels(likeness(leads, beats), diagnosed), UNKNOWN
        )
        for lead in (
            range(LEADS) if diagnosed == V else rng.permutation(LEADS)[:USUAL_LEADS].tolist()
        ):
            at, shape = leads[lead]
            if len(at) >= 5:
                yield warmed(
                    AnnotatedBeats(
                        f"{name}-{lead}",
                        patient,
                        -1,
                        0,
                        at,
                        shape,
                        _allowed(at, beats, codes),
                        np.zeros(0),
                        "",
                    )
                )


def _ptbxl(folder: Path) -> Iterator[tuple[str, str, int]]:
    """Name, patient, and what its ectopic beats are: V, S or, without any, N. Left out: paced, both
    kinds, kind not stated."""
    with (folder / "ptbxl500" / "ptbxl_database.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            codes = set(ast.literal_eval(row["scp_codes"]))
            ventricular, atrial = "PVC" in codes, bool(codes & {"PAC", "SVTAC"})
            if (
                "PACE" in codes
                or (ventricular and atrial)
                or (row["extra_beats"] and not ventricular and not atrial)
            ):
                continue
            yield (
                f"ptbxl500/{row['filename_lr']}",
                f"ptbxl500/{row['patient_id']}",
                V if ventricular else S if atrial else N,
            )


def _ludb(folder: Path) -> Iterator[tuple[str, str, int]]:
    for name in record_names(folder, "ludb"):
        text = (folder / f"{name}.hea").read_text().lower()
        ventricular, atrial = "ventricular extrasystole" in text, "atrial extrasystole" in text
        if "pacing" not in text and not (ventricular and atrial):
            yield name, name, V if ventricular else S if atrial else N


def common(leads: Sequence[Found]) -> Doubles:
    """R peaks that most leads have, in samples: (n,)."""
    every = np.sort(np.concatenate([at for at, _ in leads]))
    groups = np.split(every, np.flatnonzero(np.diff(every) > TOGETHER) + 1)
    return np.array([np.median(group) for group in groups if len(group) >= SEEN_IN])


def likeness(leads: Sequence[Found], beats: Doubles) -> Doubles:
    """Mean over leads of the similarity 2ab / (a^2 + b^2) of each beat and the lead's median shape,
    aligned: (n,)."""
    found = np.full((len(leads), len(beats)), np.nan)
    for row, (at, shape) in zip(found, leads, strict=True):
        if len(at) >= 4:
            nearest = np.abs(at[None] - beats[:, None]).argmin(axis=1)
            there = np.abs(at[nearest] - beats) < NEAR
            row[there] = _like(shape, np.median(shape, axis=0))[nearest[there]]
    return np.asarray(np.nanmean(found, axis=0))


def _like(shapes: Floats, usual: Floats) -> Doubles:
    ours = usual[CORE].astype(np.float64) - usual[CORE].mean()
    moved = np.stack([shapes[:, CORE.start + s : CORE.stop + s] for s in SHIFTS], axis=1).astype(
        np.float64
    )
    moved -= moved.mean(axis=2, keepdims=True)
    power = np.square(moved).sum(axis=2) + np.square(ours).sum()
    return np.asarray((2 * (moved * ours).sum(axis=2) / np.maximum(power, 1e-9)).max(axis=1))


def labels(like: Doubles, diagnosed: int) -> Codes:
    """Sets of classes of beats by their similarity, in a record whose stated ectopic beats are
    `said`."""
    if diagnosed == V:
        return np.where(like < UNLIKE, V, np.where(like > LIKE, N, UNKNOWN)).astype(np.uint8)
    return np.full(len(like), N | S if diagnosed == S else N, np.uint8)


def _allowed(at: Doubles, beats: Doubles, codes: npt.NDArray[np.integer]) -> Codes:
    """The codes of a lead's own beats; unknown for a beat that other leads do not have."""
    nearest = np.abs(beats[None] - at[:, None]).argmin(axis=1)
    return np.where(np.abs(beats[nearest] - at) < NEAR, codes[nearest], UNKNOWN).astype(np.uint8)


def warmed(track: AnnotatedBeats) -> AnnotatedBeats:
    """The beats TIMES one after another, unknown the first time."""
    again = repeated(track, TIMES)
    allowed = again.allowed.copy()
    allowed[: len(track.at)] = UNKNOWN
    return replace(again, allowed=allowed)
