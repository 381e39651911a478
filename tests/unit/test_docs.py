"""The documents tell of everything there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ecgwatch.__main__ import COMMANDS
from ecgwatch.settings import Settings
from ingest.simulator.scenario import shipped
from stream_processor.pipeline.alarms.catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
}


@pytest.mark.parametrize("command", sorted(entry.name for entry in COMMANDS))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert re.search(rf"(run\.py |`){command}\b", README)


@pytest.mark.parametrize("setting", Settings.model_fields)
def test_every_setting_is_in_the_operations_guide(setting: str) -> None:
    assert f"`ECGWATCH_{setting.upper()}`" in DOCUMENTS["docs/operations.md"]


@pytest.mark.parametrize("kind", CATALOGUE)
def test_every_alarm_is_in_the_document(kind: str) -> None:
    line = next(line for line in DOCUMENTS["docs/alarms.md"].splitlines() if f"`{kind}`" in line)
    assert CATALOGUE[kind].priority in line  # type: ignore[index]


def test_scenarios_named_in_the_readme_exist() -> None:
    named = re.findall(r"run\.py simulate ((?:\w[\w-]* )+)", README)
    assert named
    assert {name for group in named for name in group.split()} <= set(shipped())


@pytest.mark.parametrize("document", sorted(DOCUMENTS))
def test_links_lead_somewhere(document: str) -> None:
    folder = (ROOT / document).parent
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", DOCUMENTS[document]):
        if "://" not in target:
            assert (folder / target).exists(), target
