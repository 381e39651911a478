"""The limits that keep the code readable: sizes of modules and folders, and names with one meaning."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from tools import figures

LINES, FILES = 300, 20
PRODUCT = ("ingest", "models", "stream_processor", "dashboards", "ecgwatch")


def test_no_module_of_the_product_is_longer() -> None:
    found = figures.modules(figures.files(".py", PRODUCT))
    assert {s.name: s.lines for s in found if s.lines > LINES} == {}


def test_no_module_of_the_page_is_longer() -> None:
    found = figures.modules(figures.files(".js"))
    assert {s.name: s.lines for s in found if s.lines > LINES} == {}


@pytest.mark.parametrize("suffix", [".py", ".js"])
def test_no_folder_of_code_has_more_files(suffix: str) -> None:
    found = figures.folders(figures.files(suffix))
    assert {s.name: s.lines for s in found if s.lines > FILES} == {}


def test_no_name_of_a_class_means_two_things() -> None:
    found: dict[str, list[Path]] = defaultdict(list)
    for path in figures.files(".py", PRODUCT):
        for node in ast.walk(ast.parse((figures.ROOT / path).read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(path)
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}
