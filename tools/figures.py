#!/usr/bin/env python3
"""How large the code is: the median and largest modules and functions, and the folders with most files.

    python tools/figures.py [FOLDER ...]      default: everything that git knows of

tests/unit/test_shape.py holds the limits.
"""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 5  # of each kind, in the print


class Size(NamedTuple):
    """Lines of a module or of a function."""

    lines: int
    name: str


def files(suffix: str, folders: tuple[str, ...] = ()) -> list[Path]:
    """Return the files of code below these folders that git knows of, relative to the repository;
    but for the empty ones that only make a folder a package."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *(folders or (".",))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        path
        for path in map(Path, sorted(set(listed.stdout.splitlines())))
        if path.suffix == suffix and path.name != "__init__.py" and (ROOT / path).exists()
    ]


def modules(paths: list[Path]) -> list[Size]:
    """Return the lines of each file, largest first."""
    sizes = [Size(len((ROOT / path).read_text().splitlines()), str(path)) for path in paths]
    return sorted(sizes, reverse=True)


def functions(paths: list[Path]) -> list[Size]:
    """Return the lines of each function and method of these Python files, largest first."""
    found = [
        Size((node.end_lineno or node.lineno) - node.lineno + 1, f"{path}: {node.name}")
        for path in paths
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return sorted(found, reverse=True)


def folders(paths: list[Path]) -> list[Size]:
    """Return the number of files in each folder, most first."""
    return sorted(
        (Size(n, str(folder)) for folder, n in Counter(p.parent for p in paths).items()),
        reverse=True,
    )


def show(title: str, sizes: list[Size]) -> None:
    """Print the median and the largest."""
    if not sizes:
        return
    median = statistics.median(size.lines for size in sizes)
    print(f"{title}: {len(sizes)}, median {median:g}, largest")
    for size in sizes[:LARGEST]:
        print(f"  {size.lines:5d}  {size.name}")


def main(chosen: tuple[str, ...]) -> None:
    """Print the figures of Python and JavaScript."""
    for suffix in (".py", ".js"):
        paths = files(suffix, chosen)
        show(f"{suffix} modules, lines", modules(paths))
        if suffix == ".py":
            show(f"{suffix} functions, lines", functions(paths))
        show(f"{suffix} folders, files", folders(paths))


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
