"""Matched filters: kernels as templates, normed, their best match anywhere, RR beside them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.compact.matched_filter import (
    LENGTH,
    MatchedFilter,
    TemplateBank,
    with_slope,
)

SAMPLES = 96


def beat(width: float) -> torch.Tensor:
    """A wave around the middle of a row."""
    return torch.exp(-0.5 * ((torch.arange(SAMPLES) - SAMPLES / 2) / width) ** 2)


@pytest.fixture
def bank() -> TemplateBank:
    torch.manual_seed(1)
    bank = TemplateBank()
    bank.set(with_slope(torch.stack([beat(2), beat(8)])))
    return bank


@pytest.mark.parametrize("gain", [0.5, 1.0, 20.0])
def test_the_match_is_one_whatever_the_amplitude(bank: TemplateBank, gain: float) -> None:
    found = bank(with_slope(gain * torch.stack([beat(2), beat(8)]))).detach()
    assert torch.allclose(found[:, :2].diag(), torch.ones(2), atol=2e-3)
    assert found[:, :2].argmax(dim=1).tolist() == [0, 1]


def test_the_peak_is_at_the_template_wherever_it_lies(bank: TemplateBank) -> None:
    for shift in (-10, 0, 9):
        x = with_slope(beat(2).roll(shift)[None])
        at = int(bank.matches(x)[0, 0].argmax())
        assert at == (SAMPLES - LENGTH) // 2 + shift


def test_intervals_alone_move_the_answer() -> None:
    torch.manual_seed(1)
    net = MatchedFilter(SAMPLES, 2, 5).eval()
    x = torch.randn(2, 11, SAMPLES + 2)
    other = x.clone()
    other[:, :, SAMPLES:] += 0.5
    assert (net(x) - net(other)).abs().max() > 1e-3


def test_beats_are_judged_one_by_one() -> None:
    torch.manual_seed(1)
    net, x = MatchedFilter(SAMPLES, 2, 5).eval(), torch.randn(1, 11, SAMPLES + 2)
    other = x.clone()
    other[:, 3] += 1
    moved = (net(x) - net(other)).abs().amax(dim=(0, 1)) > 1e-6
    assert moved.nonzero().flatten().tolist() == [3]
