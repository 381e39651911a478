"""The zoo's leaderboard: what is printed, which systems nothing cheaper beats, and the docs' table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ecgwatch.modelling import leaderboard
from ingest.errors import BadInputError
from models import architectures
from tools import zoo_table

F1, PIECES = "N A O mean F1, records", "N A O mean F1, 10 s"


def row(name: str, f1: float, macs: float, seed: int = 1) -> dict[str, object]:
    figures = {F1: f1, PIECES: f1 - 0.05, **{f"F1 {c}, records": f1 for c in "NAO~"}}
    return {
        "name": name, "task": "rhythm_10s", "seed": seed, "metric": F1, "figures": figures,
        "parameters": 1000, "macs": macs, "ms": 1.5, "cpu_minutes": 20.0, "kilobytes": 30.0,
    }  # fmt: skip


@pytest.fixture
def board(tmp_path: Path) -> Path:
    rows = [
        row("small", 0.70, 1e6),
        row("large", 0.80, 9e6),
        row("large", 0.84, 9e6, seed=2),
        row("poor", 0.60, 5e6),
        {"name": "broken", "task": "rhythm_10s", "seed": 1, "error": "ValueError: no"},
    ]
    waiting = {"name": "later", "task": "beat_sequences", "parameters": 10, "macs": 2e6}
    path = tmp_path / "leaderboard.json"
    path.write_text(json.dumps({"rows": rows, "untrained": [waiting]}))
    return path


def test_seeds_are_one_row_with_their_spread(board: Path) -> None:
    rhythm, beats = leaderboard.tables(leaderboard.read(board))
    cells = rhythm.cells()
    assert [line[0] for line in cells] == ["large *", "small *", "poor", "broken"]
    assert cells[0][1] == "0.82 ± 0.028"
    assert cells[0][2] == "0.77 ± 0.028"
    assert cells[3][1] == "ValueError: no"
    assert [line[:2] for line in beats.cells()] == [["later", "not trained yet"]]


def test_only_what_nothing_cheaper_beats_is_on_the_line(board: Path) -> None:
    systems = [s for s in leaderboard.read(board) if s.task == "rhythm_10s"]
    assert leaderboard.pareto(systems) == {"small", "large"}


def test_the_page_draws_every_trained_system(board: Path, tmp_path: Path) -> None:
    page = tmp_path / "zoo.html"
    result = CliRunner().invoke(
        app, ["models", "compare", "--zoo", "--board", str(board), "--page", str(page)]
    )
    assert result.exit_code == 0, result.output
    assert "large *" in result.stdout
    text = page.read_text()
    assert text.count("<circle") == 3
    assert "later" in text


def test_without_a_board_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadInputError) as caught:
        leaderboard.read(tmp_path / "none.json")
    assert "models.training.leaderboard" in caught.value.remedy


def test_the_shipped_board_has_a_row_for_every_system() -> None:
    names = {s.name for s in leaderboard.read(leaderboard.SHIPPED)}
    assert not set(architectures.zoo()) - names


def test_the_table_in_the_docs_is_that_of_the_shipped_board() -> None:
    text = zoo_table.DOCS.read_text()
    table = leaderboard.markdown(leaderboard.read(leaderboard.SHIPPED))
    assert zoo_table.with_table(text, table) == text, "run: .venv/bin/python tools/zoo_table.py"
