"""Templates begin as mean beats of the training patients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ecgwatch[train]'")

from models import architectures
from models.architectures.compact.matched_filter import TEMPLATES, with_slope
from models.training.problems import first
from models.training.steps.templates import UNKNOWN, beats_of, class_means

SAMPLES = 96


def beat(width: float, n: int) -> Any:
    generator = torch.Generator().manual_seed(int(width))
    wave = torch.exp(-0.5 * ((torch.arange(SAMPLES) - 48) / width) ** 2)
    return wave * (0.5 + torch.rand(n, 1, generator=generator)) + 0.05 * torch.randn(n, SAMPLES)


def test_each_class_gets_as_many_templates_that_look_like_it() -> None:
    torch.manual_seed(1)
    beats = torch.cat([beat(2, 300), beat(9, 20), torch.randn(10, SAMPLES)])
    classes = torch.tensor([0] * 300 + [2] * 20 + [UNKNOWN] * 10)
    means = class_means(beats, classes, torch.Generator().manual_seed(1))
    assert means.shape == (TEMPLATES, SAMPLES)
    architecture = architectures.load("matched_filter")
    net = architecture.build(first(architecture))
    net.bank.set(with_slope(means))
    found = net.bank(with_slope(torch.stack([beat(2, 1)[0], beat(9, 1)[0]])))
    half = TEMPLATES // 2
    assert int(found[0].argmax()) < half <= int(found[1].argmax())


class Sequences:
    """Eleven beats a row with two numbers after each."""

    def batch(self, rng: np.random.Generator, size: int) -> Any:
        x = torch.zeros(size, 11, SAMPLES + 2)
        x[..., SAMPLES:] = 7
        return (x,), torch.zeros(size, 11, dtype=torch.long)

    def loss(self, net: Any, answer: Any, target: Any) -> Any:
        return answer.sum()


def test_beats_are_read_without_the_numbers_that_follow_them() -> None:
    beats, classes = beats_of(Sequences(), SAMPLES, seed=1)
    assert beats.shape[1] == SAMPLES
    assert len(beats) == len(classes) >= 4000
    assert not bool((beats == 7).any())
