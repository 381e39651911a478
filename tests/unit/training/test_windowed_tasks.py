"""T2 and T4 for any architecture: what a batch is, that a fold's patients teach nothing, figures of
known predictors, a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
wfdb = pytest.importorskip("wfdb", reason="wfdb is not installed: pip install 'ecgwatch[train]'")

from models import architectures
from models.architectures import Problem
from models.serving.runtime import Network
from models.signal.windows import BEAT_SPEC
from models.training.data.cinc2017 import Recordings
from models.training.data.records import FIBRILLATION, YES, Noise, Track, beat_targets
from models.training.harness import TrainingPlan
from models.training.recipe import follow
from models.training.tasks import base
from models.training.tasks.base import Task
from models.training.tasks.beat_class import windowed as windowed_beat_class
from models.training.tasks.beat_class.windowed import AROUND_BEAT, BeatClass
from models.training.tasks.lethal import windowed as windowed_lethal
from models.training.tasks.lethal.windowed import KINDS, LETHAL_SPEC, WindowedLethal
from models.training.windowed import Windowed

FS = 125
SECONDS = 400  # of a record: the first five minutes are not judged
TIME = np.arange(SECONDS * FS) / FS
HZ = {"N": 3.0, "VT": 5.0, "VF": 9.0, "ASYS": 15.0}  # how a made-up rhythm is told
SECTIONS = [(0, "N"), (60, "VT"), (120, "N"), (180, "VF"), (240, "N"), (300, "ASYS"), (360, "N")]
WIDTH = {"N": 1.5, "S": 4.0, "V": 8.0}  # how a made-up beat is told: of its wave, in samples
LETTERS = "NNNSNNNV"


def noise() -> Noise:
    return Noise("ma", np.random.default_rng(2).standard_normal(40 * FS).astype(np.float32), 1.0)


def mitdb(name: str, teaches: bool = True) -> list[Track]:
    """A record with a beat every 0.8 s, of a width that tells its class; not a number where nobody
    may look."""
    at = np.rint(np.arange(1, SECONDS - 1, 0.8) * FS)
    classes = (LETTERS * len(at))[: len(at)]
    x = np.full(len(TIME), 0.0 if teaches else np.nan, np.float32)
    near = np.arange(-40, 41)
    for a, c in zip(at.astype(int), classes, strict=True):
        x[a + near] += np.exp(-0.5 * (near / WIDTH[c]) ** 2)
    return [
        Track(
            name, name, k, x, beat_targets(len(x), at, classes), at, classes, np.zeros((0, 2)), 1.0
        )
        for k in (0, 1)
    ]


def vfdb(folder: Path, name: str, teaches: bool = True) -> Track:
    """A record of SECTIONS, with its annotations: a wave whose frequency tells the rhythm."""
    (folder / "vfdb").mkdir(exist_ok=True)
    begins = np.array([s * 250 for s, _ in SECTIONS]) + 1
    notes = [f"({label}" for _, label in SECTIONS]
    wfdb.wrann(
        name.partition("/")[2],
        "atr",
        begins,
        symbol=["+"] * len(notes),
        aux_note=notes,
        fs=250,
        write_dir=str(folder / "vfdb"),
    )
    targets, x = np.zeros((3, len(TIME)), np.uint8), np.zeros(len(TIME))
    for (begin, label), end in zip(SECTIONS, [s for s, _ in SECTIONS[1:]] + [SECONDS], strict=True):
        inside = (begin <= TIME) & (end > TIME)
        x[inside] = np.sin(2 * np.pi * HZ[label] * TIME[inside])
        targets[FIBRILLATION, inside] = YES if label == "VF" else 0
    x = x if teaches else np.full_like(x, np.nan)
    return Track(
        name, name, 0, x.astype(np.float32), targets, np.zeros(0), "", np.zeros((0, 2)), 1.0
    )


def wearables() -> Recordings:
    return Recordings(
        np.array(["A1"]),
        np.zeros(1, np.int64),
        np.array([0, len(TIME)]),
        np.sin(19 * TIME).astype(np.float16),
    )


def lethal(folder: Path, monkeypatch: pytest.MonkeyPatch, secret: str = "") -> WindowedLethal:
    """The task on made-up records, one of MITDB and one of VFDB per fold."""
    tracks = [t for name in ("mitdb/1", "mitdb/2", "mitdb/3") for t in mitdb(name, name != secret)]
    monkeypatch.setattr(windowed_lethal, "load_mitdb", lambda data: tracks)
    monkeypatch.setattr(
        windowed_lethal,
        "load_vfdb",
        lambda data: [vfdb(data, n, n != secret) for n in ("vfdb/1", "vfdb/2", "vfdb/3")],
    )
    monkeypatch.setattr(windowed_lethal, "load_noise", lambda data: [noise()])
    monkeypatch.setattr(windowed_lethal.cinc2017, "load", lambda data, cache: wearables())
    return WindowedLethal(folder, folder)


def beat_class(folder: Path, monkeypatch: pytest.MonkeyPatch, secret: str = "") -> BeatClass:
    """The task on made-up records, one per fold."""
    tracks = [t for name in ("mitdb/1", "mitdb/2", "mitdb/3") for t in mitdb(name, name != secret)]
    monkeypatch.setattr(windowed_beat_class, "load_mitdb", lambda data: tracks)
    monkeypatch.setattr(windowed_beat_class, "load_noise", lambda data: [noise()])
    return BeatClass(folder, folder)


MAKERS = {"lethal": lethal, "beat_class": beat_class}


def constant(problem: Problem, which: int) -> base.Predict:
    return lambda x: np.tile(8 * np.eye(len(problem.outputs), dtype=np.float32)[which], (len(x), 1))


def by_frequency(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The made-up rhythm of the second that a window of T4 answers for: the wave that has nearly
    all of its power, else none."""
    second = x[:, LETHAL_SPEC.before : LETHAL_SPEC.before + LETHAL_SPEC.hop]
    power = np.abs(np.fft.rfft(second, axis=1)) ** 2
    share = power[:, [5, 9, 15]] / (power.sum(axis=1, keepdims=True) + 1e-6)
    return (
        8
        * np.eye(4, dtype=np.float32)[
            np.where(share.max(axis=1) > 0.8, 1 + share.argmax(axis=1), 0)
        ]
    )


