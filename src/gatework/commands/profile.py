"""`gatework profile TASK FILE`: where the time of a training step goes."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from gatework.commands import jobs

HELP = "Say where the time of a training step goes."


def register(app: typer.Typer) -> None:
    jobs.register(app, profile, HELP)


def profile(
    task: type,
    given: dict[str, Any],
    *,
    file: jobs.Data,
    steps: Annotated[int, typer.Option(min=1, help="Steps that are profiled.")] = 20,
    settings: jobs.Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: seconds of a step.")] = False,
) -> None:
    """Train a few steps: reading a batch, each module forward and backward, loss, optimiser. Nothing is kept."""
    from gatework.commands.told import spoken_warnings
    from gatework.tasks.profiling import profile as profiled
    from gatework.training.console import table

    source = jobs.data(task, given, file)
    with spoken_warnings():
        spent = profiled(task(jobs.options(task, given, settings or [], {})), source, steps)
    if as_json:
        typer.echo(json.dumps(asdict(spent)))
        return
    typer.echo(f"a step takes {spent.step * 1e3:.1f} ms, {spent.profiled * 1e3:.1f} ms while it is profiled")
    typer.echo(table(spent.table()))
