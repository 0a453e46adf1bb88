"""`gatework predict RUN FILE`: a trained model's answers, one row each."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    app.command()(predict)


def predict(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    file: Annotated[Path | None, typer.Argument(help="The data; without it, lines from standard input.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line, not a table.")] = False,
) -> None:
    """Answer for each row of a file, or line of input."""
    from gatework.tasks.jobs import load

    trained = load(run)
    lines = trained.task.reads_lines and file is None
    rows = trained.predict([line.rstrip("\r\n") for line in sys.stdin] if lines else file)
    write(rows, as_json)


def write(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows as lines of JSON, or as a tab-separated table with a header."""
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row, ensure_ascii=False))
    elif rows:
        writer = csv.DictWriter(sys.stdout, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
