"""`gatework evaluate RUN FILE`: how good a trained model is on other data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gatework.commands import jobs
from gatework.commands.train import show


def register(app: typer.Typer) -> None:
    app.command()(evaluate)


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    file: Annotated[Path | None, typer.Argument(help="The data; without it, the results of the training.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="The page to write.", show_default="evaluation-NAME.html in the run folder")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; a page is written only where --report names it.")
    ] = False,
) -> None:
    """Measure a trained model on other data; a page shows the result."""
    from gatework.report import evaluation
    from gatework.tasks.jobs import load
    from gatework.training.run import Run

    if file is None:
        results = Run.open(run).results()
        typer.echo(json.dumps(results, indent=2)) if as_json else show(results, run)
        return
    trained = load(run)
    if as_json and report is None:
        typer.echo(json.dumps(trained.evaluate(file)))
        return
    metrics, page = evaluation(trained, file, report)
    typer.echo(json.dumps(metrics) if as_json else jobs.table({file.name: metrics}))
    typer.echo(f"report: {page}", err=as_json)
