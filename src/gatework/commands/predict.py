"""`gatework predict RUN FILE`: a trained model's answers, one row each."""

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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, not a table.")] = False,
) -> None:
    """Answer for each row of a file, or line of input."""
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
    write(rows, as_json, "\t" if trained.task.reads_lines else ",")


def write(rows: list[dict[str, Any]], as_json: bool, delimiter: str = "\t") -> None:
    """Rows as lines of JSON, or as a table with a header: tabs between texts, commas between numbers."""
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
    elif rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
