"""TAC-ECG: low-rank adapters after the norm of every long convolution.

That they leave the encoder bit for bit, and that reports and records meet, is tested in
tests/unit/training/steps/test_adapter.py.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.residual.tac_ecg import RANK, Adapter, TacEcg
from tests.contract.mechanisms.responses import numbers, spread


def test_an_adapter_stands_after_the_norm_of_every_long_convolution() -> None:
    body = TacEcg(1, 4).encoder.body
    long = [m for m in body.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size[1] > 1]
    pairs = [
        part
        for part in body.modules()
        if isinstance(part, torch.nn.Sequential) and isinstance(part[-1], Adapter)
    ]
    assert len(pairs) == len(long) == 16
    assert all(isinstance(part[1], torch.nn.BatchNorm2d) for part in pairs)


def test_an_adapter_is_of_low_rank_and_sees_one_sample() -> None:
    adapter = Adapter(16)
    assert numbers(adapter) == RANK * (16 + 1) + 16 * (RANK + 1)
    assert spread(adapter, 16) == [1] * 16


def test_without_its_second_layer_an_adapter_changes_nothing() -> None:
    adapter, x = Adapter(16), torch.randn(2, 16, 1, 20)
    torch.nn.init.zeros_(adapter.up.weight)
    assert torch.equal(adapter(x), x)


def test_adapters_are_a_few_percent() -> None:
    net = TacEcg(1, 4)
    assert sum(numbers(one) for one in net.adapters()) < 0.05 * numbers(net)
