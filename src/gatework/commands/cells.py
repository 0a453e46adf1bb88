"""`gatework cells [NAME]`: the cells there are, and one cell's equations, parameters and cost."""

from __future__ import annotations

import math
import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gatework.compiler.lang import Cell


def register(app: typer.Typer) -> None:
    app.command()(cells)


def cells(
    name: Annotated[str | None, typer.Argument(help="The cell to show; without it, all cells are listed.")] = None,
    input_size: Annotated[int, typer.Option(min=1, help="Inputs (I) that parameters and cost are counted for.")] = 128,
    hidden_size: Annotated[int, typer.Option(min=1, help="Units (H, and other widths) likewise.")] = 128,
    only_latex: Annotated[
        bool, typer.Option("--latex", help="Print the LaTeX of the equations and nothing else.")
    ] = False,
) -> None:
    """List the cells, or show the equations of one.

    Of one cell: where it comes from, its equations as text and as LaTeX, its parameters and its cost per step.
    """
    from gatework import cells as registry
    from gatework.compiler.latex import latex
    from gatework.errors import OptionError

    if name is None and only_latex:
        raise OptionError("--latex shows one cell; name it: gatework cells lstm --latex")
    if name is None:
        wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        typer.echo(listing([registry.get(known) for known in registry.names()], wide))
    elif only_latex:
        typer.echo(latex(registry.get(name).graph))
    else:
        typer.echo(page(registry.get(name), input_size, hidden_size))


def listing(known: list[Cell], width: int | None = None) -> str:
    """One line for each cell: its name, its states, where it comes from; cut at `width` characters, if given."""
    wide = max(len(c.name) for c in known)
    states = [", ".join(s.name for s in c.graph.states) for c in known]
    column = max(map(len, states))
    lines = [f"{c.name:{wide}}  {s:{column}}  {opening(c)}" for c, s in zip(known, states, strict=True)]
    return "\n".join(cut(line, width) for line in lines)


def opening(cell: Cell) -> str:
    """The first paragraph of what the cell says of itself, on one line."""
    return " ".join(cell.doc.partition("\n\n")[0].split())


def cut(line: str, width: int | None) -> str:
    return line if width is None or len(line) <= width else line[: width - 1].rstrip() + "…"


def page(cell: Cell, inputs: int, units: int) -> str:
    from gatework.compiler import params
    from gatework.compiler.latex import equations, latex

    sizes = sizes_of(cell, inputs, units)
    shown = ", ".join(f"{symbol} = {size}" for symbol, size in sizes.items())
    parts = {
        "equations": equations(cell.graph),
        "latex": latex(cell.graph),
        "states": "\n".join(f"{s.name}: {s.width} units, from {s.start:g}" for s in cell.graph.states),
        "inputs": "\n".join(f"{i.name}: {i.width}, per {i.per}" for i in cell.graph.inputs),
        f"parameters ({shown})": parameters(cell, sizes),
        "cost per step and row": f"{params.cost(cell.graph, sizes):,} multiply-adds",
    }
    blocks = [f"{title}\n" + "\n".join(f"  {line}" for line in text.splitlines()) for title, text in parts.items()]
    return "\n\n".join([f"{cell.name}\n\n{cell.doc}".rstrip(), *blocks])


def sizes_of(cell: Cell, inputs: int, units: int) -> dict[str, int]:
    """Numbers for the widths: I and the inputs' own are `inputs`, all others `units`; one head."""
    from gatework.compiler import params

    outside = {i.width for i in cell.graph.inputs} - {s.width for s in cell.graph.states}
    numbers = {symbol: inputs if symbol in outside else units for symbol in params.symbols(cell.graph)}
    return {symbol: 1 if symbol == "heads" else size for symbol, size in numbers.items()}


def parameters(cell: Cell, sizes: dict[str, int]) -> str:
    """One line for each parameter, named as one writes it, and their sum."""
    from gatework.compiler import params

    shapes = params.shapes(cell.graph, sizes)
    lines = [(f"W.{key}", " x ".join(map(str, shape)), math.prod(shape)) for key, shape in shapes.items()]
    lines.append(("total", "", params.count(cell.graph, sizes)))
    wide, column = max(len(key) for key, _, _ in lines), max(len(shape) for _, shape, _ in lines)
    return "\n".join(f"{key:{wide}}  {shape:>{column}}  {count:>12,}" for key, shape, count in lines)
