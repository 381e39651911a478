"""int8 of systems of the zoo: a smaller file that says the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ecgwatch[train]'")

from models import architectures
from models.serving.runtime import Network
from models.training.release.quantise import quantise
from models.training.release.windowed_export import export
from tests.made_tasks import Tones


@pytest.mark.parametrize("name", ["mobilenet_v2", "se_resnet", "inceptionformer"])
def test_it_is_smaller_and_says_the_same(name: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    problem = Tones.problem
    net = architectures.load(name).build(problem)
    net.train()(torch.randn(16, 1, problem.spec.length))
    export(net, problem, tmp_path, {})
    x = np.random.default_rng(1).standard_normal((64, problem.spec.length)).astype(np.float32)
    quantise(tmp_path, x, tmp_path / "int8")
    sizes = [(tmp_path / part / "model.onnx").stat().st_size for part in (".", "int8")]
    assert sizes[1] < 0.8 * sizes[0]
    whole, small = (Network(tmp_path / part).run(x) for part in (".", "int8"))
    assert np.corrcoef(whole.ravel(), small.ravel())[0, 1] > 0.98
