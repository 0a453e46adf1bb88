"""`gatework check TASK FILE`: what is wrong with data, row by row, before any training."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated, Any

import typer

from gatework.commands import jobs

BAD_DATA = 2


def register(app: typer.Typer) -> None:
    jobs.register(app, check, HELP)


HELP = "Check data before any training: what is wrong, and where."


def check(
    task: Any,
    given: dict[str, Any],
    *,
    file: jobs.Data,
    settings: jobs.Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per finding.")] = False,
) -> None:
    """Check data for a task; exit code 2 where a training would refuse it.

    Errors come first, then warnings and notes; the last line says what they come to.
    """
    from gatework.data.finding import in_order, outcome

    source = jobs.data(task, given, file)
    findings = in_order(task(jobs.options(task, given, settings or [], {})).check(source))
    for finding in findings:
        typer.echo(json.dumps(dataclasses.asdict(finding)) if as_json else f"{finding.level}: {finding.message}")
    if not as_json:
        typer.echo(outcome(findings))
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(BAD_DATA)
