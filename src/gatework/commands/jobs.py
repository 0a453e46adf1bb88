"""What the commands of the jobs share: a command per task whose flags are read off the task's options."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from gatework.commands import complete
from gatework.commands.flags import Grouped, flag_of, further, with_options
from gatework.errors import OptionError
from gatework.extras import explained

if TYPE_CHECKING:
    from gatework.tasks.base import Source, Task

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended

# What these commands have in common.
DATA = typer.Argument(help="The data: a file, or a folder of files.")
Data = Annotated[Path | None, DATA]  # where the task has flags that name data, too, it may be left out
Valid = Annotated[Path | None, typer.Option(help="Data for choices, instead of a part of FILE.")]
Test = Annotated[Path | None, typer.Option(help="Data to test on, instead of a part of FILE.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any option.")]
Reading = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="How FILE is read, where it differs: text=Review encoding=cp1252."),
]
RUN = typer.Argument(help="The run folder.", autocompletion=complete.runs)
Run = Annotated[Path, RUN]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but the result.")]


def register(app: typer.Typer, action: Callable[..., None], text: str) -> None:
    """Adds `action` as a group, with one command for each task, under its own name."""
    app.add_typer(typer.Typer(cls=per_task(action), no_args_is_help=True, help=text), name=action.__name__)


def per_task(action: Callable[..., None]) -> type[TyperGroup]:
    """A group with one command for each task: `action(task, given, **others)` with the task's options as flags.

    `action` has keyword parameters annotated for typer; `task` and `given` (options named on the command line, as
    texts or values) are filled in here. Commands are built when they are asked for, as tasks import torch.
    """

    class Tasks(TyperGroup):
        def list_commands(self, ctx: typer.Context) -> list[str]:
            from gatework import tasks

            return tasks.names()

        def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:
            from gatework import tasks

            try:
                return _command(tasks.get(cmd_name), action)
            except ImportError as error:
                said = str(lacking := explained(error))
                self.epilog = said[:1].upper() + said[1:]
                return Lacking(cmd_name, lacking)

    return Tasks


class Lacking(TyperCommand):
    """The command of a task whose libraries are not installed: it is listed, and says what to type."""

    def __init__(self, task: str, error: ImportError):
        from gatework import tasks

        super().__init__(task, short_help=first_sentence(tasks.files("__init__").get(task)))
        self.error = error

    def make_context(self, *arguments: object, **named: object) -> NoReturn:
        raise self.error


def first_sentence(path: Path | None) -> str:
    """Of the docstring of a module, which is not run."""
    text = path and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return (text or "").partition("\n")[0]


def _command(task: type[Task], action: Callable[..., None]) -> Any:
    text = f"{inspect.getdoc(action)}\n\n{_first_line(task)}"
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    short = type("Short", (Grouped,), {"more": further(task)})
    app.command(task.name, cls=short, help=text, short_help=_first_line(task))(with_options(task, action))
    return typer.main.get_command(app)


def _first_line(task: type[Task]) -> str:
    return (inspect.getdoc(task) or "").partition("\n")[0]


def data(task: type[Task], given: dict[str, Any], file: Path | None) -> Source:
    """What FILE and the task's own flags for files name; these are taken out of `given`. An OptionError for nothing."""
    if (found := part(task, given, file)) is None:
        flags = "".join(f", or --{field.name}" for field in dataclasses.fields(task.Files)[:1])
        raise OptionError(f"name the data: FILE{flags}")
    return found


def part(task: type[Task], given: dict[str, Any], file: Path | None, name: str = "") -> Source | None:
    """The same of a part of the data ("valid", "test"), or None."""
    flags = {field.name: flag_of(name, field.name) for field in dataclasses.fields(task.Files)}
    named = {field: given.pop(flag) for field, flag in flags.items() if flag in given}
    return task.source(file, task.Files.of(named))


def options(task: type[Task], given: Mapping[str, Any], settings: list[str], base: Mapping[str, Any]) -> Any:
    """The task's options: those of `base`, then what flags give, then what --set gives."""
    texts = [f"{name}={value}" for name, value in given.items()]
    return task.Options.of(base).with_settings([*texts, *settings])
