"""The registry of architectures: every file here that decorates a builder is one, found by its
name.

    @architecture("unet", kinds=("samples",), source="Ronneberger et al. 2015, DOI 10.1007/978-3-319-24574-4_28")
    def build(problem: Problem) -> nn.Module: ...

This module does not need torch: what the files declare is read without importing them
(models/registry.py); `load` imports one.

A system of the model zoo is an architecture that names its mechanism: what makes it that system and
no plain network. To add one:

1. models/architectures/NAME.py: a subclass of System (models/architectures/layers/system.py) made
   of the parts in
   models/architectures/layers, and its decorated builder with `mechanism="..."`. The file's docstring cites the paper with its DOI and
   says "We differ: ...".
2. tests/contract/mechanisms/test_NAME.py: tests that only this mechanism passes. Without that file
   the contract matrix fails
   (tests/contract/test_architectures.py), which also asks of each system: the same numbers after export, that it learns 32 windows by
   heart, that its mechanism matters (`System.ablate`), that a gradient reaches every parameter, that attention weights sum to one.

Nothing else: `models list`, `bench`, `compare --zoo` and `train --architecture NAME` find it. A
system takes windows of any length that is a multiple of 125 samples, from 500 on, and costs at most
about 10 MMAC per 10 s of one lead. `rows=(1, 12)` says that it also has a form for 12 leads; kind
"beats" that its rows are beats (models/training/problems.py has the problems).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from models.registry import Declared, chosen, declared
from models.signal.windows import InputSpec

Kind = Literal["samples", "classes", "beats"]
Recipe = Literal["convolutional", "transformer"]


@dataclass(frozen=True)
class Problem:
    """The form of a task's input and output: scaled windows (B, R, T) in, logits out.

    Logits are per sample (B, K, T), per window (B, K), or, if each row is a beat, per beat (B, K,
    R).
    """

    kind: Kind
    outputs: tuple[str, ...]  # K names: channels of a mask, or classes
    spec: InputSpec  # of a row, at spec.fs_hz
    rows: int = 1  # R: leads; of kind "beats" the beats of a sequence, oldest first
    extra: int = 0  # numbers that follow a row's samples, such as RR ratios

    @property
    def shape(self) -> tuple[int, int]:
        """(R, T) of a window."""
        return self.rows, self.spec.length + self.extra


Build = Callable[[Problem], Any]  # a torch.nn.Module, which this module must not import
B = TypeVar("B", bound=Build)


@dataclass(frozen=True)
class Architecture:
    """A registered architecture. `build` makes a network with fresh weights for a problem of one of
    its kinds."""

    name: str
    kinds: tuple[Kind, ...]
    source: str  # paper, with DOI
    build: Build
    # how many rows its windows may have: 1 lead, 12 leads, 11 beats ...
    rows: tuple[int, ...] = (1,)
    mechanism: str = ""  # of a system of the zoo: what makes it that system
    recipe: Recipe = "convolutional"  # how the zoo trains it (models/training/zoo.py)


_loaded: dict[str, Architecture] = {}


def architecture(
    name: str,
    *,
    kinds: tuple[Kind, ...],
    source: str,
    rows: tuple[int, ...] = (1,),
    mechanism: str = "",
    recipe: Recipe = "convolutional",
) -> Callable[[B], B]:
    """Register the decorated builder; the arguments must be literals."""

    def register(build: B) -> B:
        _loaded[name] = Architecture(name, kinds, source, build, rows, mechanism, recipe)
        return build

    return register


def known() -> dict[str, Declared]:
    """Return all architectures by name, without importing them; `arguments` holds what the
    decorator was given."""
    return declared(__name__, __path__, "architecture")


def zoo() -> dict[str, Declared]:
    """The systems that name their mechanism."""
    return {name: one for name, one in known().items() if one.arguments.get("mechanism")}


def load(name: str) -> Architecture:
    """An architecture by name; imports torch. Raises BadInputError, listing those there are."""
    importlib.import_module(chosen(known(), name, "architecture").module)
    return _loaded[name]