def by_width(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The made-up class of the beat that a window of T2 asks about: how high it still is 40 ms
    after the peak."""
    later = x[:, AROUND_BEAT.before + 5] / x[:, AROUND_BEAT.before]
    return 8 * np.eye(5, dtype=np.float32)[np.digitize(later, [0.1, 0.65])]


def test_both_are_registered_and_ask_for_one_window() -> None:
    assert {"qrs", "beat_class", "rhythm", "lethal"} <= set(base.known())
    assert base.load("lethal") is WindowedLethal
    assert base.load("beat_class") is BeatClass
    k = np.arange(100)
    # an answer a second, of the same second
    assert np.array_equal(LETHAL_SPEC.end(k), BEAT_SPEC.end(k))
    assert LETHAL_SPEC.length == 4 * FS
    assert sum(KINDS.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", MAKERS)
def test_a_batch_is_windows_and_what_they_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = MAKERS[name](tmp_path, monkeypatch)
    (x,), target = task.batches(0).batch(np.random.default_rng(1), 60)
    assert x.shape == (60, 1, task.problem.spec.length)
    assert x.dtype == torch.float32
    assert x.isfinite().all()
    assert target.shape == (60,)
    seen = set(target.tolist())
    assert seen >= ({1, 2, 4, 8} if name == "lethal" else {0, 1, 2})  # sets of classes; classes
    (again,), same = task.batches(0).batch(np.random.default_rng(1), 60)
    assert torch.equal(x, again)
    assert torch.equal(target, same)


def test_the_beat_asked_about_is_always_at_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (x,), target = (
        beat_class(tmp_path, monkeypatch).batches(None).batch(np.random.default_rng(1), 200)
    )
    here = x[:, 0, AROUND_BEAT.before - 20 : AROUND_BEAT.before + 21].abs()
    assert here.mean(dim=0).argmax() == 20
    height = here.mean(dim=0) / here.mean(dim=0).max()
    assert height[0] < 0.5
    shares = [float((target == c).float().mean()) for c in (0, 1, 2)]
    # by the root: 6, 1 and 1 of 8 beats
    assert shares == pytest.approx([0.55, 0.22, 0.22], abs=0.1)


@pytest.mark.parametrize(
    ("name", "secret"), [("lethal", "vfdb/2"), ("lethal", "mitdb/2"), ("beat_class", "mitdb/2")]
)
def test_the_patients_of_a_fold_teach_nothing(
    name: str, secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = MAKERS[name](tmp_path, monkeypatch, secret)

    def finite(fold: int | None) -> bool:
        batches, rng = task.batches(fold), np.random.default_rng(3)
        return all(bool(batches.batch(rng, 50)[0][0].isfinite().all()) for _ in range(4))

    assert [finite(fold) for fold in (0, 1, 2, None)] == [False, True, False, False]


def test_the_right_rhythm_gets_full_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = lethal(tmp_path, monkeypatch).evaluate(by_frequency, 0)
    assert (
        figures[WindowedLethal.metric]
        == figures["VF or VFL Se, %"]
        == figures["VF or VFL Sp, %"]
        == 100
    )
    assert figures["VT episodes found, %"] == 100
    assert figures["VT episodes false, per hour"] == 0


@pytest.mark.parametrize(("which", "se", "found"), [(0, 0, 0), (1, 0, 100), (2, 100, 0)])
def test_always_the_same_rhythm_is_half_right(
    which: int, se: float, found: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = lethal(tmp_path, monkeypatch)
    figures = task.evaluate(constant(task.problem, which), 0)
    assert (
        figures[WindowedLethal.metric],
        figures["VF or VFL Se, %"],
        figures["VF or VFL Sp, %"],
    ) == (50, se, 100 - se)
    assert figures["VT episodes found, %"] == found


def test_the_right_class_gets_full_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = beat_class(tmp_path, monkeypatch).evaluate(by_width, 1)
    assert set(figures.values()) == {100.0}
    assert len(figures) == 5


def test_always_v_finds_all_v_and_as_many_false_as_there_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = beat_class(tmp_path, monkeypatch)
    figures = task.evaluate(constant(task.problem, 2), 1)
    (track, _) = mitdb("mitdb/2")
    later = [c for at, c in zip(track.beats, track.classes, strict=True) if at >= 300 * FS]
    assert (figures["V Se, %"], figures["S Se, %"], figures["S +P, %"]) == (100, 0, 0)
    assert figures["V +P, %"] == pytest.approx(100 * later.count("V") / len(later))


def test_paced_records_are_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # 104 is in the fold of 100
    tracks = [*mitdb("mitdb/100"), *mitdb("mitdb/102"), *mitdb("mitdb/103"), *mitdb("mitdb/104")]
    monkeypatch.setattr(windowed_beat_class, "load_mitdb", lambda data: tracks)
    seen = []

    def counted(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        seen.append(len(x))
        return by_width(x)

    BeatClass(tmp_path, tmp_path).evaluate(counted, 0)
    assert sum(seen) == len(tracks[0].beats)


@pytest.mark.parametrize("name", MAKERS)
def test_an_architecture_learns_it_and_is_exported(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    task: Task = MAKERS[name](tmp_path, monkeypatch)
    plan = TrainingPlan(epochs=1, steps=3, batch=16, peak_rate=4e-3)
    (figures,) = follow(Windowed(architectures.load("plain_cnn"), name, task, plan, tmp_path), [0])
    assert task.metric in figures
    assert all(np.isfinite(value) for value in figures.values())
    artifact = Network(tmp_path / "fold0")
    assert artifact.meta["outputs"] == list(task.problem.outputs)
    assert artifact.run(np.zeros((2, task.problem.spec.length), np.float32)).shape == (
        2,
        len(task.problem.outputs),
    )
