"""`gatework evaluate RUN FILE`: how good a trained model is on other data."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Annotated

import typer

from gatework.commands import jobs
from gatework.commands.train import show
from gatework.errors import OptionError


def register(app: typer.Typer) -> None:
    app.command()(evaluate)


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    file: Annotated[Path | None, typer.Argument(help="The data; without it, the results of the training.")] = None,
    windows: Annotated[
        int | None, typer.Option(help="Forecasts: train anew at so many earlier dates of FILE, and measure each.")
    ] = None,
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

    if windows is not None:
        show_backtest(run, file, windows, as_json)
        return
    if file is None:
        results = Run.open(run).results()
        typer.echo(json.dumps(results, indent=2)) if as_json else show(results, run)
        return
    trained = load(run)
    with jobs.spoken_warnings():
        if as_json and report is None:
            typer.echo(json.dumps(trained.evaluate(file)))
            return
        metrics, page = evaluation(trained, file, report)
    typer.echo(json.dumps(metrics) if as_json else jobs.table({file.name: metrics}))
    typer.echo(f"report: {page}", err=as_json)


def show_backtest(run: Path, file: Path | None, windows: int, as_json: bool) -> None:
    """Errors at several earlier dates, of models with the run's options and of the baselines."""
    from gatework.tasks.forecast.backtest import backtest
    from gatework.tasks.jobs import load

    if file is None:
        raise OptionError("--windows trains anew on a file: gatework evaluate RUN FILE --windows 3")
    options = dataclasses.replace(load(run, "forecast").task.options, unit=None)  # measured anew at each date
    rows = backtest(options, file, windows)  # pyright: ignore[reportArgumentType]
    if as_json:
        typer.echo("\n".join(json.dumps(row) for row in rows))
        return
    for (origin, until), group in itertools.groupby(rows, key=lambda row: (row["origin"], row["until"])):
        table = {row["method"]: {k: v for k, v in row.items() if isinstance(v, float)} for row in group}
        typer.echo(f"origin {origin}: trained on what was known up to {until}\n{jobs.table(table)}\n")
