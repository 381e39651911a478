"""The laws of design.md section 3, for every stage: a list of stages times a list of checks. A new
stage is one entry in CASES.

The input of each stage is what the stages before it make of three simulated patients of different
rates and rhythms.
"""

from __future__ import annotations

import copy
import functools
import itertools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from models.serving import runtime
from models.serving.joining import join
from models.signal.conditioning import BLOCK, FS_HZ, Conditioner, Raw
from models.signal.stage import Slab
from models.signal.windows import Windower
from stream_processor.pipeline.alarms.engine import AlarmEngine
from stream_processor.pipeline.stages.beat_context import RhythmInBeats
from stream_processor.pipeline.stages.detector import BeatDetector
from stream_processor.pipeline.stages.episodes import EpisodeJoiner
from stream_processor.pipeline.stages.labeller import BeatLabeller
from stream_processor.pipeline.stages.rhythm import RhythmTracker
from stream_processor.pipeline.stages.rr_only import RrMeter, RrRun, RrSecond
from stream_processor.pipeline.stages.signal_facts import SignalFacts
from stream_processor.pipeline.stages.tasks.added import AddedTasks
from stream_processor.pipeline.stages.tasks.findings import FindingReporter, TaskLabel
from stream_processor.pipeline.stages.tasks.networks import NetworkTasks
from stream_processor.pipeline.stages.tasks.sequences import SequenceTask
from stream_processor.pipeline.stages.variability import Variability
from stream_processor.pipeline.stages.vitals import VitalsMeter
from stream_processor.pipeline.stages.waveform_recorder import (
    AlarmStrip,
    SamplePiece,
    WaveformRecorder,
)
from tests.gateway.pulses import bound, notifications, sent, sinus
from tests.made_models import SHIPPED, network

PATIENTS = ("pvcs", "asystole", "afib")
RATES = {"pvcs": 250.0, "asystole": 360.0, "afib": 128.0}
SECONDS = 45.0


@functools.cache
def model() -> runtime.Model:
    return runtime.load()


@functools.cache
def with_network() -> runtime.Model:
    """The shipped model with a network of windows of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        join(SHIPPED, network(place / "network"), place / "model")
        return runtime.Model(place / "model")


@dataclass(frozen=True)
class Case:
    """A stage under test.

    `atoms`: a patient's input as the smallest pieces it comes in. `batch`: pieces of several rows,
    in order, as one push. `rebind`: a piece for another row. `outputs`: what a push gave, as (row,
    comparable) pairs.
    """

    name: str
    make: Callable[[], Any]
    atoms: Callable[[str], list[Any]]
    rebind: Callable[[Any, int], Any]
    batch: Callable[[list[Any]], Any]
    outputs: Callable[[Any], list[tuple[int, Any]]]
    sizes: tuple[int, ...] = (1, 7, 360)
    prepare: Callable[[Any, int, str], None] = lambda stage, row, patient: None


def by_row(items: list[Any]) -> list[tuple[int, Any]]:
    return [
        (item.second.row if hasattr(item, "second") else item.row, _without_row(item))
        for item in items
    ]


def _without_row(item: Any) -> Any:
    if hasattr(item, "second"):
        return item._replace(second=item.second._replace(row=0))
    return item._replace(row=0)


def _move(item: Any, row: int) -> Any:
    return (
        item._replace(second=item.second._replace(row=row))
        if hasattr(item, "second")
        else item._replace(row=row)
    )


# --- each stage's input, from the stages before it
# -------------------------------------------------------------------------------------


@functools.cache
def counts(patient: str) -> np.ndarray:
    scenario = load(patient).model_copy(update={"fs_hz": RATES[patient]})
    return np.concatenate([b.counts for b in simulate(scenario, duration_s=SECONDS)])


@functools.cache
def slabs(patient: str) -> list[Slab]:
    stage = Conditioner()
    stage.set_gain(row := stage.open(patient, RATES[patient]), 200.0)
    return stage.push([Raw(row, counts(patient))])


@functools.cache
def windows(patient: str) -> list[Any]:
    stage = Windower(model().input)
    stage.open(patient, RATES[patient])
    return stage.push(slabs(patient))


@functools.cache
def seconds(patient: str) -> list[Any]:
    stage = BeatDetector(model())
    stage.open(patient, RATES[patient])
    return stage.push(windows(patient))


@functools.cache
def answers(patient: str) -> list[Any]:
    stage = SequenceTask(model(), "rhythm")
    stage.open(patient, RATES[patient])
    return stage.push(seconds(patient))


@functools.cache
def labelled(patient: str) -> list[Any]:
    stage = BeatLabeller(model())
    stage.open(patient, RATES[patient])
    return stage.push(seconds(patient))


@functools.cache
def beats(patient: str) -> list[Any]:
    stage = SignalFacts()
    stage.open(patient, RATES[patient])
    return stage.push(labelled(patient))


def tracker_atoms(patient: str) -> list[Any]:
    """Beats and rhythm answers as the stream brings them: by how far the signal had come, answers
    first."""
    return _in_turn([*answers(patient), *beats(patient)])


def in_beats_atoms(patient: str) -> list[Any]:
    """The same before the signal's facts are known."""
    return _in_turn([*answers(patient), *labelled(patient)])


