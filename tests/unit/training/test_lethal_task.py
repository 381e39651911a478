"""Task T4, lethal rhythms: references as sets, examples as serving cuts them, isolation from the
trunk, scoring of seconds and episodes."""

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch (pip install ecgwatch[train])")

from models.architectures.ecgcl import WIDTHS, Segmenter
from models.signal.windows import BEAT_SPEC, cut
from models.training.data.lethal_data import (
    ASYSTOLE,
    NONE,
    SPAN,
    VF,
    VT,
    WINDOWS,
    LethalStrip,
    SegmentPool,
    read,
    soften,
    strips,
    v_runs,
)
from models.training.data.lethal_disturb import disturb
from models.training.data.lethal_examples import REGULAR, SHARES, LethalExamples, windows
from models.training.data.lethal_synthesis import BeatBank, flutter, slow_wave, stillness, surrogate
from models.training.data.records import Noise, Track
from models.training.release.figures import FIFTHS, figures
from models.training.tasks.lethal.calibration import (
    calibrate,
    calibration_error,
    decision_threshold,
    reliability,
)
from models.training.tasks.lethal.metrics import (
    NEGATIVES,
    episodes,
    fibrillation,
    over_four,
    seconds,
    tachycardia,
    windows_rate,
)
from models.training.tasks.lethal.network import COLUMN, Lethal, answers, decoder_inputs, save
from models.training.tasks.lethal.report import read_seconds, report, write_seconds
from models.training.tasks.lethal.train import DecoderBatches, LethalBatches, set_loss

N = 60 * 125
RNG = np.random.default_rng(0)


