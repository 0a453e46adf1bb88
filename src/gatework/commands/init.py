"""`gatework init TASK FILE`: a file of options, with those that the data settle, to read and to change."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from gatework.commands import jobs
from gatework.errors import OptionError

HELP = "Write a TOML file of options from the data, for train --config."
OPENING = """{command}
Options as the data settle them. A line that begins with # has the option's default; take the # away to change it.
Flags and --set on the command line come before what stands here."""


def register(app: typer.Typer) -> None:
    jobs.register(app, init, HELP)


def init(
    task: type[Any],
    given: dict[str, Any],
    *,
    file: jobs.Data,
    out: Annotated[Path | None, typer.Option(help="The file to write.", show_default="NAME-OF-FILE.toml")] = None,
    valid: jobs.Valid = None,
    test: jobs.Test = None,
    settings: jobs.Settings = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file of that name.")] = False,
    quiet: jobs.Quiet = False,
) -> None:
    """Write a commented TOML file with every option, for `gatework train TASK FILE --config`."""
    from gatework.tasks.origin import files_of, title
    from gatework.training.console import waiting
    from gatework.training.files import write_bytes
    from gatework.training.settings import as_toml

    named = {"valid": valid, "test": test, **given}  # less what is left in `given`, they are names of files
    source = jobs.data(task, given, file)
    parts = jobs.part(task, given, valid, "valid"), jobs.part(task, given, test, "test")
    words = [str(file)] if file else []
    for name, value in named.items():
        words += [f"--{name.replace('_', '-')}", str(value)] if value and name not in given else []
    path = out or Path(f"{title(source) or task.name}.toml")
    if path.resolve() in [each.resolve() for each in files_of(source)]:
        raise OptionError(f"{path} holds the data; choose another file (--out)")
    if path.exists() and not overwrite:
        raise OptionError(f"{path} exists; choose another file (--out), or replace it (--overwrite)")
    job = task(jobs.options(task, given, settings or [], {}))
    with waiting("reading the data", quiet):
        job.prepare(source, *parts)
    command = shlex.join(["gatework", "train", task.name, *words, "--config", str(path)])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, as_toml(job.options, task.name, OPENING.format(command=command)).encode())
    typer.echo(f"options: {path}\ntrain with: {command}")
