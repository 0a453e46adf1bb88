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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a trained model on other data."""
    from gatework.tasks.jobs import load
    from gatework.training.run import Run

    if file is None:
        results = Run.open(run).results()
        typer.echo(json.dumps(results, indent=2)) if as_json else show(results, run)
        return
    metrics = load(run).evaluate(file)
    typer.echo(json.dumps(metrics) if as_json else jobs.table({file.name: metrics}))
