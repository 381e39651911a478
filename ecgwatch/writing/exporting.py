"""Exports stored events as the files that `annotate` writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from dashboards.report.rhythm import minutes
from ecgwatch.times import show_time
from ecgwatch.writing.files import (
    AlarmEpisodeRow,
    JournalRow,
    RecordRow,
    RhythmRow,
    alarm_rows,
    rhythm_rows,
    write_csvs,
    write_events,
    write_journal,
)
from ingest.messages import Alarm, Beat, JournalEntry, Rhythm, sample_offset_ns
from stream_processor.sinks.base import FOREVER_NS, Sink

# classes of CinC 2017; any other rhythm is O
CLASS = {"N": "N", "SBR": "N", "STACH": "N", "SARR": "N", "AFIB": "A", "~": "~"}


class StreamKey(NamedTuple):
    """Fields that the events of one stream share; ordered by start."""

    start_ns: int
    device_id: str
    lead: str
    fs_hz: float


@dataclass
class Recorded:
    """Stored events of one stream: one replay of a record, or a device from its start to its
    end."""

    beats: list[Beat] = field(default_factory=list)
    rhythm: list[Rhythm] = field(default_factory=list)
    alarms: list[Alarm] = field(default_factory=list)


class Exported(NamedTuple):
    """A written stream."""

    path: Path
    start_ns: int
    beats: int
    rhythm: int
    alarms: int


def streams(sink: Sink, patient: str, start_ns: int, end_ns: int) -> dict[StreamKey, Recorded]:
    """Read a patient's beats, rhythm and alarms in a period by stream, the earliest first.

    Rhythm episodes that began before the period and reach into it are included.
    """
    found: dict[StreamKey, Recorded] = {}
    for beat in sink.read(Beat, patient, start_ns, end_ns):
        _of(found, beat, beat.time_ns, beat.sample).beats.append(beat)
    for episode in sink.read(Rhythm, patient, 0, end_ns):
        if episode.end_ns > start_ns:
            _of(found, episode, episode.start_ns, episode.start_sample).rhythm.append(episode)
    for alarm in sink.read(Alarm, patient, start_ns, end_ns):
        _of(found, alarm, alarm.onset_ns, alarm.onset_sample).alarms.append(alarm)
    return dict(sorted(found.items()))


def _of(
    found: dict[StreamKey, Recorded], event: Beat | Rhythm | Alarm, time_ns: int, sample: int
) -> Recorded:
    start_ns = time_ns - sample_offset_ns(sample, event.fs_hz)
    return found.setdefault(
        StreamKey(start_ns, event.device_id, event.lead, event.fs_hz), Recorded()
    )


def export_records(
    sink: Sink, patients: Iterable[str], folder: Path, start_ns: int = 0, end_ns: int = FOREVER_NS
) -> Iterator[Exported]:
    """Write each stream as `annotate` would, and yield it. A patient's first stream has the
    patient's name, the next ones -2, -3.

    The CSV files are written after the last stream. In record.csv, the label is the class of the
    rhythm that lasts longest. An entry of journal.csv belongs to the stream that began last before
    it, or else to the patient's first.
    """
    alarms: list[AlarmEpisodeRow] = []
    rhythm: list[RhythmRow] = []
    records: list[RecordRow] = []
    journal: list[JournalRow] = []
    for patient in patients:
        begun: list[tuple[int, str]] = []  # start and name of each stream
        for number, (key, recorded) in enumerate(
            streams(sink, patient, start_ns, end_ns).items(), start=1
        ):
            record = patient if number == 1 else f"{patient}-{number}"
            begun.append((key.start_ns, record))
            path = write_events(
                folder, file_name(record), key.fs_hz, recorded.beats, recorded.rhythm
            )
            alarms += alarm_rows(record, recorded.alarms)
            rhythm += rhythm_rows(record, recorded.rhythm)
            records.append(_record_row(record, key, recorded))
            yield Exported(
                path, key.start_ns, len(recorded.beats), len(recorded.rhythm), len(recorded.alarms)
            )
        entries = sink.read(JournalEntry, patient, start_ns, end_ns)
        for entry, labels in minutes(sink, patient, entries):
            journal.append(_journal_row(patient, begun, entry, " ".join(labels)))
    names = {row.record for row in records}
    write_csvs(folder, names, alarms, rhythm, records)
    write_journal(folder, names | {row.record for row in journal}, journal)


def file_name(record: str) -> str:
    """Return a record's name as a file name: characters that are special in paths, or not
    printable, become %XX."""
    name = quote(record, safe=" !#$&'()+,;=@[]^_`{}~-.")
    return f"%2E{name[1:]}" if name.startswith(".") else name


def _journal_row(
    patient: str, begun: list[tuple[int, str]], entry: JournalEntry, rhythm: str
) -> JournalRow:
    start_ns, record = max(
        (stream for stream in begun if stream[0] <= entry.time_ns), default=(None, patient)
    )
    time_s = None if start_ns is None else (entry.time_ns - start_ns) / 1e9
    when = show_time(entry.time_ns)
    return JournalRow(record, when, time_s, entry.kind, entry.by, entry.text, rhythm)


def _record_row(record: str, key: StreamKey, recorded: Recorded) -> RecordRow:
    last = max(
        [b.sample for b in recorded.beats[-1:]] + [e.end_sample for e in recorded.rhythm], default=0
    )
    held: defaultdict[str, float] = defaultdict(float)
    weight: defaultdict[str, float] = defaultdict(float)
    for episode in recorded.rhythm:
        label, length = (
            CLASS.get(episode.label, "O"),
            max(episode.end_sample - episode.start_sample, 0),
        )
        held[label] += length
        weight[label] += length * episode.probability
    label = max(held, key=lambda name: held[name], default="~")
    probability = weight[label] / held[label] if held[label] else 0.0
    return RecordRow(
        record,
        key.fs_hz,
        last / key.fs_hz,
        key.lead,
        len(recorded.beats),
        label,
        round(probability, 4),
    )
