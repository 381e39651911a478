#!/usr/bin/env python3
"""Give every sample record of other projects' packages to `annotate`, and print what it said as a
Markdown table.

    pip download --no-deps --no-binary :all: biosppy==0.8.0 pyedflib -d packages
    nice python benchmarks/sample_records.py packages/*.tar.gz

Read are wheels and source packages (.whl, .zip, .tar.gz); a record is a file whose name ends as in
SUFFIXES, in a folder whose name is one of FOLDERS. A refusal is no fault: most samples are no ECG,
or do not say their unit; whoever reads the table judges.
"""

from __future__ import annotations

import csv
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).parents[1]))

from typer.testing import CliRunner

from ecgwatch.__main__ import app

SUFFIXES = {".edf", ".bdf", ".csv", ".txt", ".hea", ".mat", ".wav"}
FOLDERS = {"data", "examples", "sample-data", "sampledata", "records"}


def unpack(package: Path, folder: Path) -> None:
    """Write the package's files below the folder."""
    if package.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(package) as wheel:
            wheel.extractall(folder)
    else:
        with tarfile.open(package) as source:
            source.extractall(folder, filter="data")


def records(folder: Path) -> list[Path]:
    """The sample records below a folder."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and FOLDERS & set(path.parent.parts)
    )


def verdict(record: Path, out: Path) -> str:
    """What `annotate` says of a record: what it found, or problem and remedy."""
    given = record.with_suffix("") if record.suffix == ".hea" else record
    done = CliRunner().invoke(app, ["annotate", str(given), "--out", str(out)])
    output = " ".join(done.output.replace(str(record), record.name).split())
    if done.exit_code:
        return f"refused: {output}"
    with (out / "record.csv").open() as table:
        row = next(csv.DictReader(table))
    return "; ".join(f"{name} {value}" for name, value in row.items() if value)


def main() -> int:
    """The command line."""
    print("| package | record | `annotate` |\n|---|---|---|")
    for package in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as folder:
            unpack(package, Path(folder))
            for number, record in enumerate(records(Path(folder))):
                name = PurePosixPath(*record.relative_to(folder).parts[1:])
                answer = verdict(record, Path(folder) / f"out{number}").replace("|", "\\|")
                print(f"| {package.name} | {name} | {answer} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
