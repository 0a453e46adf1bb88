"""`gatework generate RUN`: writes while one watches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(generate)


def generate(
    run: Annotated[Path, typer.Argument(help="The run folder of `gatework train generate`.")],
    prompt: Annotated[
        str, typer.Option(help="The text to go on from; of a run that reads backwards, the text to lead to.")
    ] = "",
    length: Annotated[int, typer.Option(help="How many units (characters, words) to write.")] = 500,
    temperature: Annotated[
        float, typer.Option(help="0 always writes the most likely unit; above 1 the text gets wild.")
    ] = 0.8,
    top_k: Annotated[int, typer.Option(help="Draw from the k most likely units; 0: from all.")] = 0,
    top_p: Annotated[
        float, typer.Option(help="Draw from the most likely units that together have this probability.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed writes the same text.")] = 1,
) -> None:
    """Write text with a trained generator, as it comes."""
    from gatework.tasks.generate import Generate
    from gatework.tasks.generate.model import LanguageModel
    from gatework.tasks.jobs import load

    trained = load(run, "generate")
    task, model = trained.task, trained.model
    assert isinstance(task, Generate) and isinstance(model, LanguageModel)
    if note := task.unseen_note(prompt):
        typer.echo(f"warning: {note}", err=True)
    for piece in task.placed(prompt, task.write(model, prompt, length, temperature, top_k, top_p, seed)):
        typer.echo(piece, nl=False)
    typer.echo()
