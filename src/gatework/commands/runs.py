"""`gatework runs [FOLDER]`: which runs there are, how good each is, and which are broken."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gatework.comparison.listing import Listed

HEADS = ("run", "task", "data", "result", "best baseline", "earned by", "time", "size", "date")


def register(app: typer.Typer) -> None:
    app.command()(runs)


def runs(
    folder: Annotated[Path, typer.Argument(help="Where the runs are.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per run.")] = False,
) -> None:
    """List the runs in a folder, with their results.

    Those that run, were interrupted, or are damaged are told apart. A result is the model's on the test part, or on the
    validation part where there is no other; beside it stand the best baseline, and what earned the result.
    """
    from gatework.comparison import runs as listed
    from gatework.comparison.page import columns

    found = listed(folder)
    if as_json:
        typer.echo("\n".join(json.dumps(dataclasses.asdict(each), ensure_ascii=False) for each in found))
        return
    if not found:
        typer.echo(f"no runs in {folder}", err=True)
        return
    typer.echo(columns([HEADS, *map(row, found)]))
    for each in found:
        if each.state == "damaged":
            typer.echo(f"{each.run}: {each.note}", err=True)


def row(run: Listed) -> tuple[str, ...]:
    """A line of the list."""
    from gatework.pages.words import duration, named, number
    from gatework.tasks.verdict import EARNED

    result = f"{run.state}{f' ({run.note})' if run.note and run.state != 'damaged' else ''}"
    if run.state == "done":
        result = f"{named(run.metric or '')} {number(run.value)}{'' if run.part == 'test' else ' (valid)'}"
    best = f"{number(run.other)} {run.against}" if run.against else ""
    earned = EARNED.get(run.earned or "", "not clear") if run.state == "done" else ""
    seconds = "" if run.seconds is None else duration(run.seconds)
    said = (run.run, run.task or "", run.data or "", result, best, earned, seconds)
    return (*said, f"{run.bytes / 1e6:,.1f} MB", (run.created or "")[:16])
