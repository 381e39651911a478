"""What is put in the place of a model: taken when it extends the one there, refused otherwise, and
the old one goes on."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ecgwatch.modelling.deploying import deploy
from ingest.clock import ManualClock
from ingest.errors import BadInputError
from models.serving.extension import check_extends
from models.serving.runtime import Model, read_spec
from stream_processor.worker.model_watch import LOOK_S, ModelWatch
from tests.made_models import SHIPPED, copied, described, extended, rewritten


class Watch:
    """A ModelWatch and its clock."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.watch = ModelWatch(folder, self.clock)

    def look(self) -> str | None:
        """The version of what is taken at the next look, once the loading has ended."""
        self.clock.advance(LOOK_S)
        found = self.watch.take()
        deadline = time.monotonic() + 60
        while self.watch._loading is not None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            found = self.watch.take()
        return found and found.spec.version


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return copied(tmp_path / "model")


def test_a_model_extends_itself_and_what_it_was_made_of(tmp_path: Path) -> None:
    old, new = Model(SHIPPED), Model(extended(tmp_path / "new"))
    check_extends(old, old)
    check_extends(old, new)
    assert list(new.tasks) == [*old.tasks, "again"]
    with pytest.raises(BadInputError, match="first tasks are not those"):
        check_extends(new, old)


def test_what_differs_is_no_extension(tmp_path: Path) -> None:
    old = Model(SHIPPED)
    other_beats = extended(tmp_path / "beats")
    shutil.copy(other_beats / "lethal.onnx", other_beats / "beats.onnx")
    described(other_beats, "beats")
    with pytest.raises(BadInputError, match=r"beats\.onnx differs"):
        check_extends(old, Model(other_beats))
    other_windows = copied(tmp_path / "windows")
    rewritten(other_windows, input=replace(old.input, clip=11.0))
    with pytest.raises(BadInputError, match="'input' in its spec"):
        check_extends(old, Model(other_windows))


def test_other_numbers_of_the_backbone_are_found_out(tmp_path: Path) -> None:
    """Though all that spec.json says is the same: one bit of its weights has changed."""
    old, found = Model(SHIPPED), []
    for at in (0.3, 0.5, 0.7):
        folder = extended(tmp_path / f"{at}")
        data = bytearray((folder / "backbone.onnx").read_bytes())
        data[round(at * len(data)) // 4 * 4 + 2] ^= 0x08
        (folder / "backbone.onnx").write_bytes(data)
        with pytest.raises(BadInputError, match="is not the file that"):
            Model(folder)
        described(folder, "backbone")
        with pytest.raises(BadInputError) as refused:
            check_extends(old, Model(folder))
        found.append(refused.value.problem)
    assert all("differ" in problem for problem in found)


def test_a_new_model_is_taken_once(tmp_path: Path, place: Path) -> None:
    watch = Watch(place)
    assert watch.look() is None
    deploy(extended(tmp_path / "new"), place)
    assert watch.watch.take() is None  # the next look is not yet due
    assert watch.look() == read_spec(place).version
    assert watch.look() is None
    deploy(extended(tmp_path / "newer", tmp_path / "new", "once-more"), place)
    assert watch.look() == read_spec(place).version
    assert list(watch.watch.model.tasks)[-2:] == ["again", "once-more"]


def test_what_is_damaged_or_missing_is_not_taken(
    tmp_path: Path, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(place)
    new = extended(tmp_path / "new")
    shutil.copy(new / "spec.json", place / "spec.json")  # half copied
    assert watch.look() is None
    assert "is not used" in caplog.text
    told = len(caplog.records)
    assert watch.look() is None
    assert len(caplog.records) == told  # once
    shutil.copy(new / "again.onnx", place / "again.onnx")  # and whole
    assert watch.look() == read_spec(new).version
    (place / "spec.json").write_text("{")
    assert watch.look() is None
    shutil.rmtree(place)
    assert watch.look() is None
    assert watch.watch.model.spec.version == read_spec(new).version


def test_a_model_that_says_other_things_is_not_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = extended(tmp_path / "model")
    watch = Watch(place)
    shutil.rmtree(place)
    copied(place)
    assert watch.look() is None
    assert "first tasks are not those" in caplog.text


def test_a_damaged_onnx_file_that_its_spec_describes_is_not_taken(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(place)
    (place / "rhythm.onnx").write_bytes(b"no network")
    described(place, "rhythm")
    assert watch.look() is None
    assert "is not used" in caplog.text


def test_there_must_be_a_model_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadInputError):
        ModelWatch(tmp_path / "nowhere", ManualClock())


def test_deploy_checks_before_it_replaces(tmp_path: Path, place: Path) -> None:
    new = extended(tmp_path / "new")
    before, now = deploy(new, place)
    assert before is not None
    assert (before.version, now.version) == (read_spec(SHIPPED).version, read_spec(new).version)
    with pytest.raises(BadInputError, match="first tasks are not those"):
        deploy(SHIPPED, place)
    assert read_spec(place).version == now.version
    assert {path.name for path in tmp_path.iterdir()} == {"model", "new"}


def test_deploy_begins_a_place_and_never_takes_the_products_own(tmp_path: Path) -> None:
    before, now = deploy(SHIPPED, tmp_path / "deep" / "model")
    assert before is None
    assert read_spec(tmp_path / "deep" / "model").version == now.version
    with pytest.raises(BadInputError, match="belongs to the product"):
        deploy(extended(tmp_path / "new"), SHIPPED)
    (tmp_path / "notes").mkdir()
    with pytest.raises(BadInputError, match="no model folder"):
        deploy(SHIPPED, tmp_path / "notes")
