"""`gatework train TASK FILE`: trains on people's own data and leaves a run folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from gatework.commands import jobs


def register(app: typer.Typer) -> None:
    jobs.register(app, train, HELP)


HELP = "Train a model on your data: a run folder with everything in it."


def train(
    task: Any,
    given: dict[str, Any],
    *,
    file: jobs.Data,
    out: Annotated[Path | None, typer.Option(help="The run folder.", show_default="runs/NAME-OF-FILE")] = None,
    valid: jobs.Valid = None,
    test: jobs.Test = None,
    settings: jobs.Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in the run folder.")] = False,
    quiet: jobs.Quiet = False,
) -> None:
    """Train a model; the result stands beside simple baselines."""
    from gatework import report
    from gatework.tasks.jobs import train as train_task
    from gatework.tasks.origin import files_of
    from gatework.training.run import Run

    named = {"valid": valid, "test": test, **given}  # less what is left in `given`, they are names of files
    source = jobs.data(task, given, file)
    valid, test = jobs.part(task, given, valid, "valid"), jobs.part(task, given, test, "test")
    out = out or Path("runs") / files_of(source)[0].name.partition(".")[0]
    base = Run.open(out, task.name).options if resume else {}
    chosen = task(jobs.options(task, given, settings or [], base))
    trained = train_task(chosen, source, valid=valid, test=test, out=out, resume=resume, quiet=quiet)
    if trained.interrupted:
        if trained.leads:
            command = again(task.name, file, out, {name: path for name, path in named.items() if name not in given})
            typer.echo(f"interrupted; the training is saved in {out}. Go on with: {command}", err=True)
        raise typer.Exit(jobs.INTERRUPTED)
    if trained.leads:
        show(trained.run.results(), out)
        typer.echo(f"report: {report.write(trained.run)}")


def again(task: str, file: Path | None, out: Path, named: Mapping[str, Path | str | None]) -> str:
    """The command that goes on with a training; `named` are the flags that name further files."""
    flags = {"out": out, **named}
    others = [word for name, path in flags.items() if path for word in (f"--{name.replace('_', '-')}", str(path))]
    return shlex.join(["gatework", "train", task, *([str(file)] if file else []), *others, "--resume"])


def show(results: dict[str, Any], out: Path) -> None:
    """The result beside those of the model's parts and of the baselines, and where everything is."""
    from gatework.training.console import table

    where = "test" if results["test"] else "valid"
    rows = {f"model ({where})": results[where]}
    rows |= {each["name"]: each["metrics"] for each in results["contenders"] if each["role"] != "model"}
    typer.echo(f"{table(rows)}\n{results['verdict']}\nrun: {out}")
