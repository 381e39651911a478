"""Freeze the events of the data path for every record at hand, and compare two freezes: shows that
a change of the code changed no event.

    python benchmarks/event_hashes.py freeze FOLDER [--sets mitdb vfdb ...] [--every N]   one file per record, and hashes.json
    python benchmarks/event_hashes.py compare BEFORE AFTER                                what differs: the first event, and counts

Records come from $ECG_DATA (default ~/.cache/ecg-data). Beats, rhythm episodes, alarm steps and
vitals are compared, every field of each.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import sys
from collections import Counter
from pathlib import Path

import msgspec

from ecgwatch.annotate import annotate, new_ward
from ingest.errors import BadInputError
from ingest.sources.open import open_source

DATA = Path(os.environ.get("ECG_DATA", "~/.cache/ecg-data")).expanduser()
# for the large sets of short records: use one in this many
EVERY = {"cinc2017": 20, "ptbxl500": 10, "cinc2011": 10, "lead1db": 20}
KINDS = ("beats", "rhythm", "steps", "vitals")


def names(database: str, every: int) -> list[str]:
    """The records of a set: all, or one in `every`."""
    found = sorted(
        str(p.relative_to(DATA).with_suffix("")) for p in (DATA / database).rglob("*.hea")
    )
    return found[::every]


def events(name: str) -> dict[str, list[object]]:
    """Every event of a record, by kind, as plain data."""
    result = annotate(open_source(name, data=DATA), new_ward())
    found = {kind: [msgspec.to_builtins(e) for e in getattr(result, kind)] for kind in KINDS}
    return found | {"overall": [result.label, result.probability]}


def freeze(folder: Path, sets: list[str], every: int | None) -> None:
    """Write the events of each record and their hashes; skip records that are frozen already."""
    hashes = {}
    for database in sets:
        for name in names(database, every or EVERY.get(database, 1)):
            path = folder / f"{name}.json.gz"
            if not path.exists():
                try:
                    found = json.dumps(events(name), sort_keys=True).encode()
                except BadInputError as error:  # a record of noise, or of several unnamed leads
                    print(f"{name} left out: {error}", flush=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(gzip.compress(found, mtime=0))
            hashes[name] = hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
        print(database, len(hashes), flush=True)
    (folder / "hashes.json").write_text(json.dumps(hashes, indent=1))


def compare(before: Path, after: Path) -> int:
    """Print the differences of two freezes; returns the number of differing records."""
    old, new = (json.loads((folder / "hashes.json").read_text()) for folder in (before, after))
    differing = [name for name in old if name in new and old[name] != new[name]]
    for name in differing:
        a, b = (
            json.loads(gzip.decompress((folder / f"{name}.json.gz").read_bytes()))
            for folder in (before, after)
        )
        for kind in a:
            if a[kind] != b[kind]:
                first = next(
                    (pair for pair in zip(a[kind], b[kind], strict=False) if pair[0] != pair[1]),
                    ("", ""),
                )
                print(
                    f"{name} {kind}: {len(a[kind])} before, {len(b[kind])} after; first difference\n  {first[0]}\n  {first[1]}"
                )
    print(f"{len(old)} records before, {len(new)} after, {len(differing)} differ")
    return len(differing)


def count(before: Path, after: Path) -> None:
    """Print what kinds of events differ: announced onsets by kind of alarm, seconds by rhythm, and
    beats and vitals by field, each before and after."""
    found: dict[str, Counter[str]] = {"before": Counter(), "after": Counter()}
    changed: Counter[str] = Counter()
    for path in sorted(before.rglob("*.json.gz")):
        if not (after / path.relative_to(before)).exists():
            continue
        changed["records"] += 1
        read = [
            json.loads(gzip.decompress((folder / path.relative_to(before)).read_bytes()))
            for folder in (before, after)
        ]
        for side, events in zip(found.values(), read, strict=True):
            side.update(
                f"alarm {s['kind']}"
                for s in events["steps"]
                if s["step"] == "onset" and s["announced"]
            )
            side["beats"] += len(events["beats"])
            for episode in events["rhythm"]:
                side[f"seconds of {episode['label']}"] += round(
                    (episode["end_ns"] - episode["start_ns"]) / 1e9
                )
        for kind in ("beats", "vitals"):
            old, new = ({e["time_ns"]: e for e in events[kind]} for events in read)
            changed.update(
                f"{kind}: {name} differs"
                for at in old.keys() & new.keys()
                for name in old[at]
                if old[at][name] != new[at].get(name)
            )
    for name in sorted(found["before"] | found["after"]):
        print(f"{name:32s} {found['before'][name]:8d} {found['after'][name]:8d}")
    for name, times in sorted(changed.items()):
        print(f"{name:32s} {times:8d}")


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    freezing = commands.add_parser("freeze")
    freezing.add_argument("folder", type=Path)
    freezing.add_argument(
        "--sets", nargs="+", default=sorted(p.name for p in DATA.iterdir() if p.is_dir())
    )
    freezing.add_argument("--every", type=int)
    comparing = commands.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.command == "compare":
        differing = compare(given.before, given.after)
        if differing:
            count(given.before, given.after)
        return min(differing, 1)
    freeze(given.folder, given.sets, given.every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
