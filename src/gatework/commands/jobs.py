"""What the commands of the jobs share: a command per task whose flags are read off the task's options."""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from gatework.tasks.base import Task

INTERRUPTED = 130  # the exit code of a program that Ctrl-C ended
# The order of their headings
PANELS = ("data", "text", "model", "loss", "regularisation", "training", "baselines", "results")


# What these commands have in common.
DATA = typer.Argument(help="The data: a file, or a folder of files.")
Data = Annotated[Path, DATA]
Valid = Annotated[Path | None, typer.Option(help="Data for choices, instead of a part of FILE.")]
Test = Annotated[Path | None, typer.Option(help="Data to test on, instead of a part of FILE.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any option.")]
Reading = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="How FILE is read, where it differs: text=Review encoding=cp1252."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show nothing but the result.")]


class Grouped(TyperCommand):
    """A command whose help lists the task's options under the headings of their panels, its own options first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        records: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                argument = param.param_type_name == "argument"
                panel = "arguments" if argument else getattr(param, "rich_help_panel", None) or "options"
                records.setdefault(panel, []).append(record)
        for panel in ("arguments", "options", *PANELS):
            if panel in records:
                with formatter.section(panel.capitalize()):
                    formatter.write_dl(records[panel])


def register(app: typer.Typer, action: Callable[..., None], text: str) -> None:
    """Adds `action` as a group, with one command for each task, under its own name."""
    app.add_typer(typer.Typer(cls=per_task(action), no_args_is_help=True, help=text), name=action.__name__)


def per_task(action: Callable[..., None]) -> type[TyperGroup]:
    """A group with one command for each task: `action(task, given, **others)` with the task's options as flags.

    `action` has keyword parameters annotated for typer; `task` and `given` (options named on the command line, as
    texts or values) are filled in here. Commands are built when they are asked for, as tasks import torch.
    """

    class Tasks(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            from gatework import tasks

            return tasks.names()

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            from gatework import tasks

            return _command(tasks.get(cmd_name), action)

    return Tasks


def _command(task: type[Task], action: Callable[..., None]) -> Any:
    text = f"{inspect.getdoc(action)}\n\n{_first_line(task)}"
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    app.command(task.name, cls=Grouped, help=text, short_help=_first_line(task))(_filled(task, action))
    return typer.main.get_command(app)


def _first_line(task: type[Task]) -> str:
    return (inspect.getdoc(task) or "").partition("\n")[0]


def _filled(task: type[Task], action: Callable[..., None]) -> Callable[..., None]:
    """The action with a parameter for each option; None stands for "not given"."""
    own = [each for each in inspect.signature(action, eval_str=True).parameters.values() if each.name not in _INNER]
    flags = [_flag(field) for field in dataclasses.fields(task.Options)]
    names = {flag.name for flag in flags}

    def command(**values: Any) -> None:
        given = {name: value for name, value in values.items() if name in names and value is not None}
        action(task, given, **{name: value for name, value in values.items() if name not in names})

    parameters = [*own, *flags]
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


_INNER = ("task", "given")


def _flag(field: dataclasses.Field[Any]) -> inspect.Parameter:
    kind = type(field.default) if field.default is not None and not isinstance(field.default, tuple) else str
    spelled = field.name.replace("_", "-")
    names = f"--{spelled}/--no-{spelled}" if kind is bool else f"--{spelled}"
    text, panel = field.metadata["help"] + _choices(field) + _default(field), field.metadata["panel"]
    annotation = Annotated[kind | None, typer.Option(names, help=text, show_default=False, rich_help_panel=panel)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _choices(field: dataclasses.Field[Any]) -> str:
    choices = field.metadata.get("choices")
    return f": {', '.join(map(str, choices))}" if choices else ""


def _default(field: dataclasses.Field[Any]) -> str:
    default = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
    if isinstance(default, bool):
        return " [yes]" if default else " [no]"
    return "" if default in (None, "") else f" [{default}]"


@contextmanager
def spoken_warnings() -> Iterator[None]:
    """Warnings reach the user as one line each, without the place in the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_: typer.echo(f"warning: {message}", err=True)
        yield


def options(task: type[Task], given: Mapping[str, Any], settings: list[str], base: Mapping[str, Any]) -> Any:
    """The task's options: those of `base`, then what flags give, then what --set gives."""
    texts = [f"{name}={value}" for name, value in given.items()]
    return task.Options.of(base).with_settings([*texts, *settings])


def table(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Names down, metrics across, aligned in plain text."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = [["", *columns]]
    lines += [[name, *(f"{row[key]:.4f}" if key in row else "-" for key in columns)] for name, row in rows.items()]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns) + 1)]
    return "\n".join(
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(cells))
        for cells in (list(zip(line, widths, strict=True)) for line in lines)
    )
