"""Weights of the folds' networks are stored in half precision (models/training/release/export.py).
Needs torch and onnx (extra `train`)."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra `train`)")

from models.architectures.ecgcl import WIDTHS, Backbone, Column, Segmenter
from models.serving.runtime import BATCH, Graph
from models.signal.windows import BEAT_SPEC
from models.training.release.files import halve, save_graph


def test_they_take_much_less_space_and_answer_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(1)
    path, window = tmp_path / "backbone.onnx", torch.randn(BATCH, 1, BEAT_SPEC.length)
    save_graph(
        Backbone(Segmenter(WIDTHS), [Column()]),
        (window,),
        ["x"],
        ["mask", "steps"],
        path,
        every_s=1,
    )
    whole, size = Graph(path).run(window.numpy()), path.stat().st_size
    halve(path)
    assert path.stat().st_size < size * 2 / 3
    for before, after in zip(whole, Graph(path).run(window.numpy()), strict=True):
        assert np.abs(before - after).max() < 0.01 * np.abs(before).max()
    again = path.read_bytes()
    halve(path)
    assert path.read_bytes() == again, "what is halved stays as it is"
