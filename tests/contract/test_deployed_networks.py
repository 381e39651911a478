"""A network of any architecture runs beside the model's tasks: it comes, changes and goes while
signals run, and nothing but its findings changes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ecgwatch.modelling.deploying import deploy
from ingest.clock import ManualClock
from ingest.errors import BadInputError
from ingest.messages import SampleChunk
from models.serving.extension import check_extends
from models.serving.joining import join
from models.serving.runtime import Model, Network
from models.signal.windows import cut
from stream_processor.pipeline.ward import Ward
from tests.contract.test_added_tasks import run, shipped, sorted_out, together, undisturbed
from tests.contract.test_ward import PATIENTS, START_NS, chunks
from tests.made_models import SHIPPED, network, rewritten

S = 10**9
NAME = "made-up-rhythm-10s"


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("networks")
    join(SHIPPED, network(folder / "network"), folder / "model")
    return Model(folder / "model")


@pytest.mark.parametrize("at", [0, 37])
def test_it_comes_under_a_running_ward_and_goes(more: Model, at: int) -> None:
    check_extends(shipped(), more)
    check_extends(more, shipped())
    ward, rounds = Ward(shipped(), ManualClock()), together()
    events = run(ward, rounds[:at])
    ward.use(more)
    events += run(ward, rounds[at:90])
    ward.use(shipped())
    rest, findings = sorted_out([*events, *run(ward, rounds[90:])])
    assert rest == undisturbed()
    assert {(f.patient_id, f.task, f.model) for f in findings} == {
        (patient, NAME, more.spec.version) for patient in PATIENTS
    }
    for finding in findings:
        assert START_NS + max(0, at / 2 - 1) * S <= finding.start_ns < finding.time_ns
        assert finding.time_ns <= START_NS + 46 * S
        assert finding.label in "abcde"


def test_its_answers_are_those_of_the_network_on_the_same_windows(
    more: Model, tmp_path: Path
) -> None:
    alone = Network(network(tmp_path / "network"))
    x = np.random.default_rng(1).standard_normal(3000).astype(np.float32)
    windows = cut(x, np.array([1000, 2000]), alone.spec)
    logits = alone.run(windows).astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert np.array_equal(more.answer(NAME, windows), odds / odds.sum(axis=1, keepdims=True))


def test_a_snapshot_with_it_is_restored_without_it_and_back(more: Model) -> None:
    rounds, whole = together(), Ward(more, ManualClock())
    wanted = run(whole, rounds)
    first, second = Ward(more, ManualClock()), Ward(more, ManualClock())
    events = run(first, rounds[:61])
    bare = Ward(shipped(), ManualClock())
    for patient in PATIENTS:
        second.restore(patient, first.snapshot(patient))
        bare.restore(patient, first.snapshot(patient))
    assert [*events, *run(second, rounds[61:])] == wanted
    assert sorted_out([*events, *run(bare, rounds[61:])])[0] == undisturbed()


def test_after_a_gap_its_windows_begin_anew(more: Model) -> None:
    def lost(chunk: SampleChunk) -> bool:
        return START_NS + 30 * S <= chunk.t0_ns < START_NS + 35 * S

    cut_out = [chunk for chunk in chunks("vt", 125) if not lost(chunk)]
    findings = sorted_out(Ward(more, ManualClock()).push(cut_out))[1]
    assert any(f.time_ns <= START_NS + 30 * S for f in findings)
    assert not any(f.start_ns < START_NS + 30 * S < f.time_ns for f in findings)


def test_deploy_puts_it_beside_the_tasks_and_the_model_alone_takes_it_out(tmp_path: Path) -> None:
    place = tmp_path / "model"
    before, now = deploy(network(tmp_path / "network"), place)
    assert before is None
    assert [n.name for n in now.networks] == [NAME]
    assert Model(place).spec.version == now.version != shipped().spec.version
    assert [task.name for task in now.tasks] == [task.name for task in shipped().spec.tasks]
    again, same = deploy(tmp_path / "network", place)
    assert again is not None
    assert (again.version, len(same.networks)) == (same.version, 1)
    assert deploy(SHIPPED, place)[1].networks == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"kind": "samples"}, "answers per samples"),
        ({"rows": 12}, "12 rows"),
        ({"task": "diagnosis_lead_i"}, "several labels"),
    ],
)
def test_what_cannot_answer_windows_of_one_lead_is_refused(
    fields: dict[str, object], problem: str, tmp_path: Path
) -> None:
    folder = network(tmp_path / "network")
    meta = json.loads((folder / "spec.json").read_text())
    (folder / "spec.json").write_text(json.dumps(meta | fields))
    with pytest.raises(BadInputError, match=problem):
        deploy(folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_damaged_network_is_not_deployed(tmp_path: Path) -> None:
    folder = network(tmp_path / "network")
    (folder / "model.onnx").write_bytes(b"no network")
    with pytest.raises(BadInputError, match="is not the file"):
        deploy(folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_one_that_lost_a_task_is_still_refused(more: Model, tmp_path: Path) -> None:
    join(more.folder, network(tmp_path / "network"), tmp_path / "less")
    rewritten(tmp_path / "less", tasks=more.spec.tasks[:-1])
    with pytest.raises(BadInputError, match="first tasks"):
        check_extends(more, Model(tmp_path / "less"))
