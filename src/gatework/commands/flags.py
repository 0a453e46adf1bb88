"""From options to flags: of one task for the verbs that name a task, of all tasks for the verbs that name a run."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from gatework.commands.told import spoken_warnings
from gatework.errors import OptionError

if TYPE_CHECKING:
    from gatework.tasks.base import Task
    from gatework.training.options import Options

# The order of their headings; others come after them.
PANELS = ("arguments", "options", "data", "text", "model", "loss", "regularisation", "training", "baselines", "results")
FILLED = ("task", "given")  # parameters of a verb's function that are no flags
PARTS = ("valid", "test")  # parameters that name data beside FILE
Verb = Literal["Predicting", "Evaluating", "Explaining", "Files"]


class Grouped(TyperCommand):
    """A command whose help lists the task's options under the headings of their panels, its own options first."""

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:
        records: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                argument = param.param_type_name == "argument"
                panel = "arguments" if argument else getattr(param, "rich_help_panel", None) or "options"
                records.setdefault(panel, []).append(record)
        for panel in sorted(records, key=lambda each: PANELS.index(each) if each in PANELS else len(PANELS)):
            with formatter.section(panel.capitalize()):
                formatter.write_dl(records[panel])


# -- verbs that name a task ---------------------------------------------------------------------------------


def with_options(task: type[Task], action: Callable[..., None]) -> Callable[..., None]:
    """The action with a parameter for each option, and for each file that the task's data may be in, of each part that
    the action takes; None stands for "not given"."""
    from gatework.training.options import kinds

    types = kinds(task.Options)
    flags = [flag(field, shown=types[field.name][0].__name__) for field in dataclasses.fields(task.Options)]
    own, files = _parameters(action), dataclasses.fields(task.Files)
    flags += [flag(field, shown="file") for field in files]
    for part in (part for part in PARTS if part in own):
        flags += [flag(field, f"the same of --{part}", shown="file", name=flag_of(part, field.name)) for field in files]
    if files:
        own["file"] = own["file"].replace(default=None)
    return _extended(action, own, flags, task=task)


def flag_of(part: str, name: str) -> str:
    """The flag of a file of a part of the data: "valid_target" of "target"."""
    return f"{part}_{name}" if part else name


def _parameters(action: Callable[..., None]) -> dict[str, inspect.Parameter]:
    """An action's own parameters, which are flags of it."""
    parameters = inspect.signature(action, eval_str=True).parameters
    return {name: each for name, each in parameters.items() if name not in FILLED}


def _extended(
    action: Callable[..., None],
    own: Mapping[str, inspect.Parameter],
    flags: Sequence[inspect.Parameter],
    **fixed: object,
) -> Callable[..., None]:
    """The action with further flags, whose values it gets as the mapping `given`."""

    def command(**values: object) -> None:
        given = {name: value for name, value in values.items() if name not in own and value is not None}
        action(**fixed, given=given, **{name: value for name, value in values.items() if name in own})

    parameters = [*own.values(), *flags]
    command.__signature__ = inspect.Signature(parameters)
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def flag(
    field: dataclasses.Field[Any], text: str = "", kind: type | None = None, shown: str = "", name: str = ""
) -> inspect.Parameter:
    """The flag of an option; `text`, `kind` and `name` stand in place of its own help, its default's type and its name.
    `shown` is the type that help names where the flag takes a text: as "none" can be typed, or several values."""
    if kind is None:
        kind = type(field.default) if field.default is not None and not isinstance(field.default, tuple) else str
    name = name or field.name
    spelled = name.replace("_", "-")
    names = f"--{spelled}/--no-{spelled}" if kind is bool else f"--{spelled}"
    text, panel = text or field.metadata["help"] + _choices(field) + _default(field), field.metadata["panel"]
    metavar = f"<{shown}>" if kind is str and shown else None
    option = typer.Option(names, help=text, show_default=False, rich_help_panel=panel, metavar=metavar)
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _choices(field: dataclasses.Field[Any]) -> str:
    choices = field.metadata.get("choices")
    return f": {', '.join(map(str, choices))}" if choices else ""


