"""A model that has learned a task more takes the place of the old one in a ward that runs: nothing
else changes, nothing is lost."""

from __future__ import annotations

import functools
from itertools import pairwise
from pathlib import Path

import pytest

from ingest.clock import ManualClock
from ingest.messages import Event, Finding, SampleChunk
from models.serving.runtime import Model
from stream_processor.pipeline.ward import Ward
from stream_processor.sinks.base import identity
from tests.contract.test_ward import PATIENTS, START_NS, chunks
from tests.made_models import SHIPPED, described, extended

S = 10**9


@functools.cache
def shipped() -> Model:
    return Model(SHIPPED)


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(extended(tmp_path_factory.mktemp("models") / "more"))


def together() -> list[list[SampleChunk]]:
    """Half-second chunks of all patients, in rounds."""
    each = [chunks(patient, round(fs / 2)) for patient, fs in PATIENTS.items()]
    return [[one[i] for one in each if i < len(one)] for i in range(max(map(len, each)))]


def sorted_out(events: list[Event]) -> tuple[dict[object, Event], list[Finding]]:
    rest = {(type(e).__name__, *identity(e)): e for e in events if not isinstance(e, Finding)}
    return rest, [e for e in events if isinstance(e, Finding)]


def run(ward: Ward, rounds: list[list[SampleChunk]]) -> list[Event]:
    return [event for batch in rounds for event in ward.push(batch)]


@functools.cache
def undisturbed() -> dict[object, Event]:
    return sorted_out(run(Ward(shipped(), ManualClock()), together()))[0]


@pytest.mark.parametrize("at", [0, 1, 37, 80])
def test_a_swap_changes_nothing_but_findings(more: Model, at: int) -> None:
    ward, rounds = Ward(shipped(), ManualClock()), together()
    events = run(ward, rounds[:at])
    ward.use(more)
    rest, findings = sorted_out([*events, *run(ward, rounds[at:])])
    assert rest == undisturbed()
    assert {f.patient_id for f in findings} == set(PATIENTS)
    for finding in findings:
        assert finding.start_ns >= START_NS + max(0, at / 2 - 2) * S
        assert finding.label.startswith("again ")
        assert (finding.task, finding.model) == ("again", more.spec.version)
    for patient in PATIENTS:
        spans = [(f.start_ns, f.time_ns, f.label) for f in findings if f.patient_id == patient]
        assert spans[-1][1] == START_NS + 60 * S  # told to the end
        for before, after in pairwise(spans):
            assert after[0] == before[0] if after[2] == before[2] else after[0] <= after[1]


def test_a_task_from_the_start_says_what_it_says_after_a_swap_at_the_start(more: Model) -> None:
    first = Ward(shipped(), ManualClock())
    first.use(more)
    assert run(first, together()) == run(Ward(more, ManualClock()), together())


def test_a_snapshot_of_the_old_model_is_restored_into_the_new_one_and_back(more: Model) -> None:
    rounds = together()
    before = Ward(shipped(), ManualClock())
    events = run(before, rounds[:50])
    between = Ward(more, ManualClock())
    for patient in PATIENTS:
        between.restore(patient, before.snapshot(patient))
    events += run(between, rounds[50:90])
    after = Ward(shipped(), ManualClock())
    for patient in PATIENTS:
        after.restore(patient, between.snapshot(patient))
    rest, findings = sorted_out([*events, *run(after, rounds[90:])])
    assert rest == undisturbed()
    assert findings
    assert all(START_NS + 23 * S <= f.start_ns < f.time_ns <= START_NS + 46 * S for f in findings)


def test_a_restored_added_task_goes_on_where_it_was(more: Model) -> None:
    rounds, whole = together(), Ward(more, ManualClock())
    wanted = run(whole, rounds)
    first, second = Ward(more, ManualClock()), Ward(more, ManualClock())
    events = run(first, rounds[:61])
    for patient in PATIENTS:
        second.restore(patient, first.snapshot(patient))
    assert [e for e in [*events, *run(second, rounds[61:])] if isinstance(e, Finding)] == [
        e for e in wanted if isinstance(e, Finding)
    ]


def test_a_task_learned_anew_under_the_same_name_starts_with_no_past(
    more: Model, tmp_path: Path
) -> None:
    folder = extended(tmp_path / "anew")
    with (folder / "again.onnx").open("ab") as file:
        file.write(b"\x32\x01x")  # another doc string: the same network, and not the same file
    described(folder, "again")
    first, second = Ward(more, ManualClock()), Ward(Model(folder), ManualClock())
    run(first, together()[:60])
    for patient in PATIENTS:
        second.restore(patient, first.snapshot(patient))
    findings = sorted_out(run(second, together()[60:]))[1]
    assert findings
    assert all(f.start_ns >= START_NS + 28 * S for f in findings)


def test_after_a_gap_a_finding_begins_anew(more: Model) -> None:
    cut = [
        chunk
        for chunk in chunks("vt", 125)
        if not START_NS + 30 * S <= chunk.t0_ns < START_NS + 35 * S
    ]
    findings = sorted_out(Ward(more, ManualClock()).push(cut))[1]
    assert any(f.time_ns <= START_NS + 30 * S for f in findings)
    assert not any(f.start_ns < START_NS + 30 * S < f.time_ns for f in findings)
