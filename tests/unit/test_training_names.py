"""What serving asks of models.training by name exists there: types cannot tell, since that part is
imported only if torch is installed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HOME = Path(__file__).parents[2]


def is_training(node: ast.expr | None) -> bool:
    """Whether an expression is `extra.training("...")`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func) == "extra.training"
    )


def asked() -> Iterator[tuple[str, str]]:
    """Pairs of a module of models.training and a name that is read from it."""
    for path in sorted((HOME / "ecgwatch").rglob("*.py")):
        tree = ast.parse(path.read_text())
        held = {
            ast.unparse(node.targets[0]): ast.literal_eval(node.value.args[0])
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            and is_training(node.value)
            and isinstance(node.value, ast.Call)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute):
                continue
            if is_training(node.value) and isinstance(node.value, ast.Call):
                yield ast.literal_eval(node.value.args[0]), node.attr
            elif ast.unparse(node.value) in held:
                yield held[ast.unparse(node.value)], node.attr


def defined(module: str) -> set[str]:
    """Names that the module defines or imports at its top level."""
    tree = ast.parse((HOME / "models/training" / f"{module.replace('.', '/')}.py").read_text())
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {ast.unparse(target) for target in targets}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def test_what_is_asked_of_training_is_there() -> None:
    found = list(asked())
    assert ("explain", "explain_network") in found
    assert [(module, name) for module, name in found if name not in defined(module)] == []
