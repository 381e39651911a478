"""Heart rate and its variability: response to a step, what is withheld, what is counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from dashboards.report.beats import gather, variability
from dashboards.report.rhythm import ClippedEpisode
from ingest.messages import Beat, BeatLabel, RhythmLabel
from stream_processor.pipeline.stages.episodes import Span
from stream_processor.pipeline.stages.seconds import AnalysedSecond, Beats, LabelledBeat
from stream_processor.pipeline.stages.signal_facts import SignalFacts
from stream_processor.pipeline.stages.variability import LEAST, Variability
from stream_processor.pipeline.stages.vitals import VitalSigns, VitalsMeter

FS_HZ = 125


def measured(
    rr_s: Sequence[float], labels: Sequence[BeatLabel] | None = None, rhythm: RhythmLabel = "N"
) -> list[VitalSigns]:
    """What is told, second by second, of beats at these intervals; the rhythm is decided 15 s
    late."""
    at = np.cumsum(rr_s).tolist()
    facts, meter, hrv = SignalFacts(), VitalsMeter(), Variability()
    for stage in (facts, meter, hrv):
        assert stage.open("p", 250.0) == 0
    told = []
    for k in range(int(at[-1]) + 1):
        own = tuple(
            LabelledBeat(t * FS_HZ, rr if i else None, labels[i] if labels else "N", 1.0, 1.0, 0.0)
            for i, (t, rr) in enumerate(zip(at, rr_s, strict=True))
            if k <= t < k + 1
        )
        until = (k + 1) * FS_HZ
        second = AnalysedSecond(0, k, until, until + 65, (), 0.0, False, False, 0.0, False)
        items = facts.push([Beats(second, own)])
        spans = [Span(0, (k - 15) * FS_HZ, (k - 14) * FS_HZ, rhythm, 1.0)] if k >= 15 else []
        told += hrv.push((meter.push(items), items, [spans]))
    return told


@pytest.mark.parametrize("after", [120.0, 40.0])
def test_a_step_is_followed_within_ten_seconds(after: float) -> None:
    """EC13's steps, from 80/min."""
    told = measured([60 / 80] * 40 + [60 / after] * 30)
    rate = {signs.until / FS_HZ: signs.hr_bpm for signs in told}
    assert rate[29.0] == pytest.approx(80, abs=1)
    assert rate[41.0] == pytest.approx(after, rel=0.03)


def test_no_interval_reaches_across_a_silence() -> None:
    told = measured([0.8] * 20 + [6.0] + [0.8] * 20)
    rates = [signs.hr_bpm for signs in told if signs.hr_bpm is not None]
    assert min(rates) == pytest.approx(75, abs=1)
    reasons = [signs.reason for signs in told]
    assert "no beats" in reasons
    assert "starting" in reasons[reasons.index("no beats") :]


def test_variability_counts_what_it_used_and_is_that_of_the_report() -> None:
    rng = np.random.default_rng(3)
    rr = rng.normal(0.8, 0.03, 200).round(3).tolist()
    labels: list[BeatLabel] = ["V" if i % 40 == 20 else "N" for i in range(200)]
    last = measured([*rr, *[0.8] * 60], [*labels, *["N"] * 60])[-1]
    ns = (np.cumsum([*rr, *[0.8] * 60]) * 1e9).astype(np.int64).tolist()
    decided = last.until - 15 * FS_HZ
    beats = gather(
        Beat(
            patient_id="p",
            device_id="d",
            lead="l",
            fs_hz=250.0,
            time_ns=t,
            sample=0,
            rr_ms=rr_s * 1000 if i else None,
            label=label,
            confidence=1.0,
            label_probability=1.0,
        )
        for i, (t, rr_s, label) in enumerate(
            zip(ns, [*rr, *[0.8] * 60], [*labels, *["N"] * 60], strict=True)
        )
        if t / 1e9 < decided / FS_HZ
    )
    report = variability(beats, [ClippedEpisode("N", 0, ns[-1])])
    assert report is not None
    assert last.nn == report.intervals > 150
    assert last.sdnn_ms == pytest.approx(report.sdnn_ms, abs=0.01)
    assert last.rmssd_ms == pytest.approx(report.rmssd_ms, abs=0.01)


def test_no_variability_of_few_intervals_or_of_fibrillation() -> None:
    few = measured([0.8] * (LEAST - 20))[-1]
    assert few.sdnn_ms is None
    fibrillating = measured(np.tile([0.6, 1.0, 0.7], 60).tolist(), rhythm="AFIB")[-1]
    assert (fibrillating.sdnn_ms, fibrillating.nn) == (None, 0)
