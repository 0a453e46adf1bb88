"""What steps ask for before they need it. Arrays with a row for each step are too long for the near caches, and a step
goes through them a chunk of units at a time, so that a processor does not foresee what comes next.

Asking changes no result, and any address will do: where a step has fewer rows than the one before, some of it is vain.
"""

from __future__ import annotations

from typing import NamedTuple

from .emit import Function, Value
from .layout import LINE, MODES, SectionWord, StageWord

NEAR = 4096  # elements of an array between asking for them and their use
ROWS = 2


class Turn(NamedTuple):
    """Chunk `chunk` of range(first, end) for a block of `rows` rows; the block that comes next is `over` rows on."""

    first: Value
    chunk: Value
    end: Value
    rows: Value
    over: Value


def inputs(f: Function, section: Value, operand: tuple[Value, Value], turn: Turn) -> None:
    """Ask for this turn's share of what the next block of rows multiplies."""
    moves = f.cmp("eq", f.field(section, SectionWord.mode), MODES["cur"])
    with f.when(f.op(f"and i1 {moves}, {f.cmp('ne', turn.over, 0)}")):
        parts, number = f.sub(turn.end, turn.first), f.sub(turn.chunk, turn.first)
        pointer, stride = f.at(operand[0], f.mul(turn.over, operand[1])), operand[1]
        last = f.div(f.mul(turn.rows, f.add(number, 1)), parts)
        with f.loop(f.div(f.mul(turn.rows, number), parts), last) as r:
            row = f.at(pointer, f.mul(r, stride))
            with f.loop(0, f.field(section, SectionWord.inputs), LINE // f.bytes) as k:
                f.fetch(f.at(row, k), level=2)


def weights(f: Function, following: Value, tile: Value, inputs: Value, panel_row: Value) -> Value:
    """Where the lines of the next stretch of weights begin for which a tile asks, one for each of its inputs. Each tile
    asks for those after the ones of the tile before, until all are on their way."""
    lines = f.div(f.mul(panel_row, f.bytes), LINE)  # of the weights of an input
    return f.at(following, f.mul(f.mul(f.min(tile, f.sub(lines, 1)), inputs), LINE), "i8")


def elementwise(f: Function, stage: Value, turn: Turn) -> tuple[Value, Value]:
    """Rows and units from what a cell's code works on to what it asks for: the next chunk of units, or the next block
    of rows; where no products come between, and there is much of it, some rows below."""
    chunk = f.field(stage, StageWord.chunk)
    more = f.cmp("slt", f.add(turn.chunk, 1), turn.end)
    rows = f.choose(more, 0, turn.over)
    units = f.mul(f.choose(more, 1, f.sub(turn.first, turn.chunk)), chunk)
    plain = f.cmp("eq", f.field(stage, StageWord.section_count), 0)
    near = f.op(f"and i1 {plain}, {f.cmp('sgt', f.mul(turn.rows, chunk), NEAR)}")
    return f.choose(near, ROWS, rows), f.choose(near, 0, units)
