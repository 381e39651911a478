"""Training of the beat head: scenarios keep what is known of beats, the report counts as EC57, a
small training learns and exports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra 'train'")

import torch

from models.architectures.beat_head import HEADS, BeatHead, BeatHeads, multiplications
from models.beats.morphology import SHAPE, R
from models.beats.templates import FEATURES
from models.serving.runtime import Network
from models.serving.runtime import load as load_model
from models.training.data.beat_scenarios import repeated, scenario, ventricular_bank
from models.training.tasks.beat_class.beats import BIT, CLASSES, EXTRA, AnnotatedBeats, load, save
from models.training.tasks.beat_class.examples import BeatExamples, known, unroll
from models.training.tasks.beat_class.export import Calibrated, export
from models.training.tasks.beat_class.report import ReportVerdict, by_fold, count, report
from models.training.tasks.beat_class.train import best, voted
from stream_processor.pipeline.stages.labeller import BeatLabeller
from stream_processor.pipeline.stages.seconds import AnalysedSecond, Complex

PLACE = np.arange(SHAPE)
NORMAL = np.exp(-0.5 * ((PLACE - R) / 1.2) ** 2)
WIDE = -np.exp(-0.5 * ((PLACE - R) / 4) ** 2)


def track(
    name: str = "mitdb/100", beats: int = 600, every: int = 10, seed: int = 1
) -> AnnotatedBeats:
    """A regular rhythm with a wide early beat now and then."""
    rng = np.random.default_rng(seed)
    strange = np.arange(beats) % every == every - 1
    rr = np.where(strange, 0.5, 0.8) + rng.normal(0, 0.01, beats)
    shape = np.where(strange[:, None], WIDE, NORMAL) + rng.normal(0, 0.02, (beats, SHAPE))
    allowed = np.where(strange, BIT["V"], BIT["N"]).astype(np.uint8)
    return AnnotatedBeats(
        name,
        name,
        0,
        0,
        np.cumsum(rr) * 125,
        shape.astype(np.float32),
        allowed,
        np.array([40000.0]),
        "V",
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save([track(), track("mitdb/101", 50)], tmp_path / "beats.npz")
    first, second = load(tmp_path / "beats.npz")
    assert (first.name, len(first.at), second.name, len(second.at), second.missed) == (
        "mitdb/100",
        600,
        "mitdb/101",
        50,
        "V",
    )
    assert first.shape == pytest.approx(track().shape, abs=2e-3)


def test_scenarios_keep_beats_in_order_and_make_s_and_v() -> None:
    usual = track(every=10**9)
    bank = ventricular_bank([track()])
    made = [scenario(usual, bank, np.random.default_rng(seed)) for seed in range(40)]
    assert all(
        (np.diff(t.at) > 15).all() and len(t.at) == 600 and np.isfinite(t.shape).all() for t in made
    )
    kinds = {int(code) for t in made for code in np.unique(t.allowed)}
    assert {BIT["N"], BIT["S"], BIT["V"]} <= kinds
    early = [
        float(np.median(np.diff(t.at)[t.allowed[1:] == BIT["S"]]) / np.median(np.diff(t.at)))
        for t in made
        if (t.allowed == BIT["S"]).sum() > 10
    ]
    assert early
    assert max(early) < 0.97
    assert (usual.allowed == BIT["N"]).all()  # the original is as it was


def test_a_short_track_is_repeated() -> None:
    long = repeated(track(beats=40), 3)
    assert len(long.at) == 120
    assert (np.diff(long.at) > 0).all()


def test_the_report_counts_missed_beats_and_leaves_the_learning_time_out() -> None:
    t = track()
    called = np.zeros(len(t.at), int)
    called[t.allowed == BIT["V"]] = 2
    later = t.at >= 300 * 125
    v = int(((t.allowed == BIT["V"]) & later).sum())
    assert count(ReportVerdict(t, np.eye(5)[called], called), "V") == (v, 1, 0)
    called[:] = 2
    assert count(ReportVerdict(t, np.eye(5)[called], called), "V")[2] == int(
        ((t.allowed == BIT["N"]) & later).sum()
    )
    assert "| 1 | all |" in report({1: [ReportVerdict(t, np.eye(5)[called], called)]})


def test_figures_by_fold_leave_paced_records_out_of_classes_but_not_of_qrs() -> None:
    def told(name: str, fold: int, *, right: bool) -> ReportVerdict:
        t = replace(track(name), fold=fold)
        return ReportVerdict(t, np.eye(5)[[0]], np.where((t.allowed == BIT["V"]) & right, 2, 0))

    found = by_fold(
        [
            told("mitdb/100", 0, right=True),
            told("mitdb/102", 0, right=False),
            told("mitdb/101", 1, right=False),
        ]
    )
    assert found["QRS F1, %"] == [pytest.approx(100, abs=0.5), pytest.approx(100, abs=0.5)]
    assert found["QRS F1, %"][0] < 100  # a beat of each record was missed
    assert found["V Se, %"][0] > 95
    assert found["V Se, %"][1] == 0
    assert found["V +P, %"] == [100, 0]


def test_beats_that_the_reference_does_not_have_are_false() -> None:
    t = track()
    t.allowed[-1] = EXTRA
    called = np.zeros(len(t.at), int)
    called[-1] = 1
    assert count(ReportVerdict(t, np.eye(5)[called], called), "S") == (0, 0, 1)


def test_a_little_training_tells_v_from_n_and_serves_the_same(tmp_path: Path) -> None:
    torch.manual_seed(1)
    examples, net = (
        BeatExamples(known([track(), track("mitdb/101", every=7, seed=2)]), 1),
        BeatHeads([BeatHead(), BeatHead()]),
    )
    optimiser, rng = torch.optim.AdamW(net.parameters(), lr=4e-3), np.random.default_rng(1)
    for _ in range(60):
        inputs, target = examples.batch(rng, 128)
        optimiser.zero_grad()
        examples.loss(net, net(*inputs), target).backward()
        optimiser.step()
    other = track("mitdb/102", every=5, seed=3)
    features = unroll([other]).features
    with torch.no_grad():
        logits = net.eval()(torch.from_numpy(features)[:, None]).numpy()
    assert np.mean((logits.argmax(1) == 2) == (other.allowed == BIT["V"])) > 0.97
    temperature = best([other], [logits - examples.surplus()])
    export(
        Calibrated(net, temperature, examples.surplus().tolist()),
        tmp_path,
        examples.surplus().tolist(),
    )
    served = Network(tmp_path).run(features)
    assert served == pytest.approx((logits - examples.surplus()) / temperature, abs=1e-3)
    assert json.loads((tmp_path / "spec.json").read_text())["input_shape"] == ["batch", 1, FEATURES]


def test_what_training_judges_is_what_the_stage_answers() -> None:
    """Features, votes and lean of one track, at once there and second by second here."""
    model, t = load_model(), track(beats=150, every=6)
    (judged,) = known([t])
    expected = voted(judged.seen, model.classify_beats(judged.seen.features))
    stage = BeatLabeller(model)
    row = stage.open("p", 125.0)
    found = [
        Complex(at, 0.99, shape.tobytes()) for at, shape in zip(t.at.tolist(), t.shape, strict=True)
    ]
    labelled = []
    for i in range(0, len(found), 7):
        second = AnalysedSecond(
            row, i, 0, 0, tuple(found[i : i + 7]), 0.0, False, False, 0.0, False
        )
        labelled += [beat for answer in stage.push([second]) for beat in answer.beats]
    p, called = model.decide(expected)
    assert [beat.label for beat in labelled] == [CLASSES[c] for c in called]
    assert [beat.ventricular for beat in labelled] == p[:, 2].tolist()


def test_heads_side_by_side_give_the_mean_of_what_each_gives() -> None:
    torch.manual_seed(1)
    heads = [BeatHead().eval() for _ in range(3)]
    x = torch.randn(4, 1, FEATURES)
    with torch.no_grad():
        each = [head(x).numpy() for head in heads]
        assert BeatHeads(heads)(x).numpy() == pytest.approx(np.mean(each, axis=0), abs=1e-6)


def test_what_is_deployed_is_small() -> None:
    net = BeatHeads([BeatHead() for _ in range(HEADS)])
    assert sum(p.numel() for p in net.parameters()) <= 35_000
    assert multiplications(net) == HEADS * multiplications(BeatHead()) <= 100_000
