"""HiLo: half of the heads look inside windows, half at the windows' means."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.local_mixers import HiLo
from models.architectures.layers.attention import watched


def test_high_heads_see_windows_and_low_heads_see_means() -> None:
    mixer = HiLo(64, 4, 40)
    with watched(mixer) as seen:
        assert mixer(torch.randn(2, 40, 64)).shape == (2, 40, 64)
    assert [tuple(one.weights.shape) for one in seen] == [(2, 4, 2, 10, 10), (2, 2, 40, 4)]


def test_what_leaves_a_windows_mean_as_it_is_does_not_leave_the_window() -> None:
    torch.manual_seed(1)
    mixer, x = HiLo(16, 2, 40).eval(), torch.randn(1, 40, 16)
    changed = x.clone()
    changed[0, 12] += 1
    changed[0, 17] -= 1
    far = (mixer(x) - mixer(changed)).abs().amax(dim=2)[0] > 1e-5
    assert set(far.nonzero().flatten().tolist()) <= set(range(10, 20))
    assert far[12]
