"""From options to flags: of one task for the verbs that name a task, of all tasks for the verbs that name a run."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from gatework.commands.complete import completion
from gatework.commands.told import spoken_warnings
from gatework.errors import OptionError

if TYPE_CHECKING:
    from gatework.tasks.base import Task
    from gatework.training.options import Options

BASIC, ALL = "basic options of the task", "gatework.help_all"  # a heading; a key of a context's notes
# The order of their headings; others come after them.
PANELS = ("arguments", "options", "data", "text", "model", "loss", "regularisation", "training", "baselines", "results")
FILLED = ("task", "given")  # parameters of a verb's function that are no flags
PARTS = ("valid", "test")  # parameters that name data beside FILE
Verb = Literal["Predicting", "Evaluating", "Explaining", "Files"]


class Grouped(TyperCommand):
    """A command whose help lists the task's options under the headings of their panels, its own options first.

    Where it has `more`, options that are not basic, its help leaves these out unless all are asked for.
    """

    more: frozenset[str] = frozenset()

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:
        short = bool(self.more) and not ctx.meta.get(ALL)
        records: dict[str, list[tuple[str, str]]] = {}
        left = 0
        for param in sorted(self.get_params(ctx), key=_place):
            if short and param.name in self.more:
                left += 1
            elif record := param.get_help_record(ctx):
                records.setdefault(_panel(param, short), []).append(record)
        for panel, rows in records.items():
            with formatter.section(panel.capitalize()):
                formatter.write_dl(rows)
        if short:
            formatter.write_paragraph()
            formatter.write_text(f"{left} further options: {ctx.command_path} --help-all")


def _panel(param: object, short: bool = False) -> str:
    """The heading under which a parameter stands; in short all options of the task have one."""
    if getattr(param, "param_type_name", None) == "argument":
        return "arguments"
    panel = getattr(param, "rich_help_panel", None)
    return "options" if panel is None else BASIC if short else panel


def _place(param: object) -> int:
    """Of a parameter's heading among the others; those that are not listed come last."""
    panel = _panel(param)
    return PANELS.index(panel) if panel in PANELS else len(PANELS)


def show_all(ctx: typer.Context, wanted: bool) -> None:
    """What --help-all does."""
    if wanted:
        ctx.meta[ALL] = True
        typer.echo(ctx.get_help())
        raise typer.Exit()


HELP_ALL = inspect.Parameter(
    "help_all",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[
        bool,
        typer.Option("--help-all", is_eager=True, expose_value=False, callback=show_all, help="Show every option."),
    ],
)


# -- verbs that name a task ---------------------------------------------------------------------------------


def with_options(task: type[Task], action: Callable[..., None]) -> Callable[..., None]:
    """The action with a parameter for each option, and for each file that the task's data may be in, of each part that
    the action takes; None stands for "not given"."""
    own, files = parameters(action), dataclasses.fields(task.Files)
    flags = [HELP_ALL, *map(partial(_of_task, task), dataclasses.fields(task.Options))]
    flags += [flag(field, shown="file") for field in files]
    for part in (part for part in PARTS if part in own):
        flags += [flag(field, f"the same of --{part}", shown="file", name=flag_of(part, field.name)) for field in files]
    if files:
        own["file"] = own["file"].replace(default=None)
    return extended(action, own, flags, task=task)


def _of_task(task: type[Task], field: dataclasses.Field[Any]) -> inspect.Parameter:
    """The flag of a task's option."""
    from gatework.training.options import kinds, said_of

    complete = completion(field, said_of(task.Options, field.name, "completes"))
    return flag(field, shown=kinds(task.Options)[field.name][0].__name__, complete=complete)


def further(task: type[Task]) -> frozenset[str]:
    """The options of a task that are not basic, and the flags of parts of its data."""
    from gatework.training.options import said_of

    names = [field.name for field in dataclasses.fields(task.Options)]
    parts = {flag_of(part, field.name) for part in PARTS for field in dataclasses.fields(task.Files)}
    return frozenset(name for name in names if not said_of(task.Options, name, "basic")) | parts


def flag_of(part: str, name: str) -> str:
    """The flag of a file of a part of the data: "valid_target" of "target"."""
    return f"{part}_{name}" if part else name


def parameters(action: Callable[..., None]) -> dict[str, inspect.Parameter]:
    """An action's own parameters, which are flags of it."""
    every = inspect.signature(action, eval_str=True).parameters
    return {name: each for name, each in every.items() if name not in FILLED}


def extended(
    action: Callable[..., None],
    own: Mapping[str, inspect.Parameter],
    flags: Sequence[inspect.Parameter],
    **fixed: object,
) -> Callable[..., None]:
    """The action with further flags, whose values it gets as the mapping `given`."""

    def command(**values: object) -> None:
        values.pop(HELP_ALL.name, None)
        values = {name: value if name in own else _as_text(value) for name, value in values.items()}
        given = {name: value for name, value in values.items() if name not in own and value is not None}
        action(**fixed, given=given, **{name: value for name, value in values.items() if name in own})

    every = [*own.values(), *flags]
    command.__signature__ = inspect.Signature(every)
    command.__annotations__ = {each.name: each.annotation for each in every}
    return command


def _as_text(value: object) -> object:
    """What a flag that may stand several times was given, as one text; nothing where it was not."""
    return (",".join(value) or None) if isinstance(value, list | tuple) else value


def flag(
    field: dataclasses.Field[Any],
    text: str = "",
    kind: type | None = None,
    shown: str = "",
    name: str = "",
    complete: Callable[..., list[str]] | None = None,
) -> inspect.Parameter:
    """The flag of an option; `text`, `kind` and `name` stand in place of its own help, its default's type and its name.
    `shown` is the type that help names where the flag takes a text: as "none" can be typed, or several values.
    `complete`: what a shell offers for its value."""
    if kind is None:
        kind = type(field.default) if field.default is not None and not isinstance(field.default, tuple) else str
    name = name or field.name
    spelled = name.replace("_", "-")
    names = f"--{spelled}/--no-{spelled}" if kind is bool else f"--{spelled}"
    text, panel = text or field.metadata["help"] + _choices(field) + _default(field), field.metadata["panel"]
    several = isinstance(field.default, tuple)  # --target a --target b, or --target a,b
    metavar = f"<{shown or 'str'}>" if kind is str and (shown or several) else None
    option = typer.Option(
        names, help=text, show_default=False, rich_help_panel=panel, metavar=metavar, autocompletion=complete
    )
    annotation = Annotated[(list[str] if several else kind) | None, option]
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
        made.command()(extended(action, parameters(action), flags))
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
