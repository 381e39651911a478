"""Write the JSON files with which Grafana is provisioned, from the modules of this folder: `python
-m dashboards.grafana.files`.

The files are in the repository, so that Grafana can be provisioned without Python; a test checks
that they are what this module writes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dashboards.grafana import alarms, alerts, patient, pipeline, quality, ward
from dashboards.grafana.parts import Json

FOLDER = Path(__file__).parent
LINE = 120


def boards() -> dict[str, Json]:
    """All boards by file name."""
    made = {
        "ward": ward,
        "patient": patient,
        "alarms": alarms,
        "pipeline": pipeline,
        "quality": quality,
    }
    return {name: module.board() for name, module in made.items()}


def files() -> dict[Path, str]:
    """The content of each file by its path."""
    made = {FOLDER / "boards" / f"{name}.json": board for name, board in boards().items()}
    made[FOLDER / "provisioning" / "alerting" / "ecgwatch.json"] = alerts.provisioning()
    return {path: f"{_text(value)}\n" for path, value in made.items()}


def write() -> None:
    """Write all files."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _text(value: Any, indent: int = 0) -> str:
    """JSON in which every value that fits stands on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or (len(line) + indent <= LINE and indent):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        rows = [f"{json.dumps(key)}: {_text(one, indent + 2)}" for key, one in value.items()]
    else:
        rows = [_text(one, indent + 2) for one in value]
    left, right = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{left}\n{inner}" + f",\n{inner}".join(rows) + f"\n{' ' * indent}{right}"


if __name__ == "__main__":
    write()
