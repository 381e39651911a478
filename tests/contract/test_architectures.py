"""What every system of the zoo must show: a list of systems times a list of checks. A new system is
one file and its mechanism's tests.

The list is the registry (models/architectures/__init__.py says how to add to it). Beside the checks
here a system needs tests that only its own mechanism passes, in mechanisms, in
a test_NAME.py in any folder.
"""

from __future__ import annotations

import ast
import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import architectures
from models.architectures import Problem
from models.signal.windows import InputSpec

SYSTEMS = list(architectures.zoo())
HERE = Path(architectures.__file__).parent
MECHANISMS = Path(__file__).parent / "mechanisms"
NO_TORCH = "torch is not installed: pip install 'ecgwatch[train]'"
SHORT = InputSpec(before=375, hop=125, after=0, offset=0)  # 4 s: enough to learn by heart
MOST_MMAC = 12.5  # of a system on one lead: the budget of about 10
LEARNING_STEPS = 200


def problems(name: str) -> list[Problem]:
    from models.training import problems

    return problems.every(architectures.load(name))


def short(problem: Problem) -> Problem:
    """The same problem with windows that are quick to learn."""
    spec = problem.spec if problem.kind == "beats" else SHORT
    return Problem(problem.kind, problem.outputs, spec, problem.rows, problem.extra)


def windows(problem: Problem, count: int, seed: int = 1) -> Any:
    """Random windows with a wave of a frequency of its own in each, so that no two are alike."""
    import torch

    rows, length = problem.shape
    rng = np.random.default_rng(seed)
    time, hz = np.arange(length) / 125, rng.uniform(1, 25, (count, rows, 1))
    x = 1.5 * np.sin(
        2 * np.pi * (hz * time + rng.random((count, rows, 1)))
    ) + 0.5 * rng.standard_normal((count, rows, length))
    return torch.from_numpy(x.astype(np.float32))


def made(name: str, problem: Problem) -> Any:
    """A network with fresh weights, each time the same, laid out in memory as the recipe does."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(3)
    return architectures.load(name).build(problem).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", SYSTEMS)
def test_its_mechanism_has_tests_of_its_own(name: str) -> None:
    path = next(MECHANISMS.rglob(f"test_{name}.py"), None)
    assert path, f"write test_{name}.py: tests that only this mechanism passes"
    tests = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert tests
    for test in tests:
        checks = [
            node
            for node in ast.walk(test)
            if isinstance(node, ast.Assert) or "raises" in ast.unparse(node)[:40]
        ]
        assert checks, f"{path.name}: {test.name} asserts nothing"


@pytest.mark.parametrize("name", SYSTEMS)
def test_its_docstring_names_the_paper_and_how_ours_differs(name: str) -> None:
    one = architectures.zoo()[name]
    file = HERE.joinpath(*one.module.split(".")[2:]).with_suffix(".py")
    text = " ".join((ast.get_docstring(ast.parse(file.read_text())) or "").split())
    assert "DOI 10." in text or "arXiv" in text
    assert "DOI" in one.arguments["source"] or "arXiv" in one.arguments["source"]
    assert "We differ:" in text


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_computes_the_same_after_export_within_its_budget(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    import torch

    from models.serving.benchmark import session
    from models.serving.runtime import Network
    from models.training.release.windowed_export import export

    for problem in problems(name):
        net = made(name, problem)
        net.train()(windows(problem, 8, seed=2))  # normalisation has seen something
        spec = export(net, problem, tmp_path, {"architecture": name})
        x = windows(problem, 3)
        with torch.inference_mode():
            expected = net.eval()(x).numpy()
        given = Network(tmp_path).run(x.numpy())
        k = len(problem.outputs)
        assert (
            given.shape
            == {
                "samples": (3, k, problem.shape[1]),
                "classes": (3, k),
                "beats": (3, k, problem.rows),
            }[problem.kind]
        )
        assert np.abs(given - expected).max() < 1e-4
        alone = session(tmp_path / "model.onnx").run(None, {"windows": x[:1].numpy()})[0]
        assert np.abs(alone - expected[:1]).max() < 1e-4  # a batch of any size, not of 16 only
        if problem.rows != 12:
            assert spec["macs_per_window"] < MOST_MMAC * 1e6


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_learns_32_windows_by_heart(name: str) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    import torch
    from torch.nn import functional

    from models.training.zoo import RECIPES

    problem = short(problems(name)[0])
    net = made(name, problem).train()
    for module in net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    x = windows(problem, 32)
    shape = {"classes": (32,), "beats": (32, problem.rows), "samples": (32, problem.shape[1])}[
        problem.kind
    ]
    y = torch.randint(len(problem.outputs), shape, generator=torch.Generator().manual_seed(1))
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=RECIPES[architectures.load(name).recipe].rate
    )
    right = 0.0
    for step in range(LEARNING_STEPS):
        answer = net(x)
        loss = functional.cross_entropy(answer, y)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        if step % 10 == 9:
            with torch.inference_mode():
                right = float((net.eval()(x).argmax(dim=1) == y).float().mean())
            net.train()
            if right >= 0.96:
                break
    assert right >= 0.96


@pytest.mark.parametrize("name", SYSTEMS)
def test_without_its_mechanism_it_answers_otherwise_and_is_smaller_by_what_went(name: str) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    import torch

    for problem in map(short, problems(name)):
        net = made(name, problem).eval()
        plain = copy.deepcopy(net)
        parts = plain.ablate()
        plain.eval()
        gone = sum(
            p.numel() for p in {id(p): p for part in parts for p in part.parameters()}.values()
        )
        count = {
            kept: sum(p.numel() for p in which.parameters())
            for kept, which in ((False, net), (True, plain))
        }
        assert count[True] == count[False] - gone
        x = windows(problem, 4)
        with torch.inference_mode():
            a, b = net(x), plain(x)
        assert a.shape == b.shape
        assert (a - b).abs().max() > 1e-4


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_gradient_reaches_every_parameter(name: str) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    import torch

    for problem in map(short, problems(name)):
        net = made(name, problem).train()
        answer = net(windows(problem, 16))
        loss = (
            answer * torch.randn(answer.shape, generator=torch.Generator().manual_seed(5))
        ).sum()
        (loss if net.penalty is None else loss + net.penalty).backward()
        without = [
            n
            for n, p in net.named_parameters()
            if p.requires_grad and (p.grad is None or not p.grad.abs().sum() > 0)
        ]
        assert not without


@pytest.mark.parametrize("name", SYSTEMS)
def test_attention_weights_sum_to_one(name: str) -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from models.architectures.layers.attention import AttentionWeights, watched

    problem = short(problems(name)[0])
    net = made(name, problem).eval()
    x = windows(problem, 4)
    with torch.inference_mode(), watched(net) as seen:
        net(x)
        over_time = net.attention(x)
    if any(isinstance(module, AttentionWeights) for module in net.modules()):
        assert seen
    for one in seen:
        assert torch.allclose(one.weights.sum(dim=one.dim), torch.ones(()), atol=1e-4), one.name
    for key, weights in over_time.items():
        assert weights.shape[0] == 4, key
        assert bool((weights >= 0).all()), key
