"""Draw the records that limit the figures of docs/models.md, ten seconds of each on ECG paper.

    python -m ecgwatch.evaluating.limits

Judges them by networks that never saw the patient (minutes), finds where their labels and the
reference differ most, and writes docs/limits.md with a drawing per record in docs/limits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dashboards.paper import Mark, millivolts, strip_svg
from ecgwatch import settings
from ecgwatch.annotate import annotate
from ecgwatch.evaluating.gallery import COLOURS, STRIP_S
from ecgwatch.evaluating.judge import CINC2017, Judgement, judge
from ecgwatch.evaluating.sums.alarms import clock
from ecgwatch.evaluating.task import EvaluationTask, SourceExcerpt, tasks, ward_of
from ecgwatch.writing.atomic import replace_file
from ingest.sources.wfdb_record import WfdbSource
from stream_processor.scoring.reference import LETHAL, Episode, Record

DOCS = Path(__file__).parents[2] / "docs"
LEARNING_S = 300.0
RHYTHM_COLOUR = "#333333"
INTRODUCTION = """# What limits the figures

Ten seconds of each record that [models.md](models.md) names as a limit, where ours and the reference part most, drawn from the samples by
`python -m ecgwatch.evaluating.limits`. Reference above, ours below: by networks that never saw the patient (CinC 2017: the record).
Signals: MIT-BIH Arrhythmia, Noise Stress Test and Malignant Ventricular Ectopy Databases, AF Classification Challenge 2017; PhysioNet,
ODC-BY 1.0.
"""


class HardRecord(NamedTuple):
    """A record and the reason why it is hard."""

    kind: str  # qrs, ventricular or lethal
    database: str
    record: str
    why: str


LIMITS = (
    HardRecord(
        "qrs",
        "nstdb",
        "118e_6",
        "Electrode motion at -6 dB: waves higher than the beats, and as steep.",
    ),
    HardRecord(
        "ventricular",
        "mitdb",
        "201",
        "Atrial fibrillation with aberrant and junctional beats beside ventricular ones.",
    ),
    HardRecord(
        "ventricular",
        "mitdb",
        "223",
        "Runs of ventricular beats of two shapes in turn, one of them narrow.",
    ),
    HardRecord(
        "ventricular",
        "mitdb",
        "203",
        "Atrial fibrillation, an axis that moves, several shapes of ventricular beats, muscle noise.",
    ),
    HardRecord(
        "lethal", "vfdb", "423", "Annotated VT, without QRS complexes that could be told apart."
    ),
    HardRecord(
        "lethal", "vfdb", "427", "Annotated VT, without QRS complexes that could be told apart."
    ),
    HardRecord("lethal", "vfdb", "430", "Large regular waves, annotated in part VT, in part VF."),
    HardRecord(
        "lethal",
        "vfdb",
        "418",
        "Annotated normal: regular, 112 a minute, so wide that one lead does not tell it from VT or flutter.",
    ),
)
TITLES = {
    "qrs": "QRS in motion",
    "ventricular": "Ventricular beats",
    "lethal": "Lethal rhythms",
    "rhythm": "Rhythm",
}
RHYTHM_WHY = {
    "A": "Labelled atrial fibrillation as a whole.",
    "O": "Labelled other rhythm as a whole; which rhythm, and where in the record, is not told.",
}


class LimitStrip(NamedTuple):
    """A strip, ready for the page."""

    kind: str
    name: str
    caption: str
    svg: str


def main() -> None:
    """Run the command line."""
    held, _ = settings.load({})
    folder = DOCS / "limits"
    folder.mkdir(exist_ok=True)
    parts, kind = [INTRODUCTION], ""
    for strip in (*by_record(held.data), *by_label(held.data / "cinc2017")):
        if strip.kind != kind:
            kind = strip.kind
            parts.append(f"## {TITLES[kind]}\n")
        replace_file(folder / f"{strip.name}.svg", strip.svg.encode())
        parts.append(f"{strip.caption}\n\n![{strip.name}](limits/{strip.name}.svg)\n")
        print(strip.name, strip.caption, flush=True)  # noqa: T201
    replace_file(DOCS / "limits.md", "\n".join(parts).encode())


def by_record(data: Path) -> Iterator[LimitStrip]:
    """Yield one strip for each Limit."""
    for limit in LIMITS:
        (task,) = tasks(data / limit.database, [limit.record], "atr", LEARNING_S, folds=True)
        judged = judge(task)
        if limit.kind == "lethal":
            start, details = confused(judged.reference, judged.ours)
            marks, below = (rhythm_marks(r, start) for r in (judged.reference, judged.ours))
        else:
            start, details = crowded(judged, limit.kind)
            marks, below = (beat_marks(r, start) for r in (judged.reference, judged.ours))
        yield drawn(
            limit.kind,
            task,
            start,
            f"**{limit.record}** from {clock(start)}. {limit.why} {details}",
            marks,
            below,
        )


def by_label(folder: Path) -> Iterator[LimitStrip]:
    """The first held-out record of CinC 2017 labelled A, and the first labelled O, that gets
    another label here."""
    wanted = dict(RHYTHM_WHY)
    for task in tasks(folder, [], "", 0.0, folds=True):
        if not wanted:
            return
        if task.label in wanted:
            found = annotate(WfdbSource(task.path), ward_of(None))
            ours = CINC2017.get(found.label, "O")
            if ours != task.label and found.samples >= 30 * found.fs_hz:
                start = (found.samples / found.fs_hz - STRIP_S) / 2
                caption = f"**{task.name}** from {clock(start)}. {wanted.pop(task.label)} Ours of the whole record: {ours}."
                yield drawn(
                    "rhythm",
                    task,
                    start,
                    caption,
                    [(0.3, task.label, RHYTHM_COLOUR)],
                    [(0.3, ours, RHYTHM_COLOUR)],
                )


def drawn(
    kind: str,
    task: EvaluationTask,
    start_s: float,
    caption: str,
    above: Sequence[Mark],
    below: Sequence[Mark],
) -> LimitStrip:
    """Ten seconds of the record as it was recorded."""
    source = WfdbSource(task.path)
    counts = np.concatenate(
        [block.counts for block in SourceExcerpt(source, start_s, start_s + STRIP_S).blocks()]
    )
    label = f"{task.database}/{task.name} {source.lead} {clock(start_s)}"
    return LimitStrip(
        kind,
        task.name,
        caption,
        strip_svg(
            millivolts(counts, source.counts_per_mv),
            source.fs_hz,
            start_label=label,
            marks=above,
            marks_below=below,
        ),
    )


def crowded(judged: Judgement, kind: str) -> tuple[float, str]:
    """The ten seconds with most misjudged beats, QRS or V, and their number by kind of error."""
    assert judged.beats is not None
    b, fs = judged.beats.beats, judged.reference.fs_hz
    wrong = b.wrong_v if kind == "ventricular" else (*b.missed, *b.extra)
    at = np.sort([m.sample / fs for m in wrong])
    count = np.searchsorted(at, at + STRIP_S) - np.arange(len(at))
    first = float(at[count.argmax()])
    last = float(at[count.argmax() + count.max() - 1])
    start = max(0.0, min((first + last - STRIP_S) / 2, judged.duration_s - STRIP_S))

    def inside(marks: Sequence[tuple[int, str]]) -> int:
        return sum(start <= sample / fs < start + STRIP_S for sample, _ in marks)

    if kind == "ventricular":
        return start, f"Of its beats, {inside(b.wrong_v)} are misjudged here as V or as not V."
    return start, f"{inside(b.missed)} QRS complexes missed here, {inside(b.extra)} that are none."


def confused(reference: Record, ours: Record) -> tuple[float, str]:
    """The middle of the longest confusion between two rhythms of which one is lethal, and both
    labels."""
    theirs, mine = by_second(reference), by_second(ours)
    n = min(len(theirs), len(mine))
    best, begin = (0, 0), 0
    for i in range(1, n + 1):
        if i == n or (theirs[i], mine[i]) != (theirs[begin], mine[begin]):
            pair = {theirs[begin], mine[begin]}
            if (
                len(pair) == 2
                and pair & LETHAL
                and theirs[begin] not in ("", "NOISE")
                and i - begin > best[1] - best[0]
            ):
                best = (begin, i)
            begin = i
    if best == (0, 0):
        return 0.0, "None of it is confused."
    start = max(0.0, min(sum(best) / 2 - STRIP_S / 2, n - STRIP_S))
    return (
        start,
        f"{best[1] - best[0]} s of {theirs[best[0]]} called {mine[best[0]]} without a break.",
    )


def by_second(record: Record) -> list[str]:
    """The rhythm of every second; flutter is VF."""
    labels = [""] * int(record.duration_s)
    for e in record.rhythm:
        for second in range(
            int(e.start / record.fs_hz), min(len(labels), int(e.end / record.fs_hz))
        ):
            labels[second] = "VF" if e.label == "VFL" else e.label
    return labels


def beat_marks(record: Record, start_s: float) -> list[Mark]:
    """Beats by their letters."""
    times = [(b.sample / record.fs_hz - start_s, b.label) for b in record.beats]
    return [(at, label, COLOURS[label]) for at, label in times if 0 <= at < STRIP_S]


def rhythm_marks(record: Record, start_s: float) -> list[Mark]:
    """The rhythm at the strip's start and wherever it changes."""

    def at(e: Episode) -> float:
        return max(e.start / record.fs_hz - start_s, 0.5)

    inside = [
        e
        for e in record.rhythm
        if e.start / record.fs_hz < start_s + STRIP_S and e.end / record.fs_hz > start_s
    ]
    return [(at(e), e.label, RHYTHM_COLOUR) for e in inside]


if __name__ == "__main__":
    main()
