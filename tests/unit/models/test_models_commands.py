"""ecgwatch models and ecgwatch train."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ecgwatch.modelling import extra, peers, tables
from ecgwatch.modelling.peers import DetectorCounts
from ingest.errors import BadInputError
from models import architectures
from models.serving import benchmark, catalogue
from models.serving.benchmark import Call
from models.serving.runtime import ARTIFACTS
from stream_processor.scoring.counts import Counts
from stream_processor.scoring.reference import Symbol, reference

ROOT = Path(__file__).parents[3]


def said(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def some_network() -> Path:
    """Any ONNX file that is shipped."""
    return next(iter(sorted(ARTIFACTS.rglob("*.onnx"))))


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """An artifact of a backbone that runs every second, a decoder that runs every five, and one in
    a folder that runs per beat."""
    folder = tmp_path / "together"
    (folder / "beat_class").mkdir(parents=True)
    for name in ("backbone.onnx", "rhythm.onnx", "beat_class/model.onnx"):
        shutil.copy(some_network(), folder / name)
    files = {
        "backbone": {"parameters": 1000, "macs": 2_000_000, "every_s": 1.0},
        "rhythm": {"parameters": 200, "macs": 5_000_000, "every_s": 5.0},
        "beat_class": {"parameters": 30, "macs": 1000},
    }
    spec = {
        "tasks": ["qrs", "rhythm"],
        "files": files,
        "figures": {"QRS F1, %": [99.0, 99.5, 100.0]},
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    (folder / "card.md").write_text("# Together\n")
    return folder


def test_list_names_every_artifact_and_every_architecture() -> None:
    listed = said("models", "list")
    for name in [*(a.name for a in catalogue.shipped()), *architectures.known()]:
        assert f"\n  {name} " in listed, name


def test_a_list_has_a_figure_per_line_and_a_line_per_file(several: Path) -> None:
    spec = json.loads((several / "spec.json").read_text())
    spec["figures"] = {f"figure {i}": [float(i), i + 1.0] for i in range(6)}
    (several / "spec.json").write_text(json.dumps(spec))
    rows = tables.artifacts([catalogue.read(several)]).rows
    assert [row[0] for row in rows] == [
        "together",
        "  backbone",
        "  rhythm",
        "  beat_class",
        "",
        "",
    ]
    assert [row[-1] for row in rows] == [f"figure {i} {i + 0.5} ± 0.5" for i in range(6)]


def test_show_prints_card_and_specification(several: Path) -> None:
    shown = said("models", "show", str(several))
    assert "# Together" in shown
    assert json.loads(shown.partition("spec.json\n")[2])["tasks"] == ["qrs", "rhythm"]
    with pytest.raises(BadInputError) as caught:
        said("models", "show", "nobody")
    assert catalogue.shipped()[0].name in caught.value.remedy


def test_an_artifact_of_several_files_is_added_up(several: Path) -> None:
    artifact = catalogue.read(several)
    assert artifact.parameters == 1230
    # what runs per beat is not at fixed times
    assert artifact.mmac_per_second == pytest.approx(3.0)
    assert artifact.kilobytes == pytest.approx(3 * some_network().stat().st_size / 1e3)
    listed = tables.artifacts([artifact]).text()
    assert "99.5 ± 0.41" in listed
    assert "  backbone" in listed


def test_a_file_that_is_listed_but_missing_is_named(several: Path) -> None:
    (several / "rhythm.onnx").unlink()
    with pytest.raises(BadInputError, match=r"rhythm\.onnx"):
        catalogue.read(several)


def test_bench_measures_every_file_with_every_batch(several: Path) -> None:
    table = said("models", "bench", str(several), "--rounds", "2")
    assert {line.split()[1] for line in table.splitlines() if line.startswith("  together ")} == {
        "backbone",
        "rhythm",
        "beat_class",
    }
    assert ("without torch" in table) is not extra.is_installed()


def test_where_torch_is_it_is_measured_in_the_same_run(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
    from models.architectures import Problem
    from models.signal.windows import BEAT_SPEC
    from models.training.release.windowed_export import export

    problem = Problem("samples", ("qrs",), BEAT_SPEC)
    export(
        architectures.load("unet").build(problem),
        problem,
        tmp_path / "net",
        {"architecture": "unet"},
    )
    lines = said("models", "bench", str(tmp_path / "net"), "--rounds", "2").splitlines()
    for start in ("  net ", "  ecgcl QRS alone "):
        for engine in ("ONNX Runtime", "torch"):
            assert sum(line.startswith(start) and engine in line for line in lines) == 2, (
                start,
                engine,
            )
    assert sum("before pruning" in line for line in lines) == 2
    (unet,) = [line for line in said("models", "list").splitlines() if line.startswith("  unet ")]
    assert " 1.7" in unet  # MMAC per patient-second


def test_calls_are_timed_in_turn_and_by_themselves() -> None:
    order: list[str] = []
    calls = [Call(name, "none", 4, lambda name=name: order.append(name)) for name in "ab"]  # type: ignore[misc]
    a, b = benchmark.measure(calls, rounds=3)
    assert order == ["a", "b"] * 6  # three to warm up
    assert (a.network, b.network) == ("a", "b")
    assert 0 <= a.p50_ms <= a.p99_ms
    assert a.row_cpu_ms == a.cpu_ms / 4


def test_compare_puts_figures_side_by_side(several: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(several, other)
    (other / "spec.json").write_text(
        json.dumps(
            {**json.loads((several / "spec.json").read_text()), "figures": {"QRS F1, %": [98.0]}}
        )
    )
    table = said("models", "compare", str(several), str(other))
    assert [line.split() for line in table.splitlines() if "QRS F1" in line] == [
        ["QRS", "F1,", "%", "99.5", "±", "0.41", "98"]
    ]


def test_peers_are_scored_within_150_ms_and_without_flutter() -> None:
    symbols = [Symbol(10, "+", "(N"), Symbol(4000, "["), Symbol(7000, "]"), Symbol(7200, "V")]
    ref = reference(sorted(symbols + [Symbol(360 * i, "N") for i in range(1, 11)]), 360.0, 8000)
    hits = [360 * i + 50 for i in range(1, 10)]  # 139 ms late; the tenth is missed
    found = peers.score(
        "someone",
        peers.EvaluationTask(Path("100"), "mitdb", "atr", None, None, False, 0.0),
        ref,
        [*hits, 5000, 7280],
        1.0,
    )
    # the beat at 7280 is 222 ms late; the one in flutter does not count
    assert found.whole == Counts(tp=9, fn=2, fp=1)
    assert found.later == Counts()


def test_the_summary_adds_records_and_names_the_worst() -> None:
    found = [
        DetectorCounts("a", "100", Counts(10, 0, 0), Counts(5), 1.0),
        DetectorCounts("a", "207", Counts(5, 5, 0), Counts(), 3.0),
    ]
    (row,) = peers.summary(found).cells()
    assert row == [
        "a",
        "85.71",
        "75.00",
        "100.00",
        "5",
        "0",
        "100.00",
        "207 (66.67) 100 (100.00)",
        "2.00",
    ]


def test_wfdb_finds_the_beats_of_a_made_up_record() -> None:
    fs, beats = 250, np.arange(250, 7000, 200)
    signal = sum((np.exp(-(((np.arange(7500) - b) / 5.0) ** 2)) for b in beats), np.zeros(7500))
    found = np.array(peers.xqrs(signal + 0.01 * np.random.default_rng(1).standard_normal(7500), fs))
    near = [b for b in beats if np.abs(found - b).min() < 0.15 * fs]
    assert len(near) > 0.8 * len(beats)


def test_a_missing_peer_is_a_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    detectors, missing = peers.available()
    assert list(detectors) == ["wfdb XQRS"]
    assert "[bench]" in missing[0]


def test_train_names_the_extra_where_torch_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "NEEDED", ("torch_that_nobody_has",))
    with pytest.raises(BadInputError) as caught:
        said("train", "qrs")
    assert "[train]" in caught.value.remedy


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["qrs", "--architecture", "perceptron"], "architecture"), (["poetry"], "task")],
)
def test_train_refuses_what_there_is_not(arguments: list[str], problem: str) -> None:
    with pytest.raises(BadInputError, match=f"no {problem} named"):
        said("train", *arguments)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["qrs"], ["qrs", "--architecture", "ecgcl", "--seed", "1", "--runs", "R"]),
        (
            ["rhythm", "--architecture", "plain_cnn", "--fold", "1", "--fold", "2", "--steps", "9"],
            [
                "rhythm",
                "--architecture",
                "plain_cnn",
                "--fold",
                "1",
                "--fold",
                "2",
                "--seed",
                "1",
                "--steps",
                "9",
                "--runs",
                "R",
            ],
        ),
    ],
)
def test_every_training_is_one_command(
    options: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []
    monkeypatch.setattr(
        extra, "start", lambda module, arguments, data: started.append((module, arguments))
    )
    said("train", *options, "--data", "D", "--runs", "R")
    assert started == [("command", expected)]


def test_train_ends_with_the_status_of_what_it_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extra, "start", lambda *_: 3)
    assert CliRunner().invoke(app, ["train", "beat_class"]).exit_code == 3


def test_the_shipped_network_keeps_its_own_steps() -> None:
    with pytest.raises(BadInputError, match="several trainings"):
        said("train", "qrs", "--steps", "3")
