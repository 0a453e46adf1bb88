"""`gatework compare RUN RUN ...`: what runs differ in, and which is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gatework.commands import complete
from gatework.commands.told import spoken_warnings


def register(app: typer.Typer) -> None:
    app.command()(compare)


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(help="The run folders; the others are compared with the first.", autocompletion=complete.runs),
    ],
    page: Annotated[Path | None, typer.Option(help="The page to write, with learning curves in a picture.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Compare runs: options, results, learning curves.

    Results come with 95% intervals. Runs that were judged on the same examples are compared pair by pair, which shows
    smaller differences; where they were not, that is said.
    """
    from gatework.comparison import compare as compared

    with spoken_warnings():
        found = compared(*runs)
    typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False) if as_json else str(found))
    if page is not None:
        typer.echo(f"page: {found.write(page)}", err=as_json)
