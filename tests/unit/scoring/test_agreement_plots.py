"""Evaluate's plots of agreement: what is counted, and where it is drawn."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from ecgwatch.evaluating.agreement import ORDER, ordered, seconds
from ecgwatch.evaluating.plots_agreement import bland_altman, confusion
from stream_processor.scoring.rates import RatePair, pair_rates, score_rates
from stream_processor.scoring.reference import Episode, Record


def test_the_rhythm_of_a_second_is_sinus_whatever_its_rate_and_flutter_is_vf() -> None:
    rhythm = (Episode(0, 200, "SBR"), Episode(200, 400, "VFL"), Episode(400, 600, "VT"))
    assert seconds(Record(100.0, 800, (), rhythm)) == [
        *("sinus", "sinus", "VF", "VF", "VT", "VT", "", "")
    ]


def test_labels_stand_in_the_order_of_the_field_and_the_others_behind() -> None:
    counts = Counter({("VT", "none"): 1, ("sinus", "AFIB"): 2})
    assert ordered(counts, ORDER) == ["sinus", "AFIB", "VT", "none"]


def test_rates_are_compared_where_both_sides_have_one_after_the_learning_time() -> None:
    reference, ours = {100: 60.0, 200: 70.0, 300: 80.0, 400: 90.0}, {200: 71.0, 400: 87.0, 500: 1.0}
    assert pair_rates(reference, ours, 150) == [RatePair(70.0, 71.0), RatePair(90.0, 87.0)]
    score = score_rates(reference, ours, 150)
    assert (score.seconds, score.reference_only, score.absolute) == (2, 1, 4.0)


def test_a_confusion_matrix_shows_counts_and_shares_of_the_row() -> None:
    svg = confusion("Rhythm", ["N", "VT"], {("N", "N"): 3, ("N", "VT"): 1}, "seconds")
    assert "N called VT: 1 seconds, 25.0%" in svg
    assert "N (4)" in svg
    assert "VT called N: 0 seconds, 0.0%" in svg  # a row without anything divides by nothing


def test_bland_altman_says_bias_and_limits_of_agreement() -> None:
    pairs = [RatePair(60.0, 61.0), RatePair(60.0, 63.0), RatePair(100.0, 250.0)][:2]
    svg = bland_altman("HR", pairs)
    assert "mean +2.00" in svg
    assert "+1.96 SD +4.0" in svg
    assert "-1.96 SD +0.0" in svg


def test_differences_beyond_the_axis_are_drawn_at_its_edge() -> None:
    svg = bland_altman("HR", [RatePair(60.0, 60.0)] * 99 + [RatePair(100.0, 250.0)])
    height = float(re.findall(r'<svg[^>]* height="(\d+)"', svg)[0])
    ys = [float(y) for y in re.findall(r'<rect x="[\d.]+" y="([\d.-]+)"', svg)]
    assert len(ys) == 2
    assert all(0 <= y < height for y in ys)
    assert min(ys) == pytest.approx(12)
