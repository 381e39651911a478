"""A task is learned in the field, by a few steps: everything but how well it is learned."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")

from ingest.errors import BadInputError
from models.architectures.ecgcl import Backbone
from models.serving.extension import check_extends, random_windows
from models.serving.runtime import Model, read_spec
from models.training.release import add_task as module
from models.training.release.add_task import add_task
from models.training.tasks import added
from tests.made_models import SHIPPED
from tests.made_records import labelled


@pytest.fixture(scope="module")
def base() -> Path:
    """The shipped model, whose weights are beside it."""
    torch.set_num_threads(1)
    return SHIPPED


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(tmp_path_factory.mktemp("records") / "folder")


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(added, "STEPS", 2)
    monkeypatch.setattr(added, "BATCH", 4)


def learn(name: str, records: Path, base: Path, out: Path, said: list[str]) -> Model:
    spec, figures = add_task(name, records, base, out, 5, 1, Path("no noise"), said.append)
    assert sum(figures.records) == 4
    assert figures.classes == ["fibrillation", "normal"]
    assert spec == read_spec(out)
    return Model(out)


def test_two_tasks_one_after_the_other_leave_the_older_ones_alone(
    base: Path, records: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    old = Model(base)
    first = learn("flutter", records, base, tmp_path / "first", said)
    assert "made-up noise" in " ".join(said)
    assert said[-1] == "flutter: all older outputs are bit-identical"
    second = learn("strain", records, tmp_path / "first", tmp_path / "second", said)
    check_extends(old, first)
    check_extends(first, second)
    at = max(task.channels[1] for task in old.spec.tasks)
    assert second.spec.tasks[: len(old.tasks)] == old.spec.tasks
    assert [
        (t.name, t.channels, t.seconds, t.least, t.hop) for t in second.spec.tasks[len(old.tasks) :]
    ] == [("flutter", (at, at + 24), 5, 5, 1), ("strain", (at + 24, at + 48), 5, 5, 1)]
    assert len({model.spec.version for model in (old, first, second)}) == 3
    windows = random_windows(old.input.length)[:5]  # a second each
    steps = second.segment(windows)[1]
    assert steps[:, :, : at + 24].tobytes() == first.segment(windows)[1].tobytes()
    context = steps[:, :, at + 24 :].reshape(1, 20, 24)
    assert second.decode("strain", context, np.ones((1, 20), np.float32)).sum() == pytest.approx(1)
    card = (tmp_path / "second" / "card.md").read_text()
    assert card.index("Added task: flutter") < card.index("Added task: strain")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


def test_where_an_older_output_would_change_nothing_is_written(
    base: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(*given: object) -> Backbone:
        net = made(*given)
        with torch.no_grad():
            net.segmenter.trunk.stem.conv.weight[0, 0, 0, 0] += 1e-3
        return net

    made = module._backbone
    monkeypatch.setattr(module, "_backbone", changed)
    with pytest.raises(BadInputError, match=r"differs? from"):
        add_task("flutter", records, base, tmp_path / "out", 5, 1, Path("no noise"), lambda _: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "seconds", "problem"),
    [
        ("Flutter", 5, "cannot be a task's name"),
        ("../x", 5, "cannot be"),
        ("rhythm", 5, "already"),
        ("beats", 5, "cannot be"),
        ("x", 1000, "context"),
    ],
)
def test_what_cannot_be_learned(
    base: Path, records: Path, tmp_path: Path, name: str, seconds: int, problem: str
) -> None:
    with pytest.raises(BadInputError, match=problem):
        add_task(
            name, records, base, tmp_path / "out", seconds, 1, Path("no noise"), lambda _: None
        )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_not_overwritten(
    base: Path, records: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInputError, match="is there already"):
        add_task("flutter", records, base, tmp_path, 5, 1, Path("no noise"), lambda _: None)


def test_a_model_without_its_weights_cannot_learn(
    base: Path, records: Path, tmp_path: Path
) -> None:
    bare = shutil.copytree(base, tmp_path / "bare")
    (bare / "weights.pt").write_bytes(b"none")
    with pytest.raises(BadInputError, match=r"weights\.pt"):
        add_task("flutter", records, bare, tmp_path / "out", 5, 1, Path("no noise"), lambda _: None)
