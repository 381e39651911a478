"""Reads what the files of a package register by a decorator, without importing them: they need
torch, and a list of them must not.

A file registers by decorating a function or class at its top level: `@architecture("unet",
kinds=("samples",), source="...")`. The arguments are literals. The rest is the file's own business,
so that something new is one file.
"""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ingest.errors import BadInputError


class Declared(NamedTuple):
    """One registered name."""

    name: str
    module: str  # to import, then the package's own table has it
    summary: str  # first line of what is decorated, else of its module
    arguments: dict[str, Any]  # of the decorator, by keyword


def declared(package: str, path: Iterable[str], decorator: str) -> dict[str, Declared]:
    """All names that the modules of a package (its name and its __path__) register by this
    decorator, in alphabetical order.

    Raises BadInputError where a file cannot be parsed or two of them register the same name.
    """
    found: dict[str, Declared] = {}
    for module in pkgutil.walk_packages(path, f"{package}."):
        if module.ispkg:
            continue
        file = Path(module.module_finder.path, module.name.rpartition(".")[2] + ".py")  # type: ignore[union-attr]
        for one in _in_file(file, module.name, decorator):
            if one.name in found:
                problem = f"{one.module} and {found[one.name].module} both register {one.name!r}"
                raise BadInputError(problem, "Rename one of them.")
            found[one.name] = one
    return dict(sorted(found.items()))


def chosen(found: dict[str, Declared], name: str, what: str) -> Declared:
    """Return the entry called `name`. Raises BadInputError, which lists all names."""
    if name not in found:
        raise BadInputError(f"no {what} named {name!r}", f"There are: {', '.join(found)}.")
    return found[name]


def _in_file(path: Path, module: str, decorator: str) -> Iterator[Declared]:
    try:
        tree = ast.parse(path.read_text())
    except SyntaxError as error:
        raise BadInputError(
            f"{path}: {error}", "Mend the file, or take it out of the folder."
        ) from error
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        for call in node.decorator_list:
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id == decorator
            ):
                text = ast.get_docstring(node) or ast.get_docstring(tree) or ""
                yield Declared(
                    _literal(path, call.args[0]),
                    module,
                    text.partition("\n")[0],
                    _keywords(path, call),
                )


def _keywords(path: Path, call: ast.Call) -> dict[str, Any]:
    return {k.arg: _literal(path, k.value) for k in call.keywords if k.arg}


def _literal(path: Path, node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        problem = f"{path}:{node.lineno}: an argument that registers something is not a literal"
        raise BadInputError(
            problem, "Write the value itself: it is read without running the file."
        ) from error
