"""`gatework export RUN --to FORM --out PATH`: a trained run as a file that needs neither torch nor the run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatework.commands import jobs
from gatework.commands.told import spoken_warnings


def register(app: typer.Typer) -> None:
    app.command()(export)


def export(
    run: jobs.Run,
    to: Annotated[str, typer.Option(help="The form: gatework, onnx, c or torch.")] = "gatework",
    out: Annotated[
        Path | None,
        typer.Option(help="The file or folder to write.", show_default="exports/RUN, with the form's ending"),
    ] = None,
    weights: Annotated[str, typer.Option(help="Numbers of recurrent weights: float32, bf16 or int8.")] = "float32",
) -> None:
    """Write a trained run as a file for use elsewhere.

    For gatework.runtime (numpy, llvmlite and safetensors), for ONNX Runtime, for a C compiler, or as a script of
    plain torch.
    """
    from gatework.exporting import export as write

    with spoken_warnings():
        written = write(run, out, to=to, weights=weights)
    for note in written.notes:
        typer.echo(note)
