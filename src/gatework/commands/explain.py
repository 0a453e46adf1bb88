"""`gatework explain RUN`: why a trained model answers as it does, as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gatework.commands import flags, jobs
from gatework.commands.told import spoken_warnings
from gatework.errors import OptionError


def register(app: typer.Typer) -> None:
    flags.register(app, explain, ["Explaining"])


def explain(
    run: jobs.Run,
    file: Annotated[
        Path | None, typer.Argument(help="The data that is explained; without it, what the run learned from or keeps.")
    ] = None,
    window: Annotated[int | None, typer.Option(help="Steps that are taken away at once.")] = None,
    reading: jobs.Reading = None,
    page: Annotated[Path | None, typer.Option(help="The page to write.", show_default="RUN/explain.html")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all arrays as JSON; write no page.")] = False,
    *,
    given: dict[str, Any],
) -> None:
    """Show why a model answers as it does.

    A page with all figures; on the screen the sentences that sum them up.
    """
    from gatework.explanation import explain as explained
    from gatework.tasks.jobs import load

    if as_json and page is not None:
        raise OptionError("--json prints, and writes no page; leave out --page")
    trained = load(run, reading=reading or ())
    how = flags.chosen(trained.task, "Explaining", given, run)
    with spoken_warnings():
        found = explained(trained, file, window=window, **vars(how))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False))
        return
    written = found.write(page or run / "explain.html")
    typer.echo("\n".join([*found.sentences, f"page: {written}"]))
