"""Windows: nothing crosses their borders."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.local_mixers import Window
from tests.contract.mechanisms.responses import moved_tokens


@pytest.mark.parametrize("at", [0, 9, 10, 35])
def test_a_token_moves_its_window_only(at: int) -> None:
    torch.manual_seed(1)
    begin = at // 10 * 10
    assert moved_tokens(Window(16, 2, 40), 40, 16, at) == set(range(begin, begin + 10))


def test_the_distance_of_two_tokens_matters() -> None:
    torch.manual_seed(1)
    window, x = Window(16, 2, 40).eval(), torch.randn(1, 40, 16)
    before = window(x)
    with torch.no_grad():
        window.distance += torch.randn_like(window.distance)
    assert (window(x) - before).abs().max() > 1e-4
