"""The ablation: what each row goes without, how loud its noise is, and how rows are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models import architectures
from models.architectures.ecgcl import DENSE, WIDTHS, Segmenter
from models.beats.morphology import SHAPE
from models.beats.templates import FEATURES, SCALARS
from models.training.cost import macs
from models.training.data import augment, beat_windows
from models.training.data.records import Noise, Track
from models.training.experiments import ablation, pruning_table
from models.training.experiments.ablation_beats import SIGHTS
from models.training.experiments.ablation_qrs import NOISY_FROM, RECIPES, drawn_by, noisy
from models.training.tasks.qrs.windowed import Qrs


def test_a_recipe_changes_how_batches_are_drawn_while_it_is_used_only() -> None:
    chance, stretched = dict(augment.CHANCE), beat_windows.STRETCHED
    assert stretched > 0
    (without,) = (recipe for recipe in RECIPES if recipe.label == "shapes")
    with drawn_by(without):
        assert augment.CHANCE["inversion"] == beat_windows.STRETCHED == 0
        assert augment.CHANCE["noise"] == chance["noise"]
    assert (chance, stretched) == (augment.CHANCE, beat_windows.STRETCHED)


def test_one_resolution_costs_what_four_cost() -> None:
    window = torch.zeros(1, 1, Qrs.problem.spec.length)
    four, one = (
        macs(architectures.load(name).build(Qrs.problem), window)
        for name in ("ecgcl", "single_resolution")
    )
    assert one == pytest.approx(four, rel=0.01)


def test_noise_is_as_loud_as_asked() -> None:
    rng = np.random.default_rng(1)
    flat = np.zeros(NOISY_FROM + 5000, np.float32)
    beats = np.array([100.0, NOISY_FROM + 50, NOISY_FROM + 3000])
    track = Track(
        "mitdb/100",
        "mitdb/100",
        0,
        flat,
        np.zeros((3, len(flat)), np.uint8),
        beats,
        "NVN",
        np.zeros((0, 2)),
        2.0,
    )
    noise = Noise("em", rng.standard_normal(4000).astype(np.float32), 1.0)
    loud = noisy(track, noise, -6.0)
    assert len(loud.signal) == 4000
    assert (loud.beats.tolist(), loud.classes) == ([50.0, 3000.0], "VN")
    signal_power = 2.0**2 / 8  # NSTDB's definition
    assert 10 * np.log10(signal_power / np.mean(np.square(loud.signal))) == pytest.approx(
        -6, abs=0.3
    )


def test_what_a_beat_is_not_judged_by_is_blank() -> None:
    kept = {sight.label: sight.kept for sight in SIGHTS}
    assert kept["full"].all()
    assert not kept["intervals"][3 * SHAPE + SCALARS.index("rr_long")]
    assert kept["intervals"][: 3 * SHAPE].all()
    assert not kept["usual"][SHAPE : 3 * SHAPE].any()
    assert np.array_equal(kept["alone"], kept["intervals"] * kept["usual"])
    assert set(np.flatnonzero(kept["alone"])) >= set(range(SHAPE))
    assert kept["alone"].sum() < FEATURES / 3


def test_rows_are_told_beside_the_first_over_the_seeds_that_both_have() -> None:
    rows = ablation.table(
        {"all": [{"F1": 90.0}, {"F1": 92.0}], "less": [{"F1": 89.0}]}
    ).splitlines()
    assert rows[0] == "| | F1 | seeds |"
    assert rows[2:] == ["| all | 91.00 ± 1.00 | 2 |", "| less | 89.00 (-1.00) | 1 |"]


def test_what_was_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "ARTIFACT", tmp_path / "ablation.md")
    calls: list[int] = []

    def measure() -> dict[str, float]:
        calls.append(1)
        return {"F1 clean": 99.0}

    for _ in range(2):
        ablation.measure_once(tmp_path, f"qrs-{RECIPES[0].label}-{ablation.SEEDS[0]}", measure)
    assert calls == [1]
    assert json.loads((tmp_path / "ablation" / "qrs-full-1.json").read_text()) == {"F1 clean": 99.0}
    assert "| full recipe | 99.00 | 1 |" in (tmp_path / "ablation.md").read_text()


def test_pruned_is_told_beside_dense() -> None:
    nets = [Segmenter(DENSE), Segmenter(WIDTHS)]
    rows = pruning_table.table(
        ["dense", "pruned"], nets, ["one window"], [[0.3], [0.1]], [{"F1": 99.9}, {"F1": 99.6}]
    ).splitlines()
    assert rows[3] == "| MMAC per window | 7.56 | 2.15 | 3.5 times fewer |"
    assert rows[4:] == [
        "| ms per window, one window | 0.300 | 0.100 | 3.0 times less |",
        "| QRS F1, % | 99.90 | 99.60 | -0.30 points |",
    ]
