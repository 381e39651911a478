"""The records of a database to be judged, their annotations, and a network that has not seen the
patient."""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import wfdb

from ecgwatch.evaluating import references
from ingest.clock import ManualClock
from ingest.errors import BadInputError
from ingest.sources.base import Block, Source
from models.serving.runtime import ARTIFACTS, DEPLOYED, Model, load, read_spec
from models.signal.windows import Floats
from stream_processor.pipeline.ward import Ward
from stream_processor.scoring import cinc2015
from stream_processor.scoring.reference import Symbol

FOLDS = ARTIFACTS / DEPLOYED / "folds"
DATABASES = ("mitdb", "nstdb", "vfdb", "cinc2015", "cinc2017", *references.SETS)
LABELS = "NAO~"  # of CinC 2017
SAME_PATIENT = {"mitdb/202": "mitdb/201"}


class EvaluationTask(NamedTuple):
    """One record to judge."""

    path: Path  # without extension
    database: str
    annotator: str  # "" if the record has no annotations, only a question
    question: cinc2015.Question | None
    # folder of the networks that left the patient or the record out; None: the shipped ones
    fold: str | None
    seen: bool  # True if the network that judges was trained on the patient
    start_s: float  # learning time of the beat statistics
    # the whole record's rhythm, one of LABELS, if the reference has nothing else
    label: str = ""

    @property
    def name(self) -> str:
        return self.path.name


def tasks(
    folder: Path, wanted: Sequence[str], annotator: str, start_s: float, *, folds: bool
) -> list[EvaluationTask]:
    """The records of a folder that have annotations or, in cinc2015, a question. Raises
    BadInputError if there are none."""
    database = folder.name
    if database == "cinc2017":
        return _labelled(folder, wanted, folds=folds)
    if database in references.SETS:
        return _unseen(folder, wanted)
    known: dict[str, int] = json.loads((FOLDS / "folds.json").read_text())
    asked = (
        {q.record: q for q in cinc2015.questions(folder / "ALARMS")}
        if database == "cinc2015"
        else {}
    )
    there = sorted(
        p.with_suffix("")
        for p in folder.glob("*.hea")
        if p.stem in asked or p.with_suffix(f".{annotator}").exists()
    )
    names = {p.name for p in there}
    if not names:
        raise BadInputError(
            f"{folder}: no WFDB records with annotations (NAME.hea beside NAME.{annotator})",
            f"Give a folder that has them, one of {', '.join(DATABASES)} in the data folder (ECG_DATA), or another --annotator.",
        )
    strangers = sorted(set(wanted) - names)
    if strangers:
        raise BadInputError(
            f"{folder}: no annotated record {strangers[0]!r}",
            f"There are {', '.join(sorted(names)[:40])}.",
        )
    found = []
    for path in there:
        if not wanted or path.name in wanted:
            fold = known.get(patient(database, path.name))
            used = str(fold) if folds and fold is not None else None
            question = asked.get(path.name)
            seen = fold is not None and used is None
            found.append(
                EvaluationTask(
                    path, database, "" if question else annotator, question, used, seen, start_s
                )
            )
    return found


def _unseen(folder: Path, wanted: Sequence[str]) -> list[EvaluationTask]:
    """Tasks for databases on which nothing was trained and that have no beat labels."""
    there = references.records(folder)
    if strangers := sorted(set(wanted) - {p.name for p in there}):
        raise BadInputError(
            f"{folder}: no record {strangers[0]!r}",
            f"There are {', '.join(p.name for p in there[:40])}.",
        )
    return [
        EvaluationTask(path, folder.name, "", None, None, False, 0.0)
        for path in there
        if not wanted or path.name in wanted
    ]


def _labelled(folder: Path, wanted: Sequence[str], *, folds: bool) -> list[EvaluationTask]:
    """Tasks for records with one label each; with `folds`, unless records are named, only those
    that a network was not trained on, judged by that network."""
    try:
        with (folder / "REFERENCE.csv").open(newline="") as file:
            labels = {
                row[0]: row[1] for row in csv.reader(file) if len(row) > 1 and row[1] in LABELS
            }
    except OSError as error:
        raise BadInputError(
            f"{folder}/REFERENCE.csv: {error.strerror}",
            "Unpack the database again: the labels are in it.",
        ) from error
    unseen = set(json.loads((FOLDS / "cinc2017.json").read_text()))
    if strangers := sorted(set(wanted) - labels.keys()):
        raise BadInputError(
            f"{folder}: no labelled record {strangers[0]!r}",
            f"There are {len(labels)}, from {min(labels)} to {max(labels)}.",
        )
    names = sorted(wanted or (unseen & labels.keys() if folds else labels))
    judged_by = {name: "cinc2017" if folds and name in unseen else None for name in names}
    return [
        EvaluationTask(folder / name, "cinc2017", "", None, fold, fold is None, 0.0, labels[name])
        for name, fold in judged_by.items()
    ]


