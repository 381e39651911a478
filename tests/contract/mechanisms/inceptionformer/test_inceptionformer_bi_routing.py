"""Bi-level routing: exactly so many windows are gathered, those most alike."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.local_mixers import WINDOW, BiRouting
from models.architectures.layers.attention import watched


@pytest.mark.parametrize(("length", "kept"), [(80, 3), (40, 1), (250, 10), (10, 1)])
def test_each_window_gathers_a_fixed_number_of_windows(length: int, kept: int) -> None:
    mixer = BiRouting(64, 4, length).eval()
    with watched(mixer) as seen:
        assert mixer(torch.randn(2, length, 64)).shape == (2, length, 64)
    assert seen[0].weights.shape == (2, length // WINDOW, 4, WINDOW, kept * WINDOW)


def test_a_window_depends_on_those_that_it_chose_and_on_no_other() -> None:
    torch.manual_seed(2)
    mixer = BiRouting(16, 2, 80).eval()
    with torch.no_grad():  # the local term crosses borders by design
        mixer.local.weight.zero_()
        mixer.local.bias.zero_()
    x = torch.randn(1, 80, 16)
    q, k, _ = mixer.qkv(x).chunk(3, dim=-1)
    chosen = set(mixer.routes(q, k)[0, 0].tolist())
    assert len(chosen) == 3
    for window in range(1, 8):
        changed = x.clone()
        inside = slice(window * WINDOW, (window + 1) * WINDOW)
        changed[0, inside] += 1e-3 * torch.randn(WINDOW, 16)  # too little to change a route
        far = (mixer(x) - mixer(changed))[0, :WINDOW].abs().max()
        assert (far > 1e-7) == (window in chosen), window
