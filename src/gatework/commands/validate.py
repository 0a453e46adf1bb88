"""`gatework validate TASK FILE --folds K`: cross-validates settings, the defaults unless others are given."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from gatework.commands import jobs

HELP = "Cross-validate settings: mean and spread over folds."


def register(app: typer.Typer) -> None:
    jobs.register(app, validate, HELP)


def validate(
    task: Any,
    given: dict[str, Any],
    *,
    file: jobs.Data,
    folds: Annotated[int, typer.Option(help="Rounds; each row is tested in one of them.")] = 5,
    settings: jobs.Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train once per fold and measure each on its fold; series are cut at a rolling origin."""
    from gatework.training.console import table
    from gatework.tuning import cross_validate

    found = cross_validate(task, file, jobs.options(task, given, settings or [], {}), folds)
    summary = {"metric": found.metric.name, "mean": found.mean, "spread": found.spread}
    if as_json:
        typer.echo(json.dumps({**summary, "folds": found.folds}))
        return
    typer.echo(table({f"fold {number + 1}": row for number, row in enumerate(found.folds)}))
    typer.echo(f"{found.metric.name}: mean {found.mean:.4f}, spread {found.spread:.4f} (standard deviation over folds)")
