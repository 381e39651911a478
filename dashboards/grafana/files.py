"""The JSON files that Grafana is provisioned with, made from the modules beside this one: `python
-m dashboards.grafana.files`.

They are in the repository, so that Grafana can be given them without Python; a test holds them to
what is made here.
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
    """All boards by the name of their file."""
    made = {
        "ward": ward,
        "patient": patient,
        "alarms": alarms,
        "pipeline": pipeline,
        "quality": quality,
    }
    return {name: module.board() for name, module in made.items()}


def files() -> dict[Path, str]:
    """What each file holds."""
    made = {FOLDER / "boards" / f"{name}.json": board for name, board in boards().items()}
    made[FOLDER / "provisioning" / "alerting" / "ecgwatch.json"] = alerts.provisioning()
    return {path: f"{_text(value)}\n" for path, value in made.items()}


def write() -> None:
    """Write them all."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _text(value: Any, indent: int = 0) -> str:
    """JSON with what fits into a line on one."""
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
