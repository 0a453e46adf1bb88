"""`gatework evaluate RUN FILE`: how good a trained model is on other data."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gatework.commands import jobs
from gatework.commands.train import show
from gatework.errors import OptionError

BACKTEST = "backtest.json"  # in the run folder


def register(app: typer.Typer) -> None:
    app.command()(evaluate)


def evaluate(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    file: Annotated[Path | None, typer.Argument(help="The data; without it, the results of the training.")] = None,
    backtest: Annotated[
        int | None, typer.Option(help="Forecasts: train anew at so many earlier dates of FILE, and measure each.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="The page to write.", show_default="evaluation-NAME.html in the run folder")
    ] = None,
    reading: jobs.Reading = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; a page is written only where --report names it.")
    ] = False,
) -> None:
    """Measure a trained model on other data; a page shows the result."""
    from gatework.report import evaluation
    from gatework.tasks.jobs import LEARNED, load
    from gatework.training.run import Run

    if backtest is not None:
        show_backtest(run, file, backtest, as_json, reading or ())
        return
    if file is None:
        results = Run.open(run).results()
        typer.echo(json.dumps(results, indent=2)) if as_json else show(results, run)
        return
    trained = load(run, reading=reading or ())
    if trained.learned_from(file):
        typer.echo(f"note: {LEARNED}", err=True)
    with jobs.spoken_warnings():
        if as_json and report is None:
            typer.echo(json.dumps(trained.evaluate(file)))
            return
        metrics, page = evaluation(trained, file, report)
    typer.echo(json.dumps(metrics) if as_json else jobs.table({file.name: metrics}))
    typer.echo(f"report: {page}", err=as_json)


def show_backtest(run: Path, file: Path | None, windows: int, as_json: bool, reading: Sequence[str] = ()) -> None:
    """Errors at several earlier dates, of models with the run's options and of the baselines."""
    from gatework.tasks.forecast.backtest import backtest, summary, verdict
    from gatework.tasks.jobs import load
    from gatework.training.files import write_json

    if file is None:
        raise OptionError("--backtest trains anew on a file: gatework evaluate RUN FILE --backtest 3")
    options = dataclasses.replace(load(run, "forecast", reading).task.options, unit=None)  # measured anew at each date
    rows = backtest(options, file, windows)  # pyright: ignore[reportArgumentType]
    found = {"summary": summary(rows), "verdict": verdict(rows)}
    write_json(run / BACKTEST, {"file": str(file), "windows": windows, "rows": rows, **found})
    if as_json:
        typer.echo("\n".join(json.dumps(each) for each in (*rows, found)))
        return
    for (origin, until), group in itertools.groupby(rows, key=lambda row: (row["origin"], row["until"])):
        table = {row["method"]: {k: v for k, v in row.items() if isinstance(v, float)} for row in group}
        typer.echo(f"origin {origin}: trained on what was known up to {until}\n{jobs.table(table)}\n")
    for what, suffix in (("mean", ""), ("spread (standard deviation)", "_spread")):
        table = {row["method"]: _errors(row, suffix) for row in found["summary"]}
        if any(table.values()):
            typer.echo(f"{what} over {windows} origins\n{jobs.table(table)}\n")
    typer.echo(f"{found['verdict']}\nwritten to {run / BACKTEST}")


def _errors(row: dict[str, Any], suffix: str) -> dict[str, float]:
    """The means of a summary's row, or the spreads."""
    names = [name for name in row if f"{name}_spread" in row]
    return {name: row[name + suffix] for name in names if row[name + suffix] is not None}
