"""`gatework cells [NAME]`: the cells there are, and one cell's equations, parameters and cost."""

from __future__ import annotations

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    app.command()(cells)


def cells(
    name: Annotated[str | None, typer.Argument(help="The cell to show; without it, all cells are listed.")] = None,
) -> None:
    """List the cells, or show the equations of one.

    Of one cell: where it comes from, its equations as text and as LaTeX, its parameters and its cost per step.
    """
    from gatework import cells as registry

    for known in registry.names() if name is None else [name]:
        typer.echo(known)
