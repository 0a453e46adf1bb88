"""`gatework diagnose RUN`: what is wrong with a training, and which option to change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gatework.commands import jobs
from gatework.commands.told import spoken_warnings
from gatework.errors import OptionError


def register(app: typer.Typer) -> None:
    app.command()(diagnose)


def diagnose(
    run: jobs.Run,
    file: Annotated[
        Path | None, typer.Argument(help="Rows with labels; without it, the file that the run learned from.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="The page to write.", show_default="RUN/diagnose.html")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON; write no page.")] = False,
) -> None:
    """Say what is wrong with a training, and what to change.

    Vanishing and exploding gradients, stuck gates, over- and underfitting; the option to change is named.
    """
    from gatework.diagnosis import diagnose as diagnosed

    if as_json and page is not None:
        raise OptionError("--json prints, and writes no page; leave out --page")
    with spoken_warnings():
        found = diagnosed(run, file)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False))
        return
    typer.echo(f"{found}\npage: {found.write(page or run / 'diagnose.html')}")
