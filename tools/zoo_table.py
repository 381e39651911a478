"""Write the leaderboard of the zoo (models/artifacts/experiments/zoo.json) into docs/models.md.

.venv/bin/python tools/zoo_table.py
"""

from __future__ import annotations

from pathlib import Path

from ecgwatch.modelling import leaderboard

DOCS = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- zoo: tools/zoo_table.py -->\n", "<!-- end of zoo -->"


def with_table(text: str, table: str) -> str:
    """The text with the table between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + table + "\n" + END + after


if __name__ == "__main__":
    systems = leaderboard.read(leaderboard.SHIPPED)
    DOCS.write_text(with_table(DOCS.read_text(), leaderboard.markdown(systems)))
