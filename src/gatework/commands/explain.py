"""`gatework explain RUN`: why a trained model answers as it does, as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from gatework.commands import jobs
from gatework.errors import OptionError


def register(app: typer.Typer) -> None:
    app.command()(explain)


def explain(
    run: Annotated[Path, typer.Argument(help="The run folder.")],
    file: Annotated[
        Path | None, typer.Argument(help="Data of --row or --series; without it, what the run learned from or keeps.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="The text itself (not a column): to classify, or (generate) to go on from.")
    ] = None,
    row: Annotated[int | None, typer.Option(help="The row of FILE, counted from 1 (classify).")] = None,
    series: Annotated[
        str | None,
        typer.Option(help="The name of one series (not of a column); not needed where there is one (forecast)."),
    ] = None,
    step: Annotated[int | None, typer.Option(help="The step ahead (forecast); without it, the mean of all.")] = None,
    target: Annotated[
        str | None,
        typer.Option(help="A label, or unit of text, to explain in place of the model's answer (not a column)."),
    ] = None,
    window: Annotated[int | None, typer.Option(help="Steps that are taken away at once.")] = None,
    reading: jobs.Reading = None,
    out: Annotated[Path | None, typer.Option(help="The page.", show_default="RUN/explain.html")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all arrays as JSON; write no page.")] = False,
) -> None:
    """Show why a model answers as it does.

    A page with all figures; on the screen the sentences that sum them up.
    """
    from gatework.explanation import explain as explained
    from gatework.tasks.jobs import load

    if as_json and out is not None:
        raise OptionError("--json prints, and writes no page; leave out --out")
    trained = load(run, reading=reading or ())
    with jobs.spoken_warnings():
        found = explained(trained, file, window=window, text=text, row=row, series=series, target=target, step=step)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False))
        return
    page = found.write(out or run / "explain.html")
    typer.echo("\n".join([*found.sentences, f"page: {page}"]))
