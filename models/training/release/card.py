"""The model card of a single network: what it is, what it learned from, how good and how dear it is,
and what it is not for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models import architectures
from models.training.tasks import base

NOT_FOR = (
    "Research. No medical device, not for decisions about a person; not for signals unlike those of "
    "its data (other leads, children, pacemakers). One fold and one seed say little: compare several."
)


def write_card(folder: Path, spec: dict[str, Any]) -> None:
    """Write card.md of the artifact that `spec`, its spec.json, describes."""
    (folder / "card.md").write_text(card(spec))


def card(spec: dict[str, Any]) -> str:
    """The card in Markdown."""
    name, task, fold = spec.get("architecture", "?"), spec.get("task", "?"), spec.get("fold")
    network, learned = architectures.known().get(name), base.known().get(task)
    split = "all patients; no figures" if fold is None else f"without fold {fold}, judged on it"
    facts = {
        "network": network.summary if network else name,
        "mechanism": network.arguments.get("mechanism") if network else None,
        "source": network.arguments["source"] if network else None,
        "task": learned.summary if learned else task,
        "trained on": split,
        "way of training": spec.get("method"),
        "answers": f"{', '.join(spec['outputs'])}, per {spec['kind']}",
        "parameters": f"{spec['parameters']:,}",
        "MMAC per window": f"{spec['macs_per_window'] / 1e6:.2f}",
        "time per window": "`ecgwatch models bench FOLDER`",
        "licence": "that of this project; the data sets' own licences hold for what was learned from them",
        "not for": NOT_FOR,
    }
    rows = [f"| {what} | {told} |" for what, told in facts.items() if told]
    figures = [
        f"| {what} | {', '.join(f'{v:.4g}' for v in (values if isinstance(values, list) else [values]))} |"
        for what, values in spec.get("figures", {}).items()
    ]
    table = ["", "| figure | value |", "|---|---|", *figures] if figures else []
    return "\n".join([f"# {name}, {task}", "", "| | |", "|---|---|", *rows, *table, ""])
