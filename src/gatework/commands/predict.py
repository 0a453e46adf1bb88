"""`gatework predict RUN FILE`: a trained model's answers, one row each: CSV, or lines of JSON."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatework.commands import flags, jobs
from gatework.commands.arriving import arriving
from gatework.commands.told import spoken_warnings
from gatework.errors import OptionError

if TYPE_CHECKING:
    from gatework.tasks.base import Source
    from gatework.tasks.jobs import Trained
    from gatework.training.options import Options

STANDARD_INPUT = Path("-")


def register(app: typer.Typer) -> None:
    flags.register(app, predict, ["Predicting", "Files"], answers)


def predict(
    run: jobs.Run,
    file: Annotated[
        Path | None, typer.Argument(help="The data; without it, or as -, lines from standard input.")
    ] = None,
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
    from gatework.tasks.origin import files_of
    from gatework.training.files import write_bytes

    trained = load(run, reading=reading or ())
    others = flags.files(trained.task, given, run)
    how = flags.chosen(trained.task, "Predicting", given, run)
    source = trained.task.source(None if file == STANDARD_INPUT else file, others)
    if out is not None and out.resolve() in [each.resolve() for each in files_of(source)]:
        raise OptionError(f"--out {out} is a file to read; name another, so that nothing is lost")
    lines = trained.task.reads_lines and source is None
    if source is None and not lines and (begins := trained.task.origin()):
        typer.echo(begins, err=True)
    if lines:
        source = arriving(sys.stdin)
        source = source if trained.task.streams else [line for group in source for line in group]
    with spoken_warnings():
        rows = None if out is None or lines else trained.saved(source, out, how)
        found = pieces(trained, source, how, as_json) if rows is None else iter([table(rows, as_json)])
        if out is None or rows is not None:
            for piece in found:
                sys.stdout.write(piece)
                sys.stdout.flush()
            return
        text = "".join(found)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, text.encode())
    typer.echo(f"answers: {out}", err=True)


def pieces(trained: Trained, source: Source, how: Options, as_json: bool) -> Iterator[str]:
    """The answers as text, as they come; the source may be lines in groups as they arrive."""
    text = None if as_json else trained.written(source, how)
    if text is None:
        for group in source if isinstance(source, Iterator) else (source,):
            yield table(trained.predict(group, **vars(how)), as_json)
    else:
        yield from [text] if isinstance(text, str) else text


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
    cells, text = [columns(each) for row in rows for each in ranked(row)], io.StringIO(newline="")
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in cells for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(cells)
    return text.getvalue()


def ranked(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each of its n best answers, with its rank; the first one also has the lists that the row holds."""
    if "n_best" not in row:
        return [row]
    best = {key: value for key, value in row.items() if key != "n_best"}
    rest = {key: value for key, value in best.items() if not isinstance(value, list)}
    return [
        {**(best if rank == 1 else rest), "rank": rank, **each} for rank, each in enumerate(row["n_best"] or [{}], 1)
    ]


def columns(row: dict[str, Any]) -> dict[str, Any]:
    """A row's cells by column; the probabilities of labels have a column each."""
    flat = {key: value for key, value in row.items() if key != "probabilities"}
    flat |= {f"p_{label}": value for label, value in row.get("probabilities", {}).items()}
    return {key: _cell(value) for key, value in flat.items()}


def _cell(value: object) -> object:
    """Numbers with six digits that count; large ones are written out, with one decimal. Lists are JSON."""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if not isinstance(value, float):
        return value
    return f"{value:.1f}" if 1e5 <= abs(value) < 1e15 else f"{value:.6g}"