def patient(database: str, record: str) -> str:
    """The name under which the patient is in the list of folds: NSTDB's records are MITDB's with
    noise."""
    name = f"mitdb/{record[:3]}" if database == "nstdb" else f"{database}/{record}"
    return SAME_PATIENT.get(name, name)


class HeldOut(Model):
    """The networks of a fold, with the rhythm task of the shipped model, which saw no patient of
    the databases that have folds."""

    def __init__(self, folder: Path, shipped: Model) -> None:
        super().__init__(folder)
        self._shipped, self._rhythm = shipped, shipped.tasks["rhythm"]
        width = self._rhythm.channels[1] - self._rhythm.channels[0]
        moved = {
            t.name: msgspec.structs.replace(
                t, channels=(t.channels[0] + width, t.channels[1] + width)
            )
            for t in self.tasks.values()
        }
        self.tasks = {"rhythm": msgspec.structs.replace(self._rhythm, channels=(0, width)), **moved}

    def segment(self, x: Floats) -> tuple[Floats, Floats]:
        """See Model."""
        mask, own = super().segment(x)
        _, theirs = self._shipped.segment(x)
        return mask, np.concatenate([theirs[:, :, slice(*self._rhythm.channels)], own], axis=2)

    def decode(
        self, task: str, steps: Floats, known: Floats, *beats: Floats
    ) -> npt.NDArray[np.float64]:
        """See Model."""
        return (
            self._shipped.decode(task, steps, known, *beats)
            if task == "rhythm"
            else super().decode(task, steps, known, *beats)
        )


@functools.cache
def ward_of(fold: str | None) -> Ward:
    """A ward with the networks of a fold, or the shipped ones."""
    return Ward(_model_of(fold), ManualClock())


def _model_of(fold: str | None) -> Model:
    if fold is None:
        return load()
    folder = FOLDS / fold
    return (
        Model(folder)
        if "rhythm" in {task.name for task in read_spec(folder).tasks}
        else HeldOut(folder, load())
    )


def symbols(task: EvaluationTask, fs_hz: float) -> list[Symbol]:
    """The record's annotations in order, in samples at fs_hz. Raises BadInputError if they cannot
    be read."""
    try:
        read = wfdb.rdann(str(task.path), task.annotator)
    except Exception as error:  # wfdb raises any kind of exception for a damaged file
        problem = f"{task.path}.{task.annotator}: cannot be read ({type(error).__name__}: {error})"
        raise BadInputError(
            problem, "Copy or download it again, or leave the record out with --records."
        ) from error
    scale = fs_hz / float(read.fs or fs_hz)
    rows = zip(read.sample.tolist(), read.symbol, read.aux_note, strict=True)
    return sorted(Symbol(round(at * scale), symbol, aux.strip("\0")) for at, symbol, aux in rows)


class SourceExcerpt:
    """A stretch of a source, as a source of its own."""

    def __init__(self, source: Source, start_s: float, end_s: float) -> None:
        self._source, self._start, self._length = (
            source,
            start_s,
            round((end_s - start_s) * source.fs_hz),
        )
        self.name, self.fs_hz, self.counts_per_mv = source.name, source.fs_hz, source.counts_per_mv
        self.lead, self.device_id = source.lead, source.device_id
        self.duration_s = self._length / source.fs_hz

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """See Source."""
        at = round(start_s * self.fs_hz)
        for block in self._source.blocks(self._start + start_s):
            kept = block.counts[: max(0, self._length - at)]
            at += len(block.counts)
            if len(kept):
                first = round(self._start * self.fs_hz)
                inside = [
                    a._replace(sample=a.sample - first)
                    for a in block.annotations
                    if a.sample < first + self._length
                ]
                yield Block(kept, block.lead_off, tuple(inside))
