"""A record's beats with people's edits applied, as WFDB annotations."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ecgwatch.writing.ecw import write_ecw
from ingest.messages import Beat, Edit, Rhythm
from stream_processor.sinks.base import Sink


def edited_beats(
    beats: Iterable[Beat], edits: Iterable[Edit], start_ns: int, fs_hz: float
) -> list[tuple[int, str]]:
    """Return (sample, label) of the beats after the edits; the newest edit of a beat counts.

    Samples count from the record's start at its own sampling frequency.
    """
    newest = {edit.target_id: edit for edit in edits if edit.target == "beat"}

    def sample(time_ns: int) -> int:
        return round((time_ns - start_ns) / 1e9 * fs_hz)

    found: list[tuple[int, str]] = []
    for beat in beats:
        edit = newest.pop(str(beat.time_ns), None)
        if edit is None or edit.verdict == "confirmed":
            found.append((sample(beat.time_ns), beat.label))
        elif edit.verdict == "relabelled":
            found.append((sample(beat.time_ns), edit.label))
        elif edit.verdict == "moved":
            found.append((sample(edit.at_ns), edit.label or beat.label))
    found += [(sample(e.at_ns), e.label) for e in newest.values() if e.verdict == "inserted"]
    return sorted(found)


def save(
    store: Sink, patient: str, fs_hz: float, start_ns: int, folder: Path
) -> tuple[Path, int, int]:
    """Write folder/PATIENT.ecw with the beats as edited and the rhythm; return its path, the number
    of beats, and that of edits."""
    edits = list(store.read(Edit, patient))
    beats = edited_beats(store.read(Beat, patient), edits, start_ns, fs_hz)
    changes: list[tuple[int, str]] = []
    for episode in store.read(Rhythm, patient):
        if not changes or changes[-1][1] != f"({episode.label}":
            changes.append((episode.start_sample, f"({episode.label}"))
    folder.mkdir(parents=True, exist_ok=True)
    return write_ecw(folder, patient, fs_hz, beats, changes), len(beats), len(edits)
