"""Rhythm (T3) by the shipped network: a column with its sequence decoder, and a decoder of the
beats that the first task finds; the mean of both decoders' logits answers.

Fold k reads the trunk that left out fold k of MITDB and leaves out test fold k of five of CinC
2017. The final network reads the trunk of all patients and leaves out test fold 0, on which it is
judged too; what ships is made from it after that: the last cycle and the decoder of beats are
trained once more with all records, with the temperature as it was.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property

import numpy as np

from models.training.data import cinc2017
from models.training.data.cinc2017 import Recordings
from models.training.data.rhythm_beats import FoundBeats, find_beats
from models.training.data.rhythm_windows import load_noise
from models.training.place import Place
from models.training.recipe import label
from models.training.release.folder import export_when_complete
from models.training.tasks.base import Figures
from models.training.tasks.beat_class.beats import detector
from models.training.tasks.qrs.train import trained
from models.training.tasks.rhythm.train import (
    Data,
    LearnedRhythm,
    figures,
    finish,
    learn,
    save,
    split,
)
from models.training.tasks.rhythm.windowed import WindowedRhythm

ALL = "all"  # name of what is trained with all records


class ShippedRhythm:
    """A Training (models/training/recipe.py)."""

    name = "ecgcl rhythm"

    def __init__(self, place: Place, seed: int) -> None:
        self._place, self._seed = place, seed

    @cached_property
    def _recordings(self) -> Recordings:
        return cinc2017.load(self._place.data / "cinc2017", self._place.cinc2017)

    def _data(self, fold: int | None) -> Data:
        noises = load_noise(self._place.data / "nstdb")
        return Data(self._recordings, self._beats(fold), noises, self._seed)

    def _beats(self, fold: int | None) -> FoundBeats:
        """The beats that the first task finds in all records."""
        checkpoint = self._place.trunk(fold)
        made_by = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
        kept = self._place.cache / f"cinc2017-beats-{label(fold)}.npz"
        return find_beats(self._recordings, detector(checkpoint), made_by, kept)

    def learn(self, fold: int | None) -> LearnedRhythm:
        """See Training."""
        parts = split(self._recordings.labels, fold or 0)
        trunk = trained(self._place.trunk(fold)).trunk
        return learn(label(fold), trunk, self._data(fold), parts, self._place.shipped)

    def judge(self, learned: LearnedRhythm, fold: int | None) -> Figures:
        """See Training; every figure stays in rhythm-FOLD.json."""
        test = split(self._recordings.labels, fold or 0).test
        results = figures(learned.views(self._data(fold)), self._recordings, test)
        path = self._place.shipped / f"rhythm-{label(fold)}.json"
        path.write_text(json.dumps(results | {"temperature": learned.divisor}, indent=1))
        return {
            WindowedRhythm.metric: results["records"],
            "N A O mean F1, 10 s": results["10 s"],
            **{f"F1 {c}, records": results[f"F1 {c}"] for c in "NAO~"},
        }

    def export(self, learned: LearnedRhythm, fold: int | None, figures: Figures) -> str:
        """See Training."""
        runs = self._place.shipped
        save(learned, runs / f"rhythm-{label(fold)}-done.pt")
        if fold is None:
            everything = np.arange(len(self._recordings.labels))
            learned.net.load_state_dict(learned.begun)
            beats = finish(learned.net, self._data(fold), everything, ALL, runs)
            save(learned._replace(beats=beats), runs / f"rhythm-{ALL}-done.pt")
        return export_when_complete(self._place, fold)
