"""EfficientNet: one coefficient scales depth, width and rate."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures import load
from models.architectures.mobile.inverted import DEPTHS, WIDTHS, InvertedNet, compound
from models.training.problems import PIECE
from tests.contract.mechanisms.responses import numbers


def test_the_base_is_coefficient_zero() -> None:
    assert compound(0) == (WIDTHS, DEPTHS, 4)


def test_one_coefficient_moves_all_three_together() -> None:
    small, large = compound(-2), compound(3)
    assert all(a < b for a, b in zip(small[0], large[0], strict=True))
    assert sum(small[1]) < sum(large[1])
    assert small[2] > large[2]


def test_a_larger_coefficient_is_a_larger_network() -> None:
    sizes = [numbers(InvertedNet(1, 4, *compound(step))) for step in (-2, 0, 3)]
    assert sizes == sorted(sizes)
    assert sizes[2] > 1.5 * sizes[1]


def test_its_activation_is_swish_under_a_smooth_gate() -> None:
    kinds = {type(module).__name__ for module in load("efficientnet").build(PIECE).modules()}
    assert {"SiLU", "Sigmoid", "HardGate"} <= kinds
