"""Our top-level names are generic: a stranger of the same name is told, not used."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from ingest import errors

ROOT = Path(__file__).parents[2]


def test_the_packages_are_ours_alone() -> None:
    owners = importlib.metadata.packages_distributions()
    for name in ("ingest", "models", "stream_processor", "dashboards", "ecgwatch"):
        assert set(owners.get(name, ["ecgwatch"])) == {"ecgwatch"}, name


def test_a_stranger_in_front_is_named(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    for flags, code in (([], 1), (["-P"], 0)):
        command = [sys.executable, *flags, "-m", "ecgwatch", "topics", "--help"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
        assert done.returncode == code, done.stderr
        assert ("package 'models'" in done.stderr and str(tmp_path) in done.stderr) == bool(code)


def _errors() -> list[tuple[str, str]]:
    """Every exception class of the product, with its file."""
    found = []
    for package in ("ingest", "models", "stream_processor", "dashboards", "ecgwatch"):
        for path in sorted((ROOT / package).rglob("*.py")):
            classes = (
                n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ClassDef)
            )
            found += [
                (c.name, str(path.relative_to(ROOT))) for c in classes if c.name.endswith("Error")
            ]
    return found


@pytest.mark.parametrize(("name", "file"), _errors())
def test_every_error_is_in_the_tree(name: str, file: str) -> None:
    tree = errors.__doc__ or ""
    assert f"{name} " in tree
    assert file in tree or file == "ingest/errors.py"
