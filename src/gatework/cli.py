"""The command line: collects the commands of gatework.commands and says what went wrong in one message.

Exit codes: 0 done; 1 a failure; 2 bad use: invalid options, data or cells.
"""

from __future__ import annotations

import os
import traceback
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import gatework
from gatework.errors import CellError, DataError, GateworkError, OptionError, ShapeError
from gatework.extras import explained
from gatework.plugins import warn_of

# The modules of gatework.commands, in the order in which `gatework --help` lists them; commands of tasks come after.
COMMANDS = (
    "demo",
    "check",
    "init",
    "train",
    "resume",
    "runs",
    "compare",
    "evaluate",
    "predict",
    "explain",
    "diagnose",
    "tune",
    "validate",
    "profile",
    "export",
    "serve",
    "cells",
    "bench",
)

BAD_USE = (CellError, DataError, OptionError, ShapeError, FileNotFoundError, IsADirectoryError, NotADirectoryError)
TRACEBACK = "GATEWORK_TRACEBACK"


def main() -> None:
    """The console script `gatework`."""
    app(prog_name="gatework")


class Commands(TyperGroup):
    """All commands; what they raise reaches the user as one message and an exit code."""

    def list_commands(self, ctx: typer.Context) -> list[str]:
        return [*COMMANDS, *sorted(set(self.commands) - set(COMMANDS))]

    def invoke(self, ctx: typer.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.TyperException, typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get(TRACEBACK):
                raise
            red = isinstance(error, BAD_USE) and not os.environ.get("NO_COLOR")
            typer.secho(f"error: {message(error)}", err=True, fg="red" if red else None)
            raise typer.Exit(2 if isinstance(error, BAD_USE) else 1) from None


def message(error: Exception) -> str:
    """What the user reads; errors that nobody foresaw name the place they come from."""
    shown = explained(error) if isinstance(error, ImportError) else error
    if isinstance(shown, GateworkError):
        return str(shown)
    if isinstance(shown, OSError) and shown.strerror:
        return f"{shown.filename}: {shown.strerror}" if shown.filename else shown.strerror
    place = traceback.extract_tb(error.__traceback__)[-1]
    kind = type(error).__name__
    return f"{kind}: {error} ({place.filename}:{place.lineno}); unforeseen: set {TRACEBACK}=1 to see how it came about"


app = typer.Typer(
    name="gatework",
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gatework {gatework.__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Recurrent networks from their equations: fast layers, and the jobs people train LSTMs for."""


def register_of_task(task: str, path: Path) -> None:
    """The commands that a task brings, run from its file alone: its package would import torch."""
    spec = spec_from_file_location(f"commands of {task}", path)
    assert spec is not None
    assert spec.loader is not None
    module, theirs = module_from_spec(spec), typer.Typer()
    try:
        spec.loader.exec_module(module)
        module.register(theirs)
        if taken := set(commands_of(theirs)) & set(commands_of(app)):
            raise OptionError(f"there is a command {taken.pop()!r} already")
    except Exception as error:
        warn_of(f"the commands of the task {task!r} ({path})", error)
        return
    app.registered_commands += theirs.registered_commands
    app.registered_groups += theirs.registered_groups


def commands_of(some: typer.Typer) -> list[str]:
    """The names of what is registered."""
    made = [*some.registered_commands, *some.registered_groups]
    return [str(each.name or getattr(each.callback, "__name__", "")) for each in made]


def register_all() -> None:
    """Every command there is. Where two tasks have one name, none brings commands; every use of tasks says why."""
    from gatework import tasks

    for name in COMMANDS:
        import_module(f"gatework.commands.{name}").register(app)
    try:
        found = tasks.files("commands")
    except OptionError:
        return
    for task, path in found.items():
        register_of_task(task, path)


register_all()
