"""Folders that a training reads and writes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ingest.errors import BadInputError
from models.serving.runtime import DEPLOYED
from models.training.recipe import label


class Place(NamedTuple):
    """Where the data sets are, and where checkpoints, caches and results go."""

    data: Path  # the unpacked sets
    runs: Path

    @property
    def cache(self) -> Path:
        """Folder of data that is kept between trainings."""
        return self.runs / "cache"

    @property
    def shipped(self) -> Path:
        """Checkpoints and results of the shipped network's tasks."""
        return self.runs / DEPLOYED

    @property
    def cinc2017(self) -> Path:
        """The conditioned records of CinC 2017."""
        return self.cache / "cinc2017.npz"

    def trunk(self, fold: int | None) -> Path:
        """Checkpoint of the first task, whose trunk the later ones read. Raises BadInputError if
        it is missing."""
        path = self.shipped / f"qrs-{label(fold)}.pt"
        if not path.exists():
            chosen = "" if fold is None else f" --fold {fold}"
            remedy = f"First: ecgwatch train qrs{chosen} --runs {self.runs}"
            raise BadInputError(f"{path}, the network of qrs, is missing", remedy)
        return path
