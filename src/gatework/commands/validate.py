"""`gatework validate TASK FILE --folds K`: cross-validates settings, the defaults unless others are given."""

from __future__ import annotations

import json
from dataclasses import asdict
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
    """Train once per fold and measure each on its fold, beside simple methods; series are cut at a rolling origin."""
    from gatework.commands.told import spoken_warnings
    from gatework.training.console import table
    from gatework.tuning import cross_validate

    source = jobs.data(task, given, file)
    with spoken_warnings():
        found = cross_validate(task, source, jobs.options(task, given, settings or [], {}), folds)
    name, methods = found.metric.name, [asdict(each) for each in found.methods]
    if as_json:
        summary = {"metric": name, "mean": found.mean, "spread": found.spread, "folds": found.folds}
        typer.echo(json.dumps({**summary, "methods": methods, "comparison": found.verdict.to_dict()}))
        return
    typer.echo(table({f"fold {number + 1}": row for number, row in enumerate(found.folds)}))
    rows = {each.name: {f"mean {name}": each.mean, "spread": each.spread} for each in found.methods}
    typer.echo(f"{table(rows)}\nspread: standard deviation over folds\n{found.verdict.text}")
