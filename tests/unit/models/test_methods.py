"""Every step of models/training/steps that is a program is a method of the command, and told in the docs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from typer.testing import CliRunner

import models.training
from ecgwatch.__main__ import app
from ecgwatch.modelling import method
from ecgwatch.modelling.method import METHODS

TRAINING = Path(models.training.__file__).parent
DOCS = Path(__file__).parents[3] / "docs" / "models.md"


def defines_main(path: Path) -> bool:
    tree = ast.parse(path.read_text())
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_a_program_and_is_told(name: str) -> None:
    module, _ = METHODS[name]
    assert defines_main(TRAINING.joinpath(*module.split(".")).with_suffix(".py"))
    assert f"| `{name}`" in DOCS.read_text()


def test_every_step_is_a_method() -> None:
    there = {
        f"steps.{path.stem}" for path in (TRAINING / "steps").glob("*.py") if defines_main(path)
    }
    assert there == {module for module, _ in METHODS.values() if module.startswith("steps.")}


def test_what_follows_the_name_is_handed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[tuple[str, list[str], Path]] = []

    def start(module: str, arguments: list[str], data: Path) -> int:
        started.append((module, list(arguments), data))
        return 3

    monkeypatch.setattr(method.extra, "start", start)
    asked = ["tucker", "--data", str(tmp_path), "litenet", "rhythm", "--teacher", "se_resnet"]
    result = CliRunner().invoke(app, ["models", "method", *asked])
    assert result.exit_code == 3
    assert started == [("steps.tucker", ["litenet", "rhythm", "--teacher", "se_resnet"], tmp_path)]
