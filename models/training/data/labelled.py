"""A folder of labelled WFDB records: NAME.hea and NAME.dat, and labels.csv with the columns record
and label."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ingest.errors import BadInputError
from ingest.sources.wfdb_record import WfdbSource
from models.signal.conditioning import FS_HZ, condition
from models.training.data.cinc2017 import Floats, Recordings

LABELS = "labels.csv"
FORM = "Write one line per record: record,label (the first line names the columns; record is a file's name without .hea)."
LEAST_RECORDS = 10  # of each class
LONGEST_LABEL = 32


def load(
    folder: Path, least_s: int, skipped: Callable[[str], None]
) -> tuple[Recordings, list[str]]:
    """All records, and the classes that their labels count in, in alphabetical order.

    A record that cannot be read, or is shorter than `least_s`, is reported to `skipped`, and the
    others are used. Raises BadInputError if there are fewer than two classes, or fewer than
    LEAST_RECORDS usable records of one.
    """
    labels = read_labels(folder / LABELS)
    signals: dict[str, Floats] = {}
    for record in labels:
        try:
            signal = _read(folder / record)
        except BadInputError as error:
            skipped(f"{record} is left out: {error.problem}")
            continue
        if len(signal) < least_s * FS_HZ:
            skipped(
                f"{record} is left out: it has {len(signal) / FS_HZ:.1f} s, the task needs {least_s} s"
            )
            continue
        signals[record] = signal
    classes = sorted(set(labels.values()))
    _check_classes(folder, classes, Counter(labels[record] for record in signals))
    bounds = np.cumsum([0, *(len(signal) for signal in signals.values())])
    together = np.concatenate(list(signals.values())).astype(np.float16)
    return Recordings(
        np.array(list(signals)),
        np.array([classes.index(labels[r]) for r in signals]),
        bounds,
        together,
    ), classes


def read_labels(path: Path) -> dict[str, str]:
    """Label of each record. Raises BadInputError naming the line."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, skipinitialspace=True)
            if not {"record", "label"} <= set(rows.fieldnames or ()):
                raise BadInputError(
                    f"{path}: the first line does not name the columns record and label", FORM
                )
            found: dict[str, str] = {}
            for row in rows:
                record, label = (row["record"] or "").strip(), (row["label"] or "").strip()
                if not record or not label:
                    raise BadInputError(
                        f"{path}, line {rows.line_num}: a record or a label is missing", FORM
                    )
                if len(label) > LONGEST_LABEL or not label.isprintable():
                    raise BadInputError(
                        f"{path}, line {rows.line_num}: the label {label[:60]!r} is no name",
                        "Use up to 32 characters.",
                    )
                if found.setdefault(record, label) != label:
                    raise BadInputError(
                        f"{path}, line {rows.line_num}: {record} has two labels",
                        "Give each record one label.",
                    )
            return found
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInputError(f"{path}: {error}", FORM) from error


def _read(path: Path) -> Floats:
    if not path.with_name(path.name + ".hea").is_file():
        raise BadInputError(f"there is no {path.name}.hea", "")
    source = WfdbSource(path)
    blocks = [block.counts for block in source.blocks()]
    return condition(
        np.concatenate(blocks or [np.zeros(0, np.int16)]), source.fs_hz, source.counts_per_mv
    )


def _check_classes(folder: Path, classes: list[str], usable: Counter[str]) -> None:
    if len(classes) < 2:
        named = f"one class only, {classes[0]!r}" if classes else "no record"
        raise BadInputError(
            f"{folder / LABELS} has {named}",
            "A task tells at least two classes apart: add records of another one.",
        )
    for label in classes:
        if usable[label] < LEAST_RECORDS:
            problem = f"{folder}: class {label!r} has {usable[label]} usable records"
            raise BadInputError(
                problem,
                f"Give at least {LEAST_RECORDS} of each class, or take the class out of {LABELS}.",
            )
