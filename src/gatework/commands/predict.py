"""`gatework predict RUN FILE`: a trained model's answers, one row each: CSV, or lines of JSON."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gatework.commands.jobs import spoken_warnings
from gatework.errors import OptionError


def register(app: typer.Typer) -> None:
    app.command()(predict)


def predict(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    file: Annotated[Path | None, typer.Argument(help="The data; without it, lines from standard input.")] = None,
    horizon: Annotated[
        int | None, typer.Option(help="Forecasts: so many steps, also beyond those that the model was trained for.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, not CSV.")] = False,
) -> None:
    """Answer for each row of a file, or line of input.

    CSV with a header. Of classes: label, confidence, and the probability of each label in a column p_LABEL. Of
    forecasts: series, time, forecast, and a column for each quantile. Of texts: prompt and text.
    """
    from gatework.tasks.jobs import load

    trained = load(run)
    if horizon is not None and trained.task.name != "forecast":
        raise OptionError(f"--horizon is of forecasts; {run} holds a run of the task {trained.task.name!r}")
    lines = trained.task.reads_lines and file is None
    if file is None and not lines:
        typer.echo(trained.task.origin(), err=True)
    with spoken_warnings():
        how = {} if horizon is None else {"horizon": horizon}
        rows = trained.predict([line.rstrip("\r\n") for line in sys.stdin] if lines else file, **how)
    write(rows, as_json)


def write(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows as lines of JSON, or as CSV (RFC 4180 but for the line ends) with a header."""
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
    elif rows:
        cells = [columns(row) for row in rows]
        writer = csv.DictWriter(sys.stdout, list(cells[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(cells)


def columns(row: dict[str, Any]) -> dict[str, Any]:
    """A row's cells by column; the probabilities of labels have a column each."""
    flat = {key: value for key, value in row.items() if key != "probabilities"}
    flat |= {f"p_{label}": value for label, value in row.get("probabilities", {}).items()}
    return {key: _cell(value) for key, value in flat.items()}


def _cell(value: Any) -> Any:
    """Numbers with six digits that count; large ones are written out, with one decimal."""
    if not isinstance(value, float):
        return value
    return f"{value:.1f}" if 1e5 <= abs(value) < 1e15 else f"{value:.6g}"
