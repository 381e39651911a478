"""Deploys a model folder in place of the one that processors watch, or a network of any
architecture beside the tasks of that one."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ingest.errors import BadInputError
from models.serving.extension import check_extends
from models.serving.joining import is_network, join
from models.serving.runtime import ARTIFACTS, DEPLOYED, Model, Spec


def deploy(folder: Path, place: Path) -> tuple[Spec | None, Spec]:
    """Copy a model folder and rename the copy to `place` in one step, replacing the model there.

    `folder` may also hold a single network, of any architecture: then the new model is the one at
    `place` (else the shipped one) with this network beside its tasks.

    Returns the spec of the replaced model, if any, and of the new one. Raises BadInputError if the
    model is damaged or does not extend the one there (a running processor would refuse it), and if
    `place` is the product's own folder.
    """
    if not is_network(folder):
        return _put(folder, place)
    base = place if (place / "spec.json").exists() else ARTIFACTS / DEPLOYED
    with tempfile.TemporaryDirectory() as draft:
        joined = Path(draft) / "model"
        join(base, folder, joined)
        return _put(joined, place)


def _put(folder: Path, place: Path) -> tuple[Spec | None, Spec]:
    if ARTIFACTS.resolve() in place.resolve().parents:
        remedy = "Choose a folder of your own, ECGWATCH_MODEL=var/model for example, also for the processors, and deploy again."
        raise BadInputError(f"{place} belongs to the product", remedy)
    new = Model(folder)
    old = Model(place) if (place / "spec.json").exists() else None
    if old is not None:
        check_extends(old, new)
    elif place.exists():
        raise BadInputError(f"{place} is there and is no model folder", "Choose another one.")
    place.parent.mkdir(parents=True, exist_ok=True)
    draft, gone = (
        place.with_name(f".{place.name}.{what}.{os.getpid()}") for what in ("new", "old")
    )
    try:
        shutil.copytree(folder, draft)
        if old is not None:
            place.rename(gone)
        draft.rename(place)
    except OSError as error:
        if gone.exists() and not place.exists():
            gone.rename(place)
        raise BadInputError(
            f"{place}: {error}", "Is the disk full, or the folder read-only?"
        ) from error
    finally:
        for rest in (draft, gone):
            shutil.rmtree(rest, ignore_errors=True)
    return (old.spec if old else None), new.spec
