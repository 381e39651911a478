"""Training on beats: targets, windows, augmentation, loss, scoring."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch (pip install ecgwatch[train])")

from models.signal.windows import BEAT_SPEC, cut
from models.training.data.augment import augment, flatten, splice_pause
from models.training.data.beat_windows import HISTORY, Corpus, UnscaledRows
from models.training.data.records import (
    FIBRILLATION,
    HALF,
    NO,
    QRS,
    UNKNOWN,
    VENTRICULAR,
    YES,
    Noise,
    Track,
    beat_targets,
)
from models.training.tasks.qrs import metrics as beat_metrics
from models.training.tasks.qrs.train import FOLDS, QrsBatches, folds

BEATS = np.arange(60.0, 4900, 100)


def track(name: str = "mitdb/1", beats: np.ndarray = BEATS, classes: str | None = None) -> Track:
    """A beat every 0.8 s: triangles of 1 mV, every fifth ventricular."""
    classes = (
        "".join("V" if i % 5 == 4 else "N" for i in range(len(beats)))
        if classes is None
        else classes
    )
    t = np.arange(5000)
    signal = np.clip(1 - np.abs(t[:, None] - beats) / 6, 0, None).sum(axis=1).astype(np.float32)
    return Track(
        name,
        name,
        0,
        signal,
        beat_targets(5000, beats, classes),
        beats,
        classes,
        np.zeros((0, 2)),
        1.0,
    )


def noise() -> Noise:
    return Noise(
        "ma", np.random.default_rng(0).standard_normal(4 * HISTORY).astype(np.float32), 1.0
    )


def rows(end: int = 2000) -> UnscaledRows:
    t = track()
    return UnscaledRows(
        t.signal[None, end - HISTORY : end].copy(),
        t.targets[None, :, end - HISTORY : end].copy(),
        np.array([HISTORY]),
        np.ones(1, np.float32),
    )


def test_targets_cover_50_ms_around_the_beat_and_classes_only_beats():
    targets = beat_targets(300, np.array([50.2, 150.0, 250.0]), "NVF")
    assert np.flatnonzero(targets[QRS] == YES).tolist() == [
        *range(44, 57),
        *range(144, 157),
        *range(244, 257),
    ]
    assert [targets[VENTRICULAR, at] for at in (50, 150, 250, 100)] == [NO, YES, HALF, UNKNOWN]
    assert (targets[FIBRILLATION] == NO).all()


def test_unstretched_rows_are_the_windows_of_serving():
    corpus = Corpus([track()])
    ends = np.array([700, 3000])
    drawn = corpus._gather(np.zeros(2, np.int64), ends + corpus.begin[0], np.ones(2))
    assert np.allclose(augment_nothing(drawn), cut(track().signal, ends, BEAT_SPEC), atol=1e-6)
    assert drawn.valid.tolist() == [700, HISTORY]


def augment_nothing(drawn: UnscaledRows) -> np.ndarray:
    from models.signal.windows import scale

    return scale(drawn.history, drawn.valid, BEAT_SPEC)


def test_stretched_rows_keep_targets_on_the_beats():
    corpus = Corpus([track()])
    drawn = corpus._gather(
        np.zeros(1, np.int64), np.array([3000]) + corpus.begin[0], np.array([1.2])
    )
    peaks = np.flatnonzero(drawn.history[0] > 0.95)
    assert len(peaks)
    assert (drawn.targets[0, QRS, peaks] == YES).all()


def test_batches_are_finite_and_repeatable():
    corpus = Corpus([track(), track("ludb/1", classes=""), track("vfdb/1")])
    batches = [
        augment(corpus.draw(rng, 64), [noise()], rng)
        for rng in (np.random.default_rng(3), np.random.default_rng(3))
    ]
    assert batches[0].shape == (64, BEAT_SPEC.length)
    assert np.isfinite(batches[0]).all()
    assert np.array_equal(*batches)


@pytest.mark.parametrize("seed", range(20))
def test_a_pause_has_no_beats_and_beats_keep_their_targets(seed):
    changed = rows()
    splice_pause(changed, 0, np.random.default_rng(seed))
    peaks = np.flatnonzero(changed.history[0] > 0.9)
    assert np.isin(changed.targets[0, QRS, peaks], [YES, UNKNOWN]).all()
    middles = np.flatnonzero(
        (changed.targets[0, QRS, 6:-6] == YES)
        & (changed.targets[0, QRS, :-12] == YES)
        & (changed.targets[0, QRS, 12:] == YES)
    )
    assert (changed.history[0, middles + 6] > 0.9).all()
    longest = np.diff(
        np.flatnonzero(changed.targets[0, QRS] != NO), prepend=0, append=HISTORY
    ).max()
    assert longest > 120


@pytest.mark.parametrize("seed", range(10))
def test_a_flat_stretch_leaves_no_target_without_its_beat(seed):
    changed = rows()
    flatten(changed, 0, np.random.default_rng(seed))
    for middle in (
        np.flatnonzero(np.convolve(changed.targets[0, QRS] == YES, np.ones(13), "valid") == 13) + 6
    ):
        assert changed.history[0, middle] > 0.9


def test_unknown_samples_do_not_count():
    logits = torch.randn(2, 1, BEAT_SPEC.length, requires_grad=True)
    codes = torch.full((2, BEAT_SPEC.length), UNKNOWN, dtype=torch.uint8)
    codes[0, 100] = YES
    QrsBatches([track()], [noise()]).loss(torch.nn.Identity(), logits, codes).backward()
    assert torch.nonzero(logits.grad).tolist() == [[0, 0, 100]]


def test_patients_are_in_one_fold_only():
    tracks = [track(f"mitdb/{n}") for n in range(100, 126)] + [
        track(f"vfdb/{n}") for n in range(15)
    ]
    fold_of = folds(tracks)
    assert sorted(fold_of) == sorted({t.patient for t in tracks})
    sizes = [list(fold_of.values()).count(f) for f in range(FOLDS)]
    assert max(sizes) - min(sizes) <= 2


def oracle(windows: np.ndarray) -> np.ndarray:
    """Logits that know the triangles."""
    near = np.stack([np.roll(windows[:, 0], k, axis=1) for k in range(-6, 7)]).max(axis=0)
    logits = np.full((len(windows), 1, BEAT_SPEC.length), -9, np.float32)
    logits[:, 0] = np.where(near > 0.9 * windows[:, 0].max(axis=1, keepdims=True), 9, -9)
    return logits


def test_a_perfect_network_scores_perfectly():
    t = track()
    found = beat_metrics.find(t, beat_metrics.run(t, oracle))
    qrs = beat_metrics.score_beats(t, found)
    assert (qrs.tp, qrs.fp, qrs.fn) == (len(BEATS), 0, 0)
    assert np.abs(found - BEATS).max() < 0.5


def test_matching_is_one_to_one_and_within_150_ms():
    assert beat_metrics.match(np.array([100.0, 200]), np.array([101.0, 225])).tolist() == [0, -1]
    assert beat_metrics.match(np.array([100.0]), np.array([95.0, 101])).tolist() == [1]
    assert beat_metrics.match(np.array([100.0, 110]), np.array([95.0, 108])).tolist() == [0, 1]


def test_flutter_is_left_out():
    t = track()
    flutter = Track(**{**t.__dict__, "flutter": np.array([[1000.0, 2000.0]])})
    qrs = beat_metrics.score_beats(flutter, np.array([1500.0]))
    assert (qrs.tp, qrs.fp) == (0, 0)
    assert qrs.fn == ((BEATS < 1000 - 18.75) | (BEATS > 2000 + 18.75)).sum()
