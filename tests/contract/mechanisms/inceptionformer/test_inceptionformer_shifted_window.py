"""Shifted windows join what the windows before parted."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.local_mixers import ShiftedWindow, Window, WindowPair
from tests.contract.mechanisms.responses import moved_tokens


def test_a_shifted_window_lies_across_a_border() -> None:
    torch.manual_seed(1)
    assert moved_tokens(ShiftedWindow(16, 2, 40), 40, 16, 12) == set(range(5, 15))


@pytest.mark.parametrize(("at", "moved"), [(0, range(5)), (39, range(35, 40))])
def test_the_ends_of_the_signal_do_not_meet(at: int, moved: range) -> None:
    torch.manual_seed(1)
    assert moved_tokens(ShiftedWindow(16, 2, 40), 40, 16, at) == set(moved)


def test_a_pair_carries_across_borders_and_windows_alone_do_not() -> None:
    torch.manual_seed(1)
    assert moved_tokens(WindowPair(16, 2, 40), 40, 16, 12) > set(range(10, 20))
    assert moved_tokens(Window(16, 2, 40), 40, 16, 12) == set(range(10, 20))
