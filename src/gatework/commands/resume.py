"""`gatework resume RUN`: goes on with a training that was interrupted, or for more epochs."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from gatework.commands import flags, jobs


def register(app: typer.Typer) -> None:
    from gatework.training.options import TrainingOptions

    free = TrainingOptions.with_role("resumable")
    own = [
        flags.flag(field, field.metadata["help"]) for field in dataclasses.fields(TrainingOptions) if field.name in free
    ]
    app.command("resume", help=inspect.getdoc(resume))(flags.extended(resume, flags.parameters(resume), own))


def resume(
    run: jobs.Run,
    file: Annotated[
        Path | None,
        typer.Argument(
            help="The data, where they lie elsewhere by now; of data in two files name neither, but put them back."
        ),
    ] = None,
    valid: jobs.Valid = None,
    test: jobs.Test = None,
    quiet: jobs.Quiet = False,
    *,
    given: dict[str, Any],
) -> None:
    """Go on with a training, from the run folder alone.

    A training that was interrupted ends as if it had not been, to the bit. One that is done can have more epochs where
    it was begun with --keep-state.
    """
    from gatework.commands.train import end
    from gatework.tasks.jobs import resume as resumed

    end(resumed(run, file, valid=valid, test=test, changes=given, quiet=quiet))
