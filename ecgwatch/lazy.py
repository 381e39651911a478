"""Commands that are imported when they are called: `ecgwatch --help` imports none of them."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group


class CommandEntry(NamedTuple):
    """A command of the command line, as its list shows it."""

    folder: str  # of ecgwatch/commands, in which the module of its name is
    name: str
    help: str  # how the help of the command itself begins

    def load(self) -> Any:
        """Import the command's module, which holds a function of its name or an `app` of several
        commands, and return the command as Typer runs it."""
        module = importlib.import_module(f"ecgwatch.commands.{self.folder}.{self.name}")
        if hasattr(module, "app"):
            command: Any = get_group(module.app)
        else:
            single = typer.Typer(add_completion=False)
            single.command(self.name)(getattr(module, self.name))
            command = get_command(single)
        command.name = self.name
        return command


def lazy_group(entries: tuple[CommandEntry, ...]) -> type[TyperGroup]:
    """Make the class of a group whose commands are a name and a line of help until one is
    called."""
    known = {entry.name: entry for entry in entries}

    class LazyGroup(TyperGroup):
        def __init__(self, **attributes: Any) -> None:
            super().__init__(**attributes)
            for entry in entries:
                self.add_command(TyperCommand(entry.name, help=entry.help))

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:
            if args and args[0] in known:
                self.add_command(known[args[0]].load())
            return super().resolve_command(ctx, args)

    return LazyGroup
