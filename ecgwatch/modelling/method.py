"""ecgwatch models method: ways of training, or of making smaller, that apply to any architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import settings
from ecgwatch.modelling import extra
from ingest.errors import BadInputError

# module of models.training, and what it does
METHODS = {
    "label_correction": ("steps.label_correction", "windows get the class they are most like"),
    "contrastive": ("steps.contrastive", "labels draw windows together before a head is trained"),
    "few_shot": ("steps.few_shot", "beats of new patients named by a few known ones"),
    "tucker": ("steps.tucker", "a student with the core of its teacher's feature map"),
    "soft_labels": ("steps.soft_labels", "a student of its teacher's probabilities"),
    "ecg_text": ("steps.ecg_text", "an encoder taught by reports, for `adapter`"),
    "adapter": ("steps.adapter", "a frozen encoder learns a task by low-rank adapters"),
    "templates": ("steps.templates", "matched filters that begin as mean beats"),
    "prune_channels": ("steps.prune_channels", "whole channels of a trained network taken out"),
    "int8": ("release.quantise", "integers, kept if quicker and as good"),
}
LIST = "; ".join(f"{name}: {what}" for name, (_, what) in METHODS.items())


def method(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help=LIST)],
    data: Annotated[Path | None, typer.Option(help="Folder of the unpacked sets.")] = None,
) -> None:
    """Train by one method: `method NAME ARCHITECTURE TASK --fold K`; `method NAME -- --help` says
    what else it takes. Needs the extra `train`."""
    if name not in METHODS:
        raise BadInputError(f"no method named {name!r}", f"There are: {', '.join(METHODS)}.")
    held, _ = settings.load({})
    module, _ = METHODS[name]
    if status := extra.start(module, context.args, data or held.data):
        raise typer.Exit(status)
