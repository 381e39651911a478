"""The command line in this process: a process of its own takes seconds to import everything."""

from pathlib import Path

from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ingest.errors import EcgwatchError


def ecgwatch(*arguments: str | Path, code: int = 0) -> str:
    """Run a command that must end with this exit code; returns what it prints, errors that a
    person can mend included, as `main` prints them."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    found, said = done.exit_code, done.output
    if isinstance(done.exception, EcgwatchError):
        found = done.exception.exit_code
        said += f"error: {done.exception.problem}\n{done.exception.remedy}\n"
    elif done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert found == code, said
    return said
