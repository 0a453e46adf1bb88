"""`gatework evaluate RUN FILE`: how good a trained model is on other data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatework.commands import flags, jobs
from gatework.commands.told import spoken_warnings
from gatework.commands.train import show
from gatework.errors import OptionError

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.tasks.jobs import Trained


def register(app: typer.Typer) -> None:
    flags.register(app, evaluate, ["Evaluating", "Files"])


def evaluate(
    run: jobs.Run,
    file: Annotated[Path | None, typer.Argument(help="The data; without it, the results of the training.")] = None,
    page: Annotated[
        Path | None, typer.Option(help="The page to write.", show_default="evaluation-NAME.html in the run folder")
    ] = None,
    reading: jobs.Reading = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; a page is written only where --page names it.")
    ] = False,
    *,
    given: dict[str, Any],
) -> None:
    """Measure a trained model on other data; a page shows the result."""
    from gatework.tasks.jobs import load
    from gatework.training.run import Run

    if file is None and not given:
        results = Run.open(run).results()
        typer.echo(json.dumps(results, indent=2)) if as_json else show(results, run)
        return
    trained = load(run, reading=reading or [])
    source = trained.task.source(file, flags.files(trained.task, given, run))
    if given:
        otherwise(trained, source, page, as_json, given)
    else:
        measure(trained, source, page, as_json)


def otherwise(trained: Trained, source: Source | None, page: Path | None, as_json: bool, given: dict[str, Any]) -> None:
    """The evaluation that the task's own flags ask for, in place of the usual one."""
    how = flags.chosen(trained.task, "Evaluating", given, trained.run.path)
    if page is not None:
        raise OptionError(f"--page is the page of the usual evaluation; leave it out, or --{next(iter(given))}")
    with spoken_warnings():
        found = trained.task.evaluated(trained, source, how)
    typer.echo("\n".join(map(json.dumps, found.rows)) if as_json else found.text)


def measure(trained: Trained, source: Source, page: Path | None, as_json: bool) -> None:
    """Metrics on the screen, and a page."""
    from gatework.report import evaluation
    from gatework.tasks.jobs import LEARNED
    from gatework.tasks.origin import named, shown
    from gatework.training.console import table

    if trained.learned_from(source):
        typer.echo(f"note: {LEARNED}", err=True)
    with spoken_warnings():
        if as_json and page is None:
            typer.echo(json.dumps(trained.evaluate(source)))
            return
        metrics, written = evaluation(trained, source, page)
    typer.echo(json.dumps(metrics) if as_json else table({shown(named(source)): metrics}))
    typer.echo(f"page: {written}", err=as_json)
