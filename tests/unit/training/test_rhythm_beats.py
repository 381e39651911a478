"""T3's decoder of beats and its training data. Needs torch (extra `train`)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra `train`)")

from models.architectures.beat_decoder import BeatDecoder, RhythmDecoder
from models.architectures.ecgcl import SequenceDecoder
from models.beats.last_beats import ABSENT, BEATS, packed
from models.beats.morphology import SHAPE
from models.signal.conditioning import FS_HZ
from models.signal.windows import BEAT_SPEC
from models.training.cost import parameters
from models.training.data.cinc2017 import Recordings
from models.training.data.rhythm_beats import (
    BeatBatches,
    FoundBeats,
    find_beats,
    paced,
    paced_shape,
    vary,
)
from models.training.tasks.rhythm.train import CLASS_WEIGHTS, CONTEXT, of_beats, pieces, whole


def some(count: int, rr_s: float = 0.8, jitter_s: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    at = 50 + FS_HZ * np.cumsum(rr_s + jitter_s * rng.uniform(-1, 1, count))
    form = np.exp(-0.5 * ((np.arange(SHAPE) - 24) / 2) ** 2)
    return at, (form + 0.02 * rng.standard_normal((count, SHAPE))).astype(np.float16)


def tensors(
    rows: list[tuple[np.ndarray, np.ndarray]], until: float = 4000.0
) -> tuple[torch.Tensor, torch.Tensor]:
    ago, shapes = packed(rows, [until] * len(rows))
    return torch.from_numpy(ago), torch.from_numpy(shapes.astype(np.float32))


def test_what_lies_in_absent_places_does_not_count() -> None:
    net = BeatDecoder(4).eval()
    ago, shapes = tensors([some(20), some(31)])
    other = torch.where((ago == ABSENT).unsqueeze(2), torch.tensor(7.0), shapes)
    with torch.inference_mode():
        assert torch.equal(net(ago, shapes), net(ago, other))


def test_a_row_without_beats_has_a_finite_answer() -> None:
    ago, shapes = tensors([some(0), some(1)])
    with torch.inference_mode():
        assert torch.isfinite(BeatDecoder(4).eval()(ago, shapes)).all()


def test_only_how_long_ago_matters_between_beats_and_not_when() -> None:
    net, (at, shapes) = BeatDecoder(4).eval(), some(30)
    with torch.inference_mode():
        assert torch.allclose(
            net(*tensors([(at, shapes)])), net(*tensors([(at + 500, shapes)])), atol=1e-4
        )


def test_the_mean_of_both_views_answers() -> None:
    steps, beats = SequenceDecoder(6, 4, 4).eval(), BeatDecoder(4).eval()
    both = RhythmDecoder(steps, beats).eval()
    both.temperature.fill_(2.0)
    x, known = torch.randn(2, 8, 6), torch.ones(2, 8, 1)
    with torch.inference_mode():
        expected = (steps(x, known) + beats(*tensors([some(9), some(30)]))) / 4
        assert torch.allclose(both(x, known, *tensors([some(9), some(30)])), expected)
    assert parameters(beats) < 20_000


def test_a_pacemaker_fills_the_pauses_and_leaves_other_beats_where_they_are() -> None:
    at, shapes = some(40, 0.8, 0.3)
    when, forms = paced((at, shapes), np.random.default_rng(1), (0.4, 0.4))
    assert len(when) == len(forms) > len(at)
    assert np.diff(when).max() < np.quantile(np.diff(at), 0.4) + 0.1 * FS_HZ
    assert (np.diff(when) > 0).all()
    assert np.isin(when, at).sum() > 10
    # too few
    assert np.array_equal(paced(some(5), np.random.default_rng(1), (0.4, 0.4))[0], some(5)[0])
    assert np.ptp(paced_shape(np.random.default_rng(2))) > 0.5


def found(lengths: list[int], rr: float = 100.0) -> FoundBeats:
    at = [np.arange(60.0, n, rr) for n in lengths]
    bounds = np.cumsum([0] + [len(a) for a in at])
    return FoundBeats(
        np.concatenate(at), np.ones((bounds[-1], SHAPE), np.float16), bounds, np.array(lengths)
    )


def test_a_piece_knows_what_a_stream_would_know() -> None:
    beats = found([3000, 5000])
    assert beats.piece(1, 0, 5000)[0][-1] == 4960  # at the record's end everything is decided
    assert beats.piece(1, 1000, 4000)[0].tolist() == [
        x for x in np.arange(60.0, 5000, 100) if 1000 <= x < 4000 - BEAT_SPEC.after
    ]


def test_batches_are_pieces_of_the_members() -> None:
    batches = BeatBatches(
        found([1500, 5000, 4000]), np.array([0, 1, 2]), np.array([0, 1]), CONTEXT, CLASS_WEIGHTS
    )
    (ago, shapes), target = batches.batch(np.random.default_rng(0), 64)
    assert ago.shape == (64, BEATS)
    assert shapes.shape == (64, BEATS, SHAPE)
    assert set(target.tolist()) <= {0, 1, 2}
    assert ((ago >= 0).sum(dim=1) >= 9).all()
    net = BeatDecoder(4)
    batches.loss(net, net(ago, shapes), target).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_variations_keep_order_and_absence() -> None:
    ago, shapes = packed([some(20)], [4000.0])
    varied, forms = vary(ago, shapes.astype(np.float32), np.random.default_rng(4))
    assert np.array_equal(varied == ABSENT, ago == ABSENT)
    assert (np.diff(varied[0, -20:]) < 0).all()
    assert not forms[0, :-20].any()


def test_records_are_judged_by_contexts_a_hop_apart_and_pieces_by_themselves() -> None:
    recordings = Recordings(
        np.array(["a", "b"]),
        np.array([0, 1]),
        np.array([0, 1200, 6200]),
        np.zeros(6200, np.float16),
    )
    members = np.arange(2)
    assert [tuple(p) for p in pieces(recordings, members, 10)][:2] == [(0, 0, 1200), (1, 0, 1250)]
    net, beats = BeatDecoder(4).eval(), found([1200, 5000])
    together = of_beats(net, beats)(whole(recordings, members))
    with torch.inference_mode():
        ago, shapes = packed(
            [beats.piece(1, end - 3750, end) for end in (5000, 4375, 3750)], [5000, 4375, 3750]
        )
        expected = net(torch.from_numpy(ago), torch.from_numpy(shapes.astype(np.float32))).mean(
            dim=0
        )
    assert np.allclose(together[1], expected, atol=1e-5)


def test_found_beats_are_kept_for_the_same_records_and_network(tmp_path: Path) -> None:
    recordings = Recordings(
        np.array(["a"]), np.array([0]), np.array([0, 2000]), np.zeros(2000, np.float16)
    )
    calls: list[int] = []

    def detector(windows: np.ndarray) -> np.ndarray:
        calls.append(len(windows))
        return np.full(windows.shape, -9.0, np.float32)

    for made_by, expected in (("one", 1), ("one", 1), ("two", 2)):
        kept = find_beats(recordings, detector, made_by, tmp_path / "beats.npz")
        assert len(calls) == expected
        assert kept.bounds.tolist() == [0, 0]