def _in_turn(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda x: x.second.needed + 0.5 if hasattr(x, "second") else x.needed)


def tracker_batch(items: list[Any]) -> Any:
    return [i for i in items if hasattr(i, "second")], [
        i for i in items if not hasattr(i, "second")
    ]


@functools.cache
def spans(patient: str) -> list[Any]:
    stage = RhythmTracker()
    stage.open(patient, RATES[patient])
    return stage.push(tracker_batch(tracker_atoms(patient)))


def alarm_atoms(patient: str) -> list[Any]:
    stage = VitalsMeter()
    stage.open(patient, RATES[patient])
    return list(zip(beats(patient), stage.push(beats(patient)), spans(patient), strict=True))


def rr_atoms(patient: str) -> list[RrRun]:
    """Runs of 0.4 s of a heart rate strap, the last of them without contact."""
    rr_s = sinus(SECONDS, 60 + 5 * len(patient), seed=len(patient))
    whole = np.concatenate([c.counts() for c in bound(sent(notifications(rr_s)))])
    return [
        RrRun(0, at, whole[at : at + 40], at > 0.8 * len(whole)) for at in range(0, len(whole), 40)
    ]


def rr_by_row(seconds: list[RrSecond]) -> list[tuple[int, Any]]:
    return [
        (
            one.row,
            RrSecond(
                0, _without_row(one.beats), _without_row(one.signs),
                [_without_row(span) for span in one.spans], one.broken,
            ),
        )
        for one in seconds
    ]  # fmt: skip


def variability_atoms(patient: str) -> list[Any]:
    return [(signs, item, decided) for item, signs, decided in alarm_atoms(patient)]


