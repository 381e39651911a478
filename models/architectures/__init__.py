"""The registry of architectures: every file here that decorates a builder is one, found by its
name.

    @architecture("unet", kinds=("samples",), source="Ronneberger et al. 2015, DOI 10.1007/978-3-319-24574-4_28")
    def build(problem: Problem) -> nn.Module: ...

This module does not need torch: what the files declare is read without importing them
(models/registry.py); `load` imports one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from models.registry import Declared, chosen, declared
from models.signal.windows import InputSpec

Kind = Literal["samples", "classes"]


@dataclass(frozen=True)
class Problem:
    """What a task asks of a network: scaled windows (B, 1, T) in; logits per sample (B, K, T), or
    per window (B, K), out."""

    kind: Kind
    outputs: tuple[str, ...]  # K names: channels of a mask, or classes
    spec: InputSpec  # T = spec.length samples at spec.fs_hz


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


_loaded: dict[str, Architecture] = {}


def architecture(name: str, *, kinds: tuple[Kind, ...], source: str) -> Callable[[B], B]:
    """Register the decorated builder; the arguments must be literals."""

    def register(build: B) -> B:
        _loaded[name] = Architecture(name, kinds, source, build)
        return build

    return register


def known() -> dict[str, Declared]:
    """What there is, by name, without importing any of it; `arguments` holds kinds and source."""
    return declared(__name__, __path__, "architecture")


def load(name: str) -> Architecture:
    """An architecture by name; imports torch. Raises BadInputError, listing those there are."""
    importlib.import_module(chosen(known(), name, "architecture").module)
    return _loaded[name]
