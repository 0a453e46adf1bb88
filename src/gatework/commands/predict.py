"""`gatework predict RUN FILE`: a trained model's answers, one row each: CSV, or lines of JSON."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gatework.commands import flags, jobs
from gatework.commands.told import spoken_warnings
from gatework.errors import OptionError


def register(app: typer.Typer) -> None:
    flags.register(app, predict, "Predicting", answers)


def predict(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    file: Annotated[Path | None, typer.Argument(help="The data; without it, lines from standard input.")] = None,
    out: Annotated[Path | None, typer.Option(help="The file to write, not the screen.")] = None,
    reading: jobs.Reading = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, not CSV.")] = False,
    *,
    given: dict[str, Any],
) -> None:
    """Answer for each row of a file, or line of input.

    CSV with a header, or with --json lines of JSON.
    """
    from gatework.tasks.jobs import load
    from gatework.training.files import write_bytes

    if out is not None and file is not None and out.resolve() == file.resolve():
        raise OptionError(f"--out {out} is the file to read; name another, so that nothing is lost")
    trained = load(run, reading=reading or ())
    how = flags.chosen(trained.task, "Predicting", given, run)
    lines = trained.task.reads_lines and file is None
    if file is None and not lines:
        typer.echo(trained.task.origin(), err=True)
    source = [line.rstrip("\r\n") for line in sys.stdin] if lines else file
    with spoken_warnings():
        text = None if as_json else trained.written(source, how)
        text = table(trained.predict(source, **vars(how)), as_json) if text is None else text
    if out is None:
        sys.stdout.write(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, text.encode())
    typer.echo(f"answers: {out}", err=True)


def answers() -> str:
    """What the answers of each task are, for the help."""
    from gatework import tasks

    known = tasks.working().items()
    return "\n\n".join(f"Answers of {name}: {task.answers}." for name, task in known if task.answers)


def table(rows: list[dict[str, Any]], as_json: bool) -> str:
    """Rows as lines of JSON, or as CSV (RFC 4180, except for the line ends) with a header."""
    if as_json:
        return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    if not rows:
        return ""
    cells, text = [columns(row) for row in rows], io.StringIO(newline="")
    writer = csv.DictWriter(text, list(cells[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    return text.getvalue()


def columns(row: dict[str, Any]) -> dict[str, Any]:
    """A row's cells by column; the probabilities of labels have a column each."""
    flat = {key: value for key, value in row.items() if key != "probabilities"}
    flat |= {f"p_{label}": value for label, value in row.get("probabilities", {}).items()}
    return {key: _cell(value) for key, value in flat.items()}


def _cell(value: object) -> object:
    """Numbers with six digits that count; large ones are written out, with one decimal."""
    if not isinstance(value, float):
        return value
    return f"{value:.1f}" if 1e5 <= abs(value) < 1e15 else f"{value:.6g}"
