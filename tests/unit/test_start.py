"""The command line starts quickly: `--help` imports only what it shows, of each command too."""

from __future__ import annotations

import json
import subprocess
import sys

from ecgwatch.__main__ import COMMANDS

# packages beside Python's own that the list of commands needs: all but Typer come with it
LISTING = {
    "annotated_doc",
    "attr",
    "markdown_it",
    "mdurl",
    "pygments",
    "rich",
    "shellingham",
    "typer",
}
# what the help of some command needs besides; nothing here takes more than 0.2 s
HELP = LISTING | {
    "annotated_types",
    "confluent_kafka",
    "msgspec",
    "numpy",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
}

SHOW = """
import json, sys
import typer.main
from typer.testing import CliRunner
{imports}
{shows}
files = {{name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}}
beside = {{name.split(".")[0] for name, file in files.items() if "site-packages" in file}}
own = {{name for name in files if name.split(".")[0] in {{"ingest", "models", "stream_processor", "dashboards"}}}}
print(json.dumps([sorted(beside), sorted(own)]))
"""


def imported(*commands: str) -> tuple[set[str], set[str]]:
    """The packages of others, and the modules below ecgwatch, that a process has after the help of
    these commands; of the list of commands if none is named."""
    shows = [["--help"], *([name, "--help"] for name in commands)]
    lines = [f"assert 'Usage' in CliRunner().invoke(app, {args!r}).output" for args in shows]
    script = SHOW.format(imports="from ecgwatch.__main__ import app", shows="\n".join(lines))
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    beside, own = json.loads(said)
    return {n for n in beside if not n.startswith(("_", "sitecustomize"))}, set(own)


def test_the_list_of_commands_imports_no_command() -> None:
    beside, own = imported()
    assert beside <= LISTING
    assert own <= {"ingest", "ingest.errors"}


def test_the_help_of_no_command_imports_what_only_its_work_needs() -> None:
    beside, _ = imported(*(entry.name for entry in COMMANDS))
    assert beside <= HELP


def test_each_line_of_the_list_begins_the_help_of_its_command() -> None:
    for entry in COMMANDS:
        whole = " ".join((entry.load().help or "").split())
        assert whole.startswith(entry.help), entry.name
