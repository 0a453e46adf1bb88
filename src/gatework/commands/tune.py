"""`gatework tune TASK FILE`: searches for good settings, and says honestly whether they beat the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gatework.commands import jobs

Out = Annotated[Path | None, typer.Option(help="The study's folder.", show_default="runs/NAME-OF-FILE-tuned")]
Trials = Annotated[
    int | None, typer.Option(help="Trials in all.", show_default="20 without --minutes; grid: all points")
]
Minutes = Annotated[float | None, typer.Option(help="Minutes of searching in all; the final trainings come on top.")]
Folds = Annotated[int, typer.Option(help="Number of folds to cross-validate each trial with; 0: one validation part.")]
Storage = Annotated[
    str | None, typer.Option(metavar="URL", help="A database that machines share: postgresql://USER@HOST/NAME.")
]
Searched = Annotated[
    list[str] | None,
    typer.Option(
        "--search", metavar="NAME=VALUES", help='Search an option too: "hidden_size=32..256 log", "cell=lstm,gru".'
    ),
]
HELP = "Search for good settings, and train with the best of them."


def register(app: typer.Typer) -> None:
    jobs.register(app, tune, HELP)


def tune(
    task: Any,
    given: dict[str, Any],
    *,
    file: jobs.Data = None,
    out: Out = None,
    valid: jobs.Valid = None,
    test: jobs.Test = None,
    trials: Trials = None,
    minutes: Minutes = None,
    workers: Annotated[int, typer.Option(help="Processes, each with one thread.")] = 1,
    sampler: Annotated[str, typer.Option(help="How settings are drawn: tpe, random, grid.")] = "tpe",
    pruner: Annotated[str, typer.Option(help="How lagging trials are ended: median, hyperband, none.")] = "median",
    folds: Folds = 0,
    seeds: Annotated[int, typer.Option(help="Trainings of each finalist, with fresh seeds.")] = 3,
    storage: Storage = None,
    space: Annotated[Path | None, typer.Option(help="A TOML file with the options to search.")] = None,
    searched: Searched = None,
    only: Annotated[bool, typer.Option("--only", help="Search what --search names, and nothing else.")] = False,
    show_space: Annotated[bool, typer.Option("--show-space", help="Print the default space as TOML.")] = False,
    settings: jobs.Settings = None,
    quiet: jobs.Quiet = False,
) -> None:
    """Search for good settings; the same command goes on with a search that was ended or killed.

    Options that are set hold in every trial. The first trial has the defaults.
    """
    from gatework.tasks.origin import title
    from gatework.training.options import setting_name
    from gatework.tuning import entry
    from gatework.tuning import space as spaces

    if show_space:
        typer.echo(spaces.default_text(task) or f"# {task.name} has no default space", nl=False)
        return
    source = jobs.data(task, given, file)
    valid, test = jobs.part(task, given, valid, "valid"), jobs.part(task, given, test, "test")
    out = out or Path("runs") / f"{title(source) or task.name}-tuned"
    chosen = jobs.options(task, given, settings or [], {})
    named = {*given, *map(setting_name, settings or [])}
    held = {name: getattr(chosen, name) for name in named}
    how = {"trials": trials, "minutes": minutes, "workers": workers, "sampler": sampler, "pruner": pruner}
    how |= {"folds": folds, "seeds": seeds, "storage": storage, "space": space, "only": only, "quiet": quiet}
    edits = spaces.settings(searched or [])
    tuned = entry.tune(task, source, out=out, valid=valid, test=test, options=held, edits=edits, **how)
    typer.echo(f"{tuned.verdict}\npage: {out / entry.PAGE}" if tuned.rows else tuned.verdict)
    if tuned.interrupted:
        typer.echo("interrupted; the same command goes on with the search", err=True)
        raise typer.Exit(jobs.INTERRUPTED)
    typer.echo(f"run: {out / entry.BEST}")