def sayings(patient: str) -> list[TaskLabel]:
    """Answers every 5 s of two tasks, by turns; the label of one changes."""
    return [
        TaskLabel(
            0,
            task,
            max(0, end - 30 * FS_HZ),
            end,
            "ab"[end * len(patient) // 40_000 % 2] if task == "x" else "c",
            end % 7 / 7,
        )
        for end in range(10 * FS_HZ, 200 * FS_HZ, 5 * FS_HZ)
        for task in ("x", "y")
    ]


def single_blocks(patient: str) -> list[Slab]:
    (slab,) = slabs(patient)
    n = slab.values.shape[1] // BLOCK
    return [
        Slab(
            slab.rows,
            slab.start + i * BLOCK,
            slab.values[:, i * BLOCK : (i + 1) * BLOCK],
            slab.flags[:, i : i + 1],
            slab.base[:, i : i + 1],
        )
        for i in range(n)
    ]


def one_slab_per_row(items: list[Slab]) -> list[Slab]:
    joined = []
    for _, same in itertools.groupby(
        sorted(items, key=lambda s: int(s.rows[0])), key=lambda s: int(s.rows[0])
    ):
        parts = list(same)
        joined.append(
            Slab(
                parts[0].rows,
                parts[0].start,
                *(np.concatenate([p[i] for p in parts], 1) for i in (2, 3, 4)),
            )
        )
    return joined


def samples_of(patient: str) -> list[Raw]:
    return [Raw(0, counts(patient)[i : i + 1]) for i in range(12 * int(RATES[patient]))]


def one_raw_per_row(items: list[Raw]) -> list[Raw]:
    rows = dict.fromkeys(item.row for item in items)
    return [Raw(row, np.concatenate([i.counts for i in items if i.row == row])) for row in rows]


def pieces_of(patient: str) -> list[SamplePiece]:
    """25 s, a sample a piece, with a second lost across the end of a block."""
    fs = int(RATES[patient])
    return [
        SamplePiece(0, i, counts(patient)[i : i + 1])
        for i in range(25 * fs)
        if not 9.5 * fs <= i < 10.5 * fs
    ]


def one_piece_per_run(items: list[SamplePiece]) -> list[SamplePiece]:
    runs: list[list[SamplePiece]] = []
    for row in dict.fromkeys(item.row for item in items):
        for piece in (item for item in items if item.row == row):
            if runs and runs[-1][-1][:2] == (row, piece.first_sample - 1):
                runs[-1].append(piece)
            else:
                runs.append([piece])
    return [
        SamplePiece(run[0].row, run[0].first_sample, np.concatenate([p.counts for p in run]))
        for run in runs
    ]


def want_strips(stage: WaveformRecorder, row: int, patient: str) -> None:
    """Some within reach, some of which the signal ends too early."""
    for onset_s in (0, 3, 9, 14.9, 24):
        onset = int(onset_s * RATES[patient])
        assert stage.request_strip(row, f"{patient}:pause:{onset}", "pause", onset, onset) == []


def taped(out: list[Any]) -> list[tuple[int, Any]]:
    return [
        (
            i.row,
            i._replace(row=0, block=i.block._replace(row=0))
            if isinstance(i, AlarmStrip)
            else i._replace(row=0),
        )
        for i in out
    ]


def slab_values(out: list[Slab]) -> list[tuple[int, Any]]:
    return [
        (int(row), (int(start) + j * BLOCK, value.tobytes(), int(flag), float(mean)))
        for slab in out
        for row, start, values, flags, base in zip(*slab, strict=True)
        for j, (value, flag, mean) in enumerate(
            zip(values.reshape(-1, BLOCK), flags, base, strict=True)
        )
    ]


def window_values(out: list[Any]) -> list[tuple[int, Any]]:
    return [
        (
            int(w.rows[i]),
            (
                int(w.k[i]),
                int(w.end[i]),
                w.x[i].tobytes(),
                float(w.mv[i]),
                float(w.still_s[i]),
                bool(w.lead_off[i]),
                float(w.swing[i]),
            ),
        )
        for w in out
        for i in range(len(w.rows))
    ]


def move_rows(item: Any, row: int) -> Any:
    return item._replace(rows=np.full_like(item.rows, row))


def flat(groups: list[list[Any]]) -> list[Any]:
    return [item for group in groups for item in group]


CASES = [
    Case(
        "conditioner",
        Conditioner,
        samples_of,
        lambda i, row: i._replace(row=row),
        one_raw_per_row,
        slab_values,
        prepare=lambda stage, row, patient: stage.set_gain(row, 200.0),
    ),
    Case(
        "tape",
        WaveformRecorder,
        pieces_of,
        lambda i, row: i._replace(row=row),
        one_piece_per_run,
        taped,
        prepare=want_strips,
    ),
    Case(
        "windower",
        lambda: Windower(model().input),
        single_blocks,
        move_rows,
        one_slab_per_row,
        window_values,
    ),
    Case("detector", lambda: BeatDetector(model()), windows, move_rows, list, by_row, (1, 7)),
    Case(
        "lethal rhythm",
        lambda: SequenceTask(model(), "lethal"),
        seconds,
        _move,
        list,
        by_row,
        (1, 7),
    ),
    Case("rhythm", lambda: SequenceTask(model(), "rhythm"), seconds, _move, list, by_row, (1, 7)),
    # as if rhythm had been added
    Case(
        "added tasks",
        lambda: AddedTasks(model(), ("lethal",)),
        seconds,
        _move,
        list,
        by_row,
        (1, 7),
    ),
    Case(
        "networks",
        lambda: NetworkTasks(with_network()),
        single_blocks,
        move_rows,
        one_slab_per_row,
        by_row,
    ),
    Case("labeller", lambda: BeatLabeller(model()), seconds, _move, list, by_row, (1, 7)),
    Case("rhythm in beats", RhythmInBeats, in_beats_atoms, _move, tracker_batch, by_row, (1, 7)),
    Case("signal facts", SignalFacts, labelled, _move, list, by_row, (1, 7)),
    Case("vitals", VitalsMeter, beats, _move, list, by_row, (1, 7)),
    Case(
        "rhythm tracker",
        RhythmTracker,
        tracker_atoms,
        _move,
        tracker_batch,
        lambda out: by_row(flat(out)),
        (1, 7),
    ),
    Case("RR only", RrMeter, rr_atoms, _move, list, rr_by_row, (1, 7)),
    Case("episodes", EpisodeJoiner, lambda p: flat(spans(p)), _move, list, by_row, (1, 7)),
    Case(
        "variability",
        Variability,
        variability_atoms,
        lambda i, row: (
            i[0]._replace(row=row),
            _move(i[1], row),
            [s._replace(row=row) for s in i[2]],
        ),
        lambda items: tuple(map(list, zip(*items, strict=True))),
        by_row,
        (1, 7),
    ),
    Case("findings", FindingReporter, sayings, _move, list, by_row, (1, 7)),
    Case(
        "alarms",
        AlarmEngine,
        alarm_atoms,
        lambda i, row: (
            _move(i[0], row),
            i[1]._replace(row=row),
            [s._replace(row=row) for s in i[2]],
        ),
        lambda items: tuple(map(list, zip(*items, strict=True))),
        by_row,
        (1, 7),
    ),
]
every_stage = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


# --- the checks
# ------------------------------------------------------------------------------------------------------------------------


def opened(case: Case, stage: Any, patient: str) -> int:
    row = stage.open(patient, RATES[patient])
    case.prepare(stage, row, patient)
    return row


def run(case: Case, stage: Any, row: int, atoms: list[Any], size: int) -> list[Any]:
    found: list[Any] = []
    for i in range(0, len(atoms), size):
        out = stage.push(case.batch([case.rebind(a, row) for a in atoms[i : i + size]]))
        found += [repr(value) for r, value in case.outputs(out) if r == row]
    return found


def alone(case: Case, patient: str) -> list[Any]:
    stage = case.make()
    return run(case, stage, opened(case, stage, patient), case.atoms(patient), 10**9)


@every_stage
def test_gives_something(case: Case) -> None:
    assert any(alone(case, patient) for patient in PATIENTS)


@every_stage
@pytest.mark.parametrize("patient", PATIENTS)
def test_split_invariance(case: Case, patient: str) -> None:
    whole = alone(case, patient)
    for size in case.sizes:
        stage = case.make()
        assert sorted(
            run(case, stage, opened(case, stage, patient), case.atoms(patient), size)
        ) == sorted(whole), f"in pieces of {size}"


@every_stage
@pytest.mark.parametrize("order", [PATIENTS, PATIENTS[::-1]], ids=["in order", "reversed"])
def test_batch_invariance(case: Case, order: tuple[str, ...]) -> None:
    stage = case.make()
    rows = {patient: opened(case, stage, patient) for patient in order}
    found: dict[int, list[Any]] = {row: [] for row in rows.values()}
    pieces = {p: [case.rebind(a, rows[p]) for a in case.atoms(p)] for p in order}
    size = max(1, max(map(len, pieces.values())) // 5)
    for i in range(0, max(map(len, pieces.values())), size):
        together = [a for p in order for a in pieces[p][i : i + size]]
        for row, value in case.outputs(stage.push(case.batch(together))):
            found[row].append(repr(value))
    for patient in order:
        assert sorted(found[rows[patient]]) == sorted(alone(case, patient)), patient


@every_stage
def test_input_is_not_mutated(case: Case) -> None:
    stage = case.make()
    row = opened(case, stage, "pvcs")
    batch = case.batch([case.rebind(a, row) for a in case.atoms("pvcs")])
    before = repr(copy.deepcopy(batch))
    stage.push(batch)
    assert repr(batch) == before


@every_stage
def test_is_deterministic(case: Case) -> None:
    assert alone(case, "asystole") == alone(case, "asystole")


@every_stage
@pytest.mark.parametrize("patient", PATIENTS)
def test_restored_snapshot_goes_on_as_the_original(case: Case, patient: str) -> None:
    atoms = case.atoms(patient)
    half = len(atoms) // 2
    first = case.make()
    begun = run(case, first, row := opened(case, first, patient), atoms[:half], 10**9)
    # plain data survives the wire
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot(row)))
    second = case.make()
    second.open("another patient", 500.0)
    second.restore(row := opened(case, second, patient), state)
    assert sorted(begun + run(case, second, row, atoms[half:], 10**9)) == sorted(
        alone(case, patient)
    )


