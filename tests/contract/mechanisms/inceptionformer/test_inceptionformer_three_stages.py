"""Three stages: attention only where it alternates with convolutions."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from dataclasses import replace

from models.architectures.inceptionformer.network import BASE, InceptionFormer
from models.architectures.inceptionformer.variants import THREE_STAGES
from tests.contract.mechanisms.responses import numbers


def test_the_base_size_has_the_published_number_of_parameters() -> None:
    size = replace(BASE, channels=BASE.channels[:3], depths=BASE.depths[:3])
    assert round(numbers(InceptionFormer(12, 1000, 9, size)) / 1e6, 1) == 3.6


def test_the_last_map_is_twice_as_fine() -> None:
    x = torch.zeros(1, 1, 1250)
    assert InceptionFormer(1, 1250, 4, THREE_STAGES).features(x).shape == (1, 64, 1, 80)
    assert InceptionFormer(1, 1250, 4).features(x).shape == (1, 96, 1, 40)
