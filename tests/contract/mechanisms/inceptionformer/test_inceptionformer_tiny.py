"""Half the dimensions, a quarter of the size."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.network import BASE_TINY, HERE, TINY, InceptionFormer
from tests.contract.mechanisms.responses import numbers


def test_dimensions_are_halved_and_depths_kept() -> None:
    assert tuple(2 * c for c in TINY.channels) == HERE.channels
    assert TINY.depths == HERE.depths


def test_the_base_size_has_the_published_number_of_parameters() -> None:
    assert round(numbers(InceptionFormer(12, 1000, 9, BASE_TINY)) / 1e6, 1) == 3.1
