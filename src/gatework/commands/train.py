"""`gatework train TASK FILE`: trains on people's own data and leaves a run folder."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatework.commands import jobs
from gatework.errors import OptionError

if TYPE_CHECKING:
    from gatework.tasks.jobs import Trained


def register(app: typer.Typer) -> None:
    jobs.register(app, train, HELP)


HELP = "Train a model on your data: a run folder with everything in it."


def train(
    task: Any,
    given: dict[str, Any],
    *,
    file: jobs.Data,
    out: Annotated[
        Path | None, typer.Option(help="The run folder.", show_default="runs/NAME-OF-FILE, with a number if taken")
    ] = None,
    valid: jobs.Valid = None,
    test: jobs.Test = None,
    settings: jobs.Settings = None,
    config: Annotated[
        Path | None, typer.Option(help="Options in a TOML file (see gatework init), a config.json, or a run folder.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--from", metavar="RUN", help="Start from the weights of another run.")
    ] = None,
    prune: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="Cut this share of that run's units first, those with the smallest weights."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in the run folder; see gatework resume.")
    ] = False,
    quiet: jobs.Quiet = False,
) -> None:
    """Train a model; the result stands beside simple baselines."""
    from gatework.tasks import jobs as verbs
    from gatework.training.settings import read

    if resume and config is not None:
        raise OptionError("a resumed training has the options that it began with; leave --config out")
    base = read(config, task.Options, task.name) if config else {}
    source = jobs.data(task, given, file)
    valid, test = jobs.part(task, given, valid, "valid"), jobs.part(task, given, test, "test")
    base = verbs.begun(task, source, out).options if resume else base
    chosen = task(jobs.options(task, given, settings or [], base))
    how: dict[str, Any] = {"out": out, "resume": resume, "overwrite": overwrite, "quiet": quiet}
    how |= {"start": start, "prune": prune}
    end(verbs.train(chosen, source, valid=valid, test=test, **how))


def end(trained: Trained) -> None:
    """The last words of a training: its result and its page, or how to go on where it was interrupted."""
    from gatework import report

    path = trained.run.path
    if trained.interrupted:
        if trained.leads:
            command = shlex.join(["gatework", "resume", str(path)])
            typer.echo(f"interrupted; the training is saved in {path}. Go on with: {command}", err=True)
        raise typer.Exit(jobs.INTERRUPTED)
    if trained.leads:
        show(trained.run.results(), path)
        typer.echo(f"page: {report.write(trained.run)}")


def show(results: dict[str, Any], out: Path) -> None:
    """The result beside those of the model's parts and of the baselines, and where everything is."""
    from gatework.training.console import table

    where = "test" if results["test"] else "valid"
    rows = {f"model ({where})": results[where]}
    rows |= {each["name"]: each["metrics"] for each in results["contenders"] if each["role"] != "model"}
    verdict = " ".join(filter(None, (results.get("caution"), results["verdict"])))
    typer.echo(f"{table(rows)}\n{verdict}\nrun: {out}")