def strip(
    name: str = "vfdb/1", sections: tuple[tuple[int, int, str, int], ...] = ()
) -> LethalStrip:
    """A minute of noise, two channels, with labelled sections in seconds."""
    truth, label = np.zeros(N, np.int8), np.zeros(N, np.int8)
    names = ("", *(s[2] for s in sections))
    for i, (begin, end, _, what) in enumerate(sections):
        truth[begin * 125 : end * 125], label[begin * 125 : end * 125] = what, i + 1
    signal = np.random.default_rng(1).standard_normal((2, N)).astype(np.float32)
    beats = np.arange(100.0, N - 200, 90)
    return LethalStrip(
        name,
        name,
        signal,
        truth,
        label,
        names,
        soften((1 << truth).astype(np.uint8)),
        beats,
        "NV" * (len(beats) // 2),
    )


def noise() -> Noise:
    return Noise("ma", np.random.default_rng(2).standard_normal(3 * SPAN).astype(np.float32), 1.0)


def examples() -> LethalExamples:
    every = strip("vfdb/1", ((10, 20, "VF", VF), (25, 35, "VT", VT), (40, 50, "ASYS", ASYSTOLE)))
    return LethalExamples([every, strip("mitdb/1")], [strip("cinc2017/1")], [noise()])


def test_runs_of_ventricular_beats():
    at = np.arange(10) * 50.0
    assert v_runs(at, "NVVVNNVVNV") == [(1, 3)]
    assert v_runs(at, "NNNNNNNVVV") == [(7, 9)]
    assert v_runs(np.arange(10) * 100.0, "NVVVVVVVVV") == []  # 75 a minute


def test_a_track_of_mitdb_has_flutter_and_tachycardia(tmp_path):
    beats = np.arange(100.0, 4000, 50)
    classes = "N" * 10 + "V" * 5 + "N" * (len(beats) - 15)
    track = Track(
        "mitdb/1",
        "mitdb/1",
        0,
        np.zeros(5000, np.float32),
        np.zeros((3, 5000), np.uint8),
        beats,
        classes,
        np.array([[4200, 4900]]),
        1.0,
    )
    (made,) = strips([track], tmp_path)
    assert made.truth[int(beats[12])] == VT
    assert made.truth[4500] == VF
    assert made.truth[300] == NONE


def test_near_a_change_either_rhythm_is_right():
    sets = soften(np.repeat(np.array([1, 4], np.uint8), 500))
    assert (sets[374], sets[375], sets[500], sets[624], sets[625]) == (1, 5, 5, 5, 4)


def test_an_unstretched_segment_gives_the_windows_of_serving():
    record = strip()
    end = 40 * 125
    x, _ = read(record, end, 1.0, np.array([1, 0], np.float32))
    cut_here, levels, known = windows(x[None], np.zeros(1, np.int64))
    ends = end - 125 * np.arange(WINDOWS - 1, -1, -1)
    assert np.allclose(cut_here[0], cut(record.signal[0], ends, BEAT_SPEC), atol=1e-6)
    assert levels.shape == known.shape == (1, WINDOWS)
    assert (known == 1).all()


def test_a_place_is_drawn_where_it_was_asked_for():
    record = strip(sections=((10, 20, "VF", VF),))
    _, sets = SegmentPool([record], {1 << VF}).draw(RNG)
    assert (sets[-BEAT_SPEC.after - BEAT_SPEC.hop : -BEAT_SPEC.after] & 1 << VF).any()
    assert not SegmentPool([record], {1 << VT})


@pytest.mark.parametrize("kind", {**SHARES, **REGULAR})
def test_every_kind_of_example_is_finite_and_labelled(kind):
    x, sets = examples().segment(kind, RNG)
    x = disturb(x, sets, [noise()], RNG)
    assert x.shape == sets.shape == (SPAN,)
    assert np.isfinite(x).all()
    assert sets[SPAN // 2 :].any()


def test_a_surrogate_keeps_the_spectrum_but_not_the_shape():
    x = np.sin(2 * np.pi * 5 * np.arange(SPAN) / 125).astype(np.float32)
    power = np.abs(np.fft.rfft(surrogate(x, RNG)))
    assert abs(power.argmax() * 125 / SPAN - 5) < 0.5


def test_a_made_tachycardia_is_fast_and_without_steps():
    t = np.arange(N)
    beats = np.arange(100.0, N - 200, 100)
    signal = np.exp(-0.5 * ((t[:, None] - beats) / 8) ** 2).sum(axis=1).astype(np.float32)
    record = LethalStrip(
        "mitdb/1",
        "mitdb/1",
        np.stack([signal, signal]),
        np.zeros(N, np.int8),
        np.zeros(N, np.int8),
        ("",),
        np.ones(N, np.uint8),
        beats,
        "V" * len(beats),
    )
    x = BeatBank([record], "V").tachycardia(
        np.random.default_rng(3), np.array([1, 0], np.float32), 200.0
    )
    peaks = np.flatnonzero((x[1:-1] > x[:-2]) & (x[1:-1] >= x[2:]) & (x[1:-1] > 0.2))
    assert 60 * 125 / 220 < np.median(np.diff(peaks)) < 60 * 125 / 110
    assert np.abs(np.diff(x)).max() < 0.3


def test_stillness_is_small():
    assert np.median([stillness(RNG).std() for _ in range(20)]) < 0.15


def test_the_loss_accepts_any_allowed_rhythm_and_ignores_the_unknown():
    logits = torch.tensor([[0.0, 9.0, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0], [9.0, 0.0, 0.0, 0.0]])
    assert set_loss(logits, torch.tensor([1 << VT | 1 << VF, 1 << VT | 1 << VF, 0])) < 0.01
    assert set_loss(logits[2:], torch.tensor([1 << VF])) > 5


def test_training_moves_the_column_and_never_the_trunk(tmp_path):
    trunk = Segmenter(WIDTHS).trunk
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    net = Lethal(trunk).train()
    batches = LethalBatches(trunk, examples().draw(RNG, 12))
    inputs, target = batches.batch(RNG, 8)
    batches.loss(net, net(*inputs), target).backward()
    # BatchNorm statistics among them
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())
    assert all(p.grad is None for p in trunk.parameters())
    assert net.column.stem.conv.weight.grad.abs().sum() > 0
    save(net.eval(), tmp_path / "lethal-final.pt", 2.0)
    saved = torch.load(tmp_path / "lethal-final.pt", weights_only=True)
    assert saved["widths"] == list(COLUMN)
    assert saved["decoder"]["temperature"] == 2.0


def test_the_decoder_goes_on_with_the_features_that_the_column_gives():
    torch.manual_seed(1)
    trunk = Segmenter(WIDTHS).trunk.eval()
    net, drawn, regular = (
        Lethal(trunk).eval(),
        examples().draw(RNG, 6),
        examples().draw(RNG, 6, REGULAR),
    )
    (steps, known), target = DecoderBatches(net, drawn, regular).batch(RNG, 10)
    assert steps.shape == (10, 16, COLUMN[-1] + 1)
    assert known.shape == (10, 16, 1)
    assert target.shape == (10,)
    steps, known, _ = decoder_inputs(net, drawn)
    with torch.no_grad():
        whole = net(*LethalBatches(trunk, drawn).batch(np.random.default_rng(0), 6)[0])
        ours = net.decoder(steps, known)[
            torch.from_numpy(np.random.default_rng(0).integers(6, size=6))
        ]
    assert torch.allclose(whole, ours, atol=0.02)  # the other holds features in half precision


def test_answers_of_a_record_are_those_of_its_windows():
    torch.manual_seed(1)
    trunk = Segmenter(WIDTHS).trunk.eval()
    net, record = Lethal(trunk).eval(), strip()
    whole = answers(net, record.signal[0])
    end = BEAT_SPEC.end(40)
    x, _ = read(record, end, 1.0, np.array([1, 0], np.float32))
    drawn = [torch.from_numpy(part) for part in windows(x[None], np.zeros(1, np.int64))]
    with torch.no_grad():
        one = net(*LethalBatches(trunk, [*drawn, torch.zeros(1, dtype=torch.int64)])._inputs)
    # examples hold features in half precision
    assert np.allclose(whole[40], one[0].numpy(), atol=0.02)


def logits(record: LethalStrip, what: int) -> np.ndarray:
    """Perfect answers for one rhythm's seconds."""
    count = (N - BEAT_SPEC.offset) // 125 + 1
    middle = np.clip(np.arange(count) * 125 + BEAT_SPEC.offset + 62, 0, N - 1)
    return np.eye(4, dtype=np.float32)[np.where(record.truth[middle] == what, what, 0)] * 10


def test_windows_and_episodes_are_counted_where_the_label_is_steady(tmp_path):
    record = strip(sections=((10, 20, "VF", VF), (30, 36, "VT", VT), (45, 47, "VT", VT)))
    found = seconds(record, logits(record, VF), 0)
    se = windows_rate([found], {VF}, fibrillation, 0.5, NEGATIVES["all"], True)
    sp = windows_rate([found], {VF}, fibrillation, 0.5, NEGATIVES["all"], False)
    assert (se.percent, sp.percent) == (100.0, 100.0)
    assert 5 <= se.count <= 7  # of ten seconds, those with three before them
    assert episodes([found], tachycardia, 0.5).right == 0
    found = seconds(record, logits(record, VT), 0)
    assert (
        episodes([found], tachycardia, 0.5).right,
        episodes([found], tachycardia, 0.5).count,
    ) == (1, 1)
    write_seconds([found], tmp_path / "fold0.npz")
    (again,) = read_seconds(tmp_path / "fold0.npz")
    assert np.array_equal(again.logits, found.logits)
    assert calibrate([again]) > 1  # it is sure that VF is nothing
    assert calibration_error([again]) > 5
    assert "| vfdb/1 | 0 | VT |" in report([again], {0: 1.0})


def test_the_shipped_figures_are_read_from_what_the_trainings_left(tmp_path):
    (tmp_path / "beat_class").mkdir()
    (tmp_path / "beat_class" / "figures.json").write_text('{"V Se, %": [90.00004, 91, 92]}')
    for i, name in enumerate(FIFTHS):
        (tmp_path / f"rhythm-{name}.json").write_text(
            json.dumps({"records": 0.8 + i / 100, "10 s": 0.7, "20 s": 0.75})
        )
    record = strip(sections=((10, 20, "VF", VF), (30, 36, "VT", VT)))
    for fold, what in enumerate((VF, VF, VT)):
        write_seconds(
            [seconds(record, logits(record, what), fold)], tmp_path / f"lethal-fold{fold}.npz"
        )
    assert figures(tmp_path) == {
        "V Se, %": [90.0, 91, 92],
        "N A O mean F1, records": [0.8, 0.81, 0.82],
        "N A O mean F1, 10 s": [0.7, 0.7, 0.7],
        "VF or VFL Se, %": [100, 100, 0],
        "VF or VFL Sp, %": [100, 100, 100],
    }
    (tmp_path / "lethal-fold1.npz").unlink()
    with pytest.raises(FileNotFoundError):
        figures(tmp_path)


def test_four_seconds_are_a_mean():
    assert np.allclose(
        over_four(np.array([[1.0], [0], [0], [0], [4]], np.float32))[:, 0],
        [1, 1 / 2, 1 / 3, 1 / 4, 1],
    )


def test_the_threshold_is_the_highest_that_finds_enough_of_an_average_patient():
    record = strip(sections=((10, 50, "VF", VF),))
    sure = seconds(record, logits(record, VF), 0)
    assert decision_threshold([sure]) == 0.5
    # 0.48 of four
    unsure = replace(sure, logits=np.where(sure.logits > 5, 1, 0).astype(np.float32))
    assert decision_threshold([unsure]) == 0.45
    assert decision_threshold([sure, unsure]) == 0.45
    # nothing to choose by
    assert decision_threshold([seconds(strip(), logits(strip(), VF), 0)]) == 0.5


def test_reliability_sets_what_was_said_beside_what_was():
    record = strip(sections=((10, 50, "VF", VF),))
    found = seconds(record, logits(record, VF), 0)
    half = replace(found, logits=np.zeros_like(found.logits))
    ((said, was, count),) = reliability([half], [VF, VT])
    assert said == 0.5
    assert 0.5 < was < 0.8
    assert count == int((half.steady & half.certain).sum())


def test_a_flutter_has_its_rate_and_no_line_between_its_waves():
    for made, slowest, fastest in (
        (flutter(RNG), 2.4, 6.0),
        (slow_wave(RNG, 75.0, 100.0), 1.15, 1.8),
    ):
        power = np.abs(np.fft.rfft(made))
        assert slowest < power.argmax() * 125 / SPAN < fastest
        still = np.abs(np.diff(made)) < 0.02 * np.ptp(made) / 5
        assert still.mean() < 0.3
