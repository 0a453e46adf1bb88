"""`gatework evaluate RUN FILE`: how good a trained model is on other data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gatework.commands import flags, jobs
from gatework.commands.told import spoken_warnings
from gatework.commands.train import show
from gatework.errors import OptionError


def register(app: typer.Typer) -> None:
    flags.register(app, evaluate, "Evaluating")


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    file: Annotated[Path | None, typer.Argument(help="The data; without it, the results of the training.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="The page to write.", show_default="evaluation-NAME.html in the run folder")
    ] = None,
    reading: jobs.Reading = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; a page is written only where --report names it.")
    ] = False,
    *,
    given: dict[str, Any],
) -> None:
    """Measure a trained model on other data; a page shows the result."""
    from gatework.training.run import Run

    if given:
        otherwise(run, file, report, reading or [], as_json, given)
    elif file is not None:
        measure(run, file, report, reading or [], as_json)
    else:
        results = Run.open(run).results()
        typer.echo(json.dumps(results, indent=2)) if as_json else show(results, run)


def otherwise(
    run: Path, file: Path | None, report: Path | None, reading: list[str], as_json: bool, given: dict[str, Any]
) -> None:
    """The evaluation that the task's own flags ask for, in place of the usual one."""
    from gatework.tasks.jobs import load

    trained = load(run, reading=reading)
    how = flags.chosen(trained.task, "Evaluating", given, run)
    if report is not None:
        raise OptionError(f"--report is the page of the usual evaluation; leave it out, or --{next(iter(given))}")
    with spoken_warnings():
        found = trained.task.evaluated(trained, file, how)
    typer.echo("\n".join(map(json.dumps, found.rows)) if as_json else found.text)


def measure(run: Path, file: Path, report: Path | None, reading: list[str], as_json: bool) -> None:
    """Metrics on the screen, and a page."""
    from gatework.report import evaluation
    from gatework.tasks.jobs import LEARNED, load
    from gatework.training.console import table

    trained = load(run, reading=reading)
    if trained.learned_from(file):
        typer.echo(f"note: {LEARNED}", err=True)
    with spoken_warnings():
        if as_json and report is None:
            typer.echo(json.dumps(trained.evaluate(file)))
            return
        metrics, page = evaluation(trained, file, report)
    typer.echo(json.dumps(metrics) if as_json else table({file.name: metrics}))
    typer.echo(f"report: {page}", err=as_json)
