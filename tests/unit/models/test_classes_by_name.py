"""Classes are looked up by name: a network may have them in another order, but no others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ecgwatch.annotate import annotate
from ingest.clock import ManualClock
from ingest.errors import BadInputError
from ingest.simulator.generate import write_wfdb
from ingest.simulator.scenario import load
from ingest.sources.open import open_source
from models.serving.runtime import ARTIFACTS, CLASSES, DEPLOYED, Model
from stream_processor.pipeline.ward import Ward


class Permuted:
    """A network whose classes come in another order."""

    def __init__(self, graph: Any, order: list[int]) -> None:
        self._graph, self._order = graph, order

    def run(self, *inputs: Any) -> list[Any]:
        return [self._graph.run(*inputs)[0][:, self._order]]


def folder_with(tmp_path: Path, task: str, classes: list[str]) -> Path:
    folder = shutil.copytree(ARTIFACTS / DEPLOYED, tmp_path / "m", ignore=lambda *_: {"folds"})
    spec = json.loads((folder / "spec.json").read_text())
    for found in spec["tasks"]:
        if found["name"] == task:
            found["classes"] = classes
    if task == "beats":
        spec["beat_lean"] = [spec["beat_lean"]["NSVFQ".find(name)] for name in classes]
        spec["beat_classes"] = classes
    (folder / "spec.json").write_text(json.dumps(spec))
    return folder


@pytest.mark.parametrize("task", CLASSES)
def test_another_order_gives_the_same_events(tmp_path: Path, task: str) -> None:
    order = [2, 0, 3, 1] if task != "beats" else [3, 1, 4, 0, 2]
    model = Model(folder_with(tmp_path, task, [CLASSES[task][i] for i in order]))
    if task == "beats":
        model._beats = Permuted(model._beats, order)  # type: ignore[assignment]
    else:
        model._decoders[task] = Permuted(model._decoders[task], order)  # type: ignore[assignment]
    source = open_source(str(write_wfdb(load("vf"), tmp_path, "vf", 120.0)), data=tmp_path)
    mine, theirs = (
        annotate(source, Ward(m, ManualClock())) for m in (model, Model(ARTIFACTS / DEPLOYED))
    )
    assert mine.steps == theirs.steps
    assert any(alarm.kind == "ventricular_fibrillation" for alarm in mine.alarms)
    assert (mine.beats, mine.rhythm, mine.vitals) == (theirs.beats, theirs.rhythm, theirs.vitals)


@pytest.mark.parametrize("task", CLASSES)
def test_other_classes_are_refused_at_load(tmp_path: Path, task: str) -> None:
    with pytest.raises(BadInputError, match="torsade"):
        Model(folder_with(tmp_path, task, [*CLASSES[task][:-1], "torsade"]))