@every_stage
def test_a_reused_row_remembers_nothing(case: Case) -> None:
    stage = case.make()
    row = opened(case, stage, "asystole")
    run(case, stage, row, case.atoms("asystole"), 10**9)
    stage.close(row)
    assert opened(case, stage, "pvcs") == row
    assert run(case, stage, row, case.atoms("pvcs"), 10**9) == alone(case, "pvcs")


@every_stage
def test_many_rows_grow_the_arrays(case: Case) -> None:
    stage = case.make()
    rows = [stage.open(f"p{i}", 250.0) for i in range(50)]
    assert sorted(rows) == list(range(50))
    row = opened(case, stage, "pvcs")
    assert run(case, stage, row, case.atoms("pvcs"), 10**9) == alone(case, "pvcs")


def test_nan_in_the_signal_stops_nothing_and_passes() -> None:
    """NaN cannot come from int16 counts; if it ever did, it would cost the ten seconds that scale a
    window, and no more."""
    windower = Windower(model().input)
    detector = BeatDetector(model())
    for stage in (windower, detector):
        stage.open("p", 250.0)
    (slab,) = slabs("pvcs")
    values = slab.values.copy()
    values[0, 1000:1100] = np.nan
    found = detector.push(windower.push([replace_values(slab, values)]))
    assert all(np.isfinite(c.at) and np.isfinite(c.confidence) for s in found for c in s.complexes)
    after = [c for s in found for c in s.complexes if c.at > 1100 + 12 * 125]
    assert len(after) > 5


def replace_values(slab: Slab, values: np.ndarray) -> Slab:
    return slab._replace(values=values)
