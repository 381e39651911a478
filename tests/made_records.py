"""Folders of labelled records for tests."""

from __future__ import annotations

from pathlib import Path

from ingest.simulator.generate import write_wfdb
from ingest.simulator.scenario import load as scenario
from models.training.data.labelled import LEAST_RECORDS

CLASSES = {"fibrillation": "afib", "normal": "normal"}


def labelled(folder: Path, records: int = LEAST_RECORDS, seconds: float = 12.0) -> Path:
    """So many simulated records of each class."""
    folder.mkdir(exist_ok=True)
    lines = ["record,label"]
    for label, name in CLASSES.items():
        for i in range(records):
            made = scenario(name)
            write_wfdb(made, folder, f"{label[0]}{i}", duration_s=seconds, seed=i)
            lines.append(f"{label[0]}{i},{label}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
