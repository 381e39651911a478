"""Run one record through the whole data path and compute every statistic of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ecgwatch.annotate import Annotated, annotate
from ecgwatch.evaluating import references
from ecgwatch.evaluating.clinical import VENTRICULAR as VENTRICULAR_WORDS
from ecgwatch.evaluating.clinical import Clinical, clinical
from ecgwatch.evaluating.task import EvaluationTask, SourceExcerpt, symbols, ward_of
from ingest.messages import Vitals
from ingest.sources.wfdb_record import WfdbSource
from models.signal.conditioning import FS_HZ
from stream_processor.scoring import cinc2015
from stream_processor.scoring.alarms import AlarmScore, score_alarms
from stream_processor.scoring.beats import BeatScore, score_beats
from stream_processor.scoring.counts import TwoSided
from stream_processor.scoring.episodes import AF, VF, EpisodeScore, score_episodes
from stream_processor.scoring.expected_alarms import expected
from stream_processor.scoring.rates import RatePair, RateScore, pair_rates, score_rates
from stream_processor.scoring.reference import Episode, Mark, Record, reference
from stream_processor.scoring.reported_alarms import ReportedAlarm, assemble
from stream_processor.scoring.runs import SUPRAVENTRICULAR, VENTRICULAR, score_runs

PIECE_S = 10
CINC2017 = {"N": "N", "AFIB": "A", "O": "O", "~": "~"}


class BeatStatistics(NamedTuple):
    """Statistics that need reference beats."""

    beats: BeatScore
    ventricular_runs: dict[str, TwoSided]
    supraventricular_runs: dict[str, TwoSided]
    rate: RateScore
    not_n: int  # reference beats of another class
    rates: Sequence[RatePair] = ()


class RhythmLabels(NamedTuple):
    """The answers for a record that has one label; all are of LABELS."""

    true: str
    whole: str
    pieces: tuple[str, ...]  # of PIECE_S each, every one as a stream of its own


@dataclass(frozen=True)
class Judgement:
    """A record's statistics; those for which the reference has no annotations are None."""

    task: EvaluationTask
    duration_s: float
    channel: str
    cpu_s: float
    reference: Record
    ours: Record
    reported: list[ReportedAlarm]
    alarms: AlarmScore | None = None
    beats: BeatStatistics | None = None
    af: EpisodeScore | None = None  # None unless rhythms are annotated
    vf: EpisodeScore | None = None
    answer: cinc2015.ChallengeAnswer | None = None
    labels: RhythmLabels | None = None
    clinical: Clinical | None = None

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def network(self) -> str:
        """Name of the beat network that judged the record."""
        return "shipped" if self.task.fold is None else f"fold {self.task.fold}"


def judge(task: EvaluationTask) -> Judgement:
    """Run and score a record. Raises BadInputError if it cannot be read."""
    source = WfdbSource(task.path)
    began = time.process_time()
    found = annotate(
        SourceExcerpt(source, 0.0, cinc2015.ALARM_AT_S) if task.question else source,
        ward_of(task.fold),
    )
    cpu_s = time.process_time() - began
    ours, alarms = _ours(found), assemble(found.steps)
    common = (task, ours.duration_s, found.channel, cpu_s)
    if task.question:
        return Judgement(
            *common,
            Record(ours.fs_hz, ours.n),
            ours,
            alarms,
            answer=cinc2015.answer(task.question, alarms),
        )
    if task.label:
        return Judgement(
            *common, Record(ours.fs_hz, ours.n), ours, [], labels=_labels(task, source, found)
        )
    if task.database in references.SETS:
        return _without_beats(task, source, found, ours, alarms, cpu_s)
    ref = reference(symbols(task, found.fs_hz), found.fs_hz, found.samples)
    truth = expected(ref) if ref.beats else None
    beats = None
    if truth:
        rates = truth.heart_rate, _rates(found.vitals), task.start_s * FS_HZ
        v_runs, s_runs = (
            score_runs(ref, ours, kind, task.start_s) for kind in (VENTRICULAR, SUPRAVENTRICULAR)
        )
        beats = BeatStatistics(
            score_beats(ref, ours, task.start_s),
            v_runs,
            s_runs,
            score_rates(*rates),
            sum(b.label != "N" for b in ref.beats),
            pair_rates(*rates),
        )
    af, vf = (
        score_episodes(ref, ours, labels, task.start_s if ref.beats else 0.0) for labels in (AF, VF)
    )
    return Judgement(
        *common,
        ref,
        ours,
        alarms,
        score_alarms(ref, truth, alarms),
        beats,
        af if ref.rhythm else None,
        vf,
        clinical=clinical(
            source,
            ref,
            ours,
            alarms,
            found.vitals,
            truth.heart_rate if truth else None,
            (),
            first_only=False,
        ),
    )


def _without_beats(
    task: EvaluationTask,
    source: WfdbSource,
    found: Annotated,
    ours: Record,
    alarms: list[ReportedAlarm],
    cpu_s: float,
) -> Judgement:
    """Judge a record whose reference has only rhythms or grades of artefact."""
    ref = references.reference(task.path, found.fs_hz, found.samples)
    grades, activity = references.grades(task.path, found.fs_hz)
    vf_only = task.database == "cudb"
    return Judgement(
        task,
        ours.duration_s,
        found.channel,
        cpu_s,
        ref,
        ours,
        alarms,
        references.score(task.path, ref, alarms, activity),
        vf=score_episodes(ref, ours, VF, 0.0) if vf_only else None,
        clinical=clinical(
            source,
            ref,
            ours,
            alarms,
            found.vitals,
            None,
            grades,
            first_only=vf_only,
            labels=("VF", "VFL") if vf_only else VENTRICULAR_WORDS,
        ),
    )


def _labels(task: EvaluationTask, source: WfdbSource, found: Annotated) -> RhythmLabels:
    whole = int(found.samples / found.fs_hz)
    pieces = [
        annotate(SourceExcerpt(source, at, at + PIECE_S), ward_of(task.fold))
        for at in range(whole % PIECE_S, whole - PIECE_S + 1, PIECE_S)
    ]
    return RhythmLabels(
        task.label,
        CINC2017.get(found.label, "O"),
        tuple(CINC2017.get(piece.label, "O") for piece in pieces),
    )


def _ours(found: Annotated) -> Record:
    return Record(
        found.fs_hz,
        found.samples,
        tuple(Mark(b.sample, b.label) for b in found.beats),
        tuple(Episode(r.start_sample, r.end_sample, r.label) for r in found.rhythm),
    )


def _rates(vitals: list[Vitals]) -> dict[int, float]:
    """Return heart rates by the last sample, at 125 Hz, of their second."""
    return {round(v.time_ns * FS_HZ / 1e9): v.hr_bpm for v in vitals if v.hr_bpm is not None}