def _default(field: dataclasses.Field[Any]) -> str:
    default = ",".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
    if isinstance(default, bool):
        return " [yes]" if default else " [no]"
    return "" if default in (None, "") else f" [{default}]"


# -- verbs that name a run: its task is known when the run is opened ----------------------------------------


def register(
    app: typer.Typer, action: Callable[..., None], verbs: Sequence[Verb], more: Callable[[], str] = str
) -> None:
    """Adds `action` as a command whose flags are its own and those that any task takes: the fields of `Task.<verb>`.

    The tasks are imported, and torch with them, when the command runs or shows its help, not before. `more` gives
    further paragraphs for that help.
    """

    @cache
    def whole() -> Any:
        flags = [_flag_of(verb, name, found) for verb in verbs for name, found in takers(verb).items()]
        made = typer.Typer(add_completion=False)
        made.command()(_extended(action, _parameters(action), flags))
        return typer.main.get_command(made)

    class OfRuns(Grouped):
        """The command without what needs the tasks; what it does is done by the whole one."""

        def get_params(self, ctx: typer.Context) -> list[Any]:
            return [*whole().params, super().get_params(ctx)[-1]]

        def invoke(self, ctx: typer.Context) -> Any:
            return whole().invoke(ctx)

        def format_help_text(self, ctx: typer.Context, formatter: Any) -> None:
            self.help = "\n\n".join(filter(None, (inspect.getdoc(action), more())))
            super().format_help_text(ctx, formatter)

    app.command(action.__name__, cls=OfRuns, help=inspect.getdoc(action))(lambda: None)


def _flag_of(verb: Verb, name: str, found: Sequence[tuple[str, dataclasses.Field[Any]]]) -> inspect.Parameter:
    """The flag of an option that some tasks take; several values are one text, which `chosen` parts."""
    from gatework import tasks
    from gatework.training.options import kinds

    task, field = found[0]
    base, _, many = kinds(getattr(tasks.get(task), verb))[name]
    return flag(field, _told(found), str if many else base)


def takers(verb: Verb) -> dict[str, list[tuple[str, dataclasses.Field[Any]]]]:
    """Option -> the tasks that take it with a verb, each with its field."""
    from gatework import tasks

    found: dict[str, list[tuple[str, dataclasses.Field[Any]]]] = {}
    with spoken_warnings():
        for name, task in tasks.working().items():
            for field in dataclasses.fields(getattr(task, verb)):
                found.setdefault(field.name, []).append((name, field))
    return found


def _told(found: Sequence[tuple[str, dataclasses.Field[Any]]]) -> str:
    """What an option means, and for runs of which tasks."""
    meanings: dict[str, list[str]] = {}
    for task, field in found:
        meanings.setdefault(field.metadata["help"] + _choices(field) + _default(field), []).append(task)
    return "; ".join(f"{text} ({', '.join(names)})" for text, names in meanings.items())


def chosen(task: Task, verb: Verb, given: Mapping[str, Any], run: Path) -> Options:
    """The options of a verb for a run of this task; refuses those of others, and says whose they are."""
    kind: type[Options] = getattr(task, verb)
    own = {field.name for field in dataclasses.fields(kind)}
    for name in given:
        if name not in own:
            others = " and ".join(repr(other) for other, _ in takers(verb)[name])
            spelled = name.replace("_", "-")
            raise OptionError(f"--{spelled} works for runs of {others}; {run} holds a run of {task.name!r}")
    return kind.of({name: _read(kind, name, value) for name, value in given.items()})


def files(task: Task, given: dict[str, Any], run: Path) -> Options:
    """The files that flags name beside FILE, for a run of this task; they are taken out of `given`."""
    named = takers("Files")
    return chosen(task, "Files", {name: given.pop(name) for name in [*given] if name in named}, run)


def _read(kind: type[Options], name: str, value: Any) -> Any:
    """A flag's value as the option takes it; a text that is meant as it stands is not touched."""
    from gatework.training.options import kinds, parsed

    base, _, many = kinds(kind)[name]
    return parsed(kind, name, value) if isinstance(value, str) and (many or base is not str) else value
