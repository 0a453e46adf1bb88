"""The tables through which Python tells machine code what to do: words of 8 bytes, named here once.

A call is a list of commands (`COMMAND`); all threads run each command, and meet before the next. Arrays are named by
their place in a table of slots (`SLOT`), which alone changes from call to call.
"""

from __future__ import annotations

from enum import IntEnum

from .emit import Function, Value


class Slot(IntEnum):
    """An array: address, elements between rows, elements between columns."""

    pointer = 0
    row = 1
    column = 2
    WORDS = 3


class Command(IntEnum):
    function = 0
    argument = 1
    WORDS = 2


class Job(IntEnum):
    """What the threads are given. Each takes a ticket as its number; `team_size` asks OpenMP how many came (0: as
    wanted), and if not all did, nothing runs and `refused` is set. The barrier's two counters have cache lines of their
    own."""

    slots = 0
    commands = 1
    count = 2
    threads = 3
    ticket = 4
    team_size = 5
    refused = 6
    barrier = 8
    WORDS = 24


class Steps(IntEnum):
    """A run over steps: from `begin`, `count` steps, each `stride` (+1 or -1) further. In a thread's scratch, `room`
    elements hold its sums; rounded operands come after them."""

    begin = 0
    count = 1
    stride = 2
    counts = 3
    offsets = 4
    base = 5
    by_units = 6
    splits = 7
    scratch = 8
    scratch_size = 9
    row_block = 10
    room = 11
    stage_count = 12
    stages = 13
    WORDS = 14


class StageWord(IntEnum):
    """A stage: `epilogue` is machine code made from the cell; `out` >= 0 sends sums straight to that slot instead.
    `stretch` inputs are multiplied at a time."""

    rows = 0
    epilogue = 1
    width = 2
    chunk = 3
    chunks = 4
    columns = 5
    tile_rows = 6
    init_slot = 7
    init_offset = 8
    init_chunk = 9
    init_moves = 10
    out_slot = 11
    section_count = 12
    sections = 13
    stretch = 14
    WORDS = 15


class SectionWord(IntEnum):
    """Products of one operand with neighbouring columns. For heads: `head_units` outputs see `head_inputs` inputs.
    Operands that are rounded go to column `rounded` of rows `stride` words apart; `inputs` 0: an earlier section has
    done so."""

    slot = 0
    mode = 1
    start = 2
    inputs = 3
    panel_slot = 4
    panel_offset = 5
    panel_chunk = 6
    tiles = 7
    column = 8
    head_units = 9
    head_inputs = 10
    panel_row = 11
    rounded = 12
    stride = 13
    WORDS = 14


class PackWord(IntEnum):
    """Copy a weight matrix into panels (or, in `unpack`, panels into a matrix)."""

    source = 0
    transposed = 1
    units = 2
    inputs = 3
    panel = 4
    offset = 5
    panel_chunk = 6
    panel_row = 7
    column = 8
    chunk = 9
    head_units = 10
    head_inputs = 11
    head_rows = 12
    first_row = 13
    WORDS = 14


class PanelWord(IntEnum):
    """Round the weights in a panel, where they lie."""

    panel = 0
    offset = 1
    panel_chunk = 2
    chunks = 3
    inputs = 4
    columns = 5
    WORDS = 6


class RowsWord(IntEnum):
    """Gather rows of an array in columns of the slot `target`: `rows` lists them, those of the start array as
    -1 - row."""

    slot = 0
    start = 1
    width = 2
    target = 3
    column = 4
    rows = 5
    count = 6
    WORDS = 7


class OuterWord(IntEnum):
    """acc[k, u] += sum over rows of operand[row, k] ct[row, u], for groups of `group` units."""

    ct = 0
    operand = 1
    start = 2
    units = 3
    inputs = 4
    acc = 5
    offset = 6
    group = 7
    tables = 8
    segments = 9
    segment_count = 10
    ct_column = 11
    operand_column = 12
    WORDS = 13


class Segment(IntEnum):
    """Rows that lie evenly spaced in both arrays; `fresh` says that the operand's are in its start array."""

    ct_row = 0
    operand_row = 1
    rows = 2
    fresh = 3
    WORDS = 4


def slot(f: Function, index: Value) -> tuple[Value, Value]:
    """Pointer and row stride of an array, by its place in the table of slots."""
    base = f.at("%slots", f.mul(index, int(Slot.WORDS)), "i64")
    return f.field(base, Slot.pointer, "ptr"), f.field(base, Slot.row)


def share(f: Function, total: Value) -> tuple[Value, Value]:
    """This thread's part of range(total)."""
    first = f.op(f"sdiv i64 {f.mul(total, '%tid')}, %threads")
    return first, f.op(f"sdiv i64 {f.mul(total, f.add('%tid', 1))}, %threads")


STRETCH = 256  # inputs that are multiplied at a time
LINE = 64  # bytes that a cache holds together
MODES = {"row": 0, "cur": 1, "prev": 2, "local": 3, "one": 4, "call": 4}
ARGUMENTS = "ptr %slots, ptr %arg, i64 %tid, i64 %threads, ptr %barrier"
EPILOGUE_ARGUMENTS = (
    "ptr %slots, ptr %acc, i64 %r0, i64 %n, i64 %u0, i64 %u1, i64 %chunk, i64 %cur, i64 %prev, i64 %first, i64 %base, "
    "i64 %rows_on, i64 %units_on"
)
