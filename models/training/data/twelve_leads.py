"""Records of twelve leads: PTB-XL's first 500 with their diagnostic superclasses, and LUDB's
without labels.

Wagner et al. 2020 (DOI 10.1038/s41597-020-0495-6), CC BY 4.0; Kalyakulina et al. 2020 (DOI
10.1109/ACCESS.2020.3029211). Each lead is conditioned by the very stage that serves, and scaled by
its own root mean square, as serving scales a lead.
"""

from __future__ import annotations

import ast
import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.signal import conditioning
from models.signal.windows import PIECE_SPEC, scale
from models.training.data.records import read_channels, record_names

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SUPERCLASSES = ("NORM", "MI", "STTC", "CD", "HYP")
FOLDS = 5

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TwelveLeads:
    """Records of ten seconds; the superclasses of the `labelled` ones are known."""

    patients: Ints  # (R,)
    windows: Floats  # (R, 12, 1250) scaled
    labels: Floats  # (R, 5) 1 where the superclass is named
    folds: Ints  # (R,) of five, by patient as PTB-XL has them; -1 without labels

    @property
    def labelled(self) -> Ints:
        """Indices of records whose superclasses are known."""
        return np.flatnonzero(self.folds >= 0)


def load(data: Path, cache: Path) -> TwelveLeads:
    """All records of both sets; reads `cache` if it was made by the same conditioning."""
    made_by = hashlib.sha256(Path(conditioning.__file__).read_bytes()).hexdigest()
    if cache.exists():
        with np.load(cache) as stored:
            if str(stored["made_by"]) == made_by:
                windows = stored["windows"].astype(np.float32)
                return TwelveLeads(stored["patients"], windows, stored["labels"], stored["folds"])
    found = _read(data)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        cache,
        made_by=np.array(made_by),
        patients=found.patients,
        windows=found.windows.astype(np.float16),
        labels=found.labels,
        folds=found.folds,
    )
    return found


def _read(data: Path) -> TwelveLeads:
    classes = superclasses(data / "ptbxl500" / "scp_statements.csv")
    patients, windows, labels, folds = list[int](), list[Floats](), list[Floats](), list[int]()
    with (data / "ptbxl500" / "ptbxl_database.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            patients.append(int(float(row["patient_id"])))
            windows.append(_window(data / "ptbxl500", row["filename_lr"]))
            labels.append(named(row["scp_codes"], classes))
            folds.append((int(row["strat_fold"]) - 1) // 2)
    for name in record_names(data, "ludb"):
        patients.append(-int(name.partition("/")[2]))  # negative: no patient of PTB-XL
        windows.append(_window(data, name))
        labels.append(np.zeros(len(SUPERCLASSES), np.float32))
        folds.append(-1)
    return TwelveLeads(
        np.array(patients), np.stack(windows), np.stack(labels), np.array(folds, np.int64)
    )


def superclasses(path: Path) -> dict[str, str]:
    """The superclass of each diagnostic statement."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row[""]: row["diagnostic_class"] for row in rows if row["diagnostic"] == "1.0"}


def named(codes: str, classes: dict[str, str]) -> Floats:
    """The superclasses of a record's statements that are more than possible (likelihood > 0): (5,)."""
    likelihoods = ast.literal_eval(codes)
    of_record = {
        classes[code] for code, sure in likelihoods.items() if code in classes and sure > 0
    }
    return np.array([c in of_record for c in SUPERCLASSES], np.float32)


def _window(folder: Path, name: str) -> Floats:
    """The last ten seconds of all leads: (12, 1250)."""
    _, leads = read_channels(folder, name, range(len(LEADS)))
    history = np.zeros((len(LEADS), PIECE_SPEC.history), np.float32)
    for row, signal in zip(history, leads, strict=True):
        some = signal[-len(row) :]
        row[len(row) - len(some) :] = some
    return scale(history, np.full(len(LEADS), min(len(leads[0]), PIECE_SPEC.scale)), PIECE_SPEC)
