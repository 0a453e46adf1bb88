"""Matrices into panels, and gradients out of them.

A panel holds a weight matrix as the inner loop reads it: [chunk of units][input][units of the chunk]. Squares of as
many units as inputs as a vector has lanes are turned in registers; where units lie side by side in the matrix already,
or heads cut a square, elements go one by one or in whole vectors.
"""

from __future__ import annotations

from .emit import Function, Value
from .isa import Isa
from .layout import ARGUMENTS, PackWord, Slot, share

Words = dict[PackWord, Value]


def pack(isa: Isa, scalar: str) -> Function:
    """Weights into panels; what lies beyond the width, or off the heads, stays zero."""
    return _panels("pack", isa, scalar, into=True)


def unpack(isa: Isa, scalar: str) -> Function:
    """Gradients out of panels into matrices."""
    return _panels("unpack", isa, scalar, into=False)


def _panels(name: str, isa: Isa, scalar: str, into: bool) -> Function:
    f = Function(name, ARGUMENTS, isa, scalar)
    jobs = f.at("%arg", 1, "i64")
    with f.loop(0, f.field("%arg", 0)) as j:
        job = f.at(jobs, f.mul(j, int(PackWord.WORDS)), "i64")
        word: Words = {w: f.field(job, w) for w in PackWord if w != PackWord.WORDS}
        first, last = share(f, f.ceil_div(word[PackWord.units], f.lanes))
        dense = f.cmp("eq", word[PackWord.head_units], word[PackWord.units])
        one_by_one = f.op(f"xor i1 {dense}, true")
        with f.when(dense):
            _dense(f, word, first, last, into)
        end = f.min(f.mul(last, f.lanes), word[PackWord.units])
        with f.when(one_by_one), f.loop(f.mul(first, f.lanes), end) as unit:
            _one_unit(f, word, unit, into)
    f.ret()
    return f


def _matrix(f: Function, word: Words) -> tuple[Value, Value, Value]:
    """Address of the first element, strides over units and over inputs."""
    slot = f.at("%slots", f.mul(word[PackWord.source], int(Slot.WORDS)), "i64")
    pointer, row, column = f.field(slot, Slot.pointer, "ptr"), f.field(slot, Slot.row), f.field(slot, Slot.column)
    transposed = f.cmp("ne", word[PackWord.transposed], 0)
    first = f.at(pointer, f.mul(word[PackWord.first_row], row))
    return first, f.choose(transposed, column, row), f.choose(transposed, row, column)


def _panel(f: Function, word: Words, unit: Value) -> Value:
    """Address in the panel of (unit, input 0)."""
    slot = f.at("%slots", f.mul(word[PackWord.panel], int(Slot.WORDS)), "i64")
    chunk = f.op(f"sdiv i64 {unit}, {word[PackWord.chunk]}")
    lane = f.sub(unit, f.mul(chunk, word[PackWord.chunk]))
    inside = f.add(f.add(word[PackWord.offset], word[PackWord.column]), lane)
    return f.at(f.field(slot, Slot.pointer, "ptr"), f.add(inside, f.mul(chunk, word[PackWord.panel_chunk])))


def _dense(f: Function, word: Words, first: Value, last: Value, into: bool) -> None:
    """Vectors of units first..last of a matrix without heads."""
    matrix, over_units, over_inputs = _matrix(f, word)
    along_inputs = f.cmp("eq", over_inputs, 1)
    along_units = f.cmp("eq", over_units, 1)
    other = f.op(f"xor i1 {f.op(f'or i1 {along_inputs}, {along_units}')}, true")
    only_units = f.op(f"and i1 {along_units}, {f.op(f'xor i1 {along_inputs}, true')}")
    with f.loop(first, last) as v:
        unit = f.mul(v, f.lanes)
        panel, source = _panel(f, word, unit), f.at(matrix, f.mul(unit, over_units))
        mask = f.lane_mask(unit, word[PackWord.units])
        with f.when(along_inputs), f.loop(0, word[PackWord.inputs], f.lanes) as k:
            _square(f, word, (f.at(source, k), over_units), panel, unit, k, into)
        with f.when(only_units), f.loop(0, word[PackWord.inputs]) as k:
            there, here = f.at(source, f.mul(k, over_inputs)), f.at(panel, f.mul(k, word[PackWord.panel_row]))
            if into:
                f.store_vector(f.load_masked(there, mask), here)
            else:
                f.store_masked(f.load_vector(here), there, mask)
        with f.when(other), f.loop(unit, f.min(f.add(unit, f.lanes), word[PackWord.units])) as u:
            _one_unit(f, word, u, into)


def _square(
    f: Function, word: Words, matrix: tuple[Value, Value], panel: Value, unit: Value, k: Value, into: bool
) -> None:
    """Turn a square of lanes units x lanes inputs."""
    address, stride = matrix
    left = f.sub(word[PackWord.units], unit)
    mask = f.lane_mask(k, word[PackWord.inputs])
    rest = f.min(f.sub(word[PackWord.inputs], k), f.lanes)
    if into:
        zero = f.alloca(f.vector)
        f.store(f.vector, "zeroinitializer", zero)
        rows = []
        for u in range(f.lanes):
            real = f.cmp("sgt", left, u)
            rows.append(f.load_masked(f.choose(real, f.at(address, f.mul(u, stride)), zero, "ptr"), mask))
        turned = f.alloca(f.vector, f.lanes)
        for i, row in enumerate(_transposed(f, rows)):
            f.store(f.vector, row, f.at(turned, i * f.lanes))
        with f.loop(0, rest) as i:
            target = f.at(panel, f.mul(f.add(k, i), word[PackWord.panel_row]))
            f.store_vector(f.load_vector(f.at(turned, f.mul(i, f.lanes))), target)
        return
    last = f.sub(rest, 1)
    rows = [
        f.load_vector(f.at(panel, f.mul(f.add(k, f.min(i, last)), word[PackWord.panel_row]))) for i in range(f.lanes)
    ]
    turned = f.alloca(f.vector, f.lanes)
    for i, row in enumerate(_transposed(f, rows)):
        f.store(f.vector, row, f.at(turned, i * f.lanes))
    with f.loop(0, f.min(left, f.lanes)) as u:
        f.store_masked(f.load_vector(f.at(turned, f.mul(u, f.lanes))), f.at(address, f.mul(u, stride)), mask)


def _transposed(f: Function, rows: list[str]) -> list[str]:
    """Exchange rows and lanes: log2(lanes) rounds, each of which swaps blocks across the diagonal."""
    rows, distance = list(rows), 1
    while distance < f.lanes:
        for i in range(f.lanes):
            if not i & distance:
                a, b = rows[i], rows[i + distance]
                rows[i] = _shuffle(f, a, b, [n if not n & distance else f.lanes + n - distance for n in range(f.lanes)])
                rows[i + distance] = _shuffle(
                    f, a, b, [n + distance if not n & distance else f.lanes + n for n in range(f.lanes)]
                )
        distance *= 2
    return rows


def _shuffle(f: Function, a: str, b: str, lanes: list[int]) -> str:
    order = ", ".join(f"i32 {n}" for n in lanes)
    return f.op(f"shufflevector {f.vector} {a}, {f.vector} {b}, <{f.lanes} x i32> <{order}>")


def _one_unit(f: Function, word: Words, unit: Value, into: bool) -> None:
    """One unit, input by input: of a matrix with heads, or with gaps in both directions."""
    slot = f.at("%slots", f.mul(word[PackWord.source], int(Slot.WORDS)), "i64")
    row = f.field(slot, Slot.row)
    matrix, over_units, over_inputs = _matrix(f, word)
    head = f.op(f"sdiv i64 {unit}, {word[PackWord.head_units]}")
    inside = f.sub(unit, f.mul(head, word[PackWord.head_units]))
    above = f.mul(f.mul(head, word[PackWord.head_rows]), row)
    source = f.at(matrix, f.add(f.mul(inside, over_units), above))
    chunk = f.mul(f.op(f"sdiv i64 {unit}, {word[PackWord.chunk]}"), word[PackWord.chunk])
    skipped = f.sub(head, f.op(f"sdiv i64 {chunk}, {word[PackWord.head_units]}"))
    panel = f.at(_panel(f, word, unit), f.mul(f.mul(skipped, word[PackWord.head_inputs]), word[PackWord.panel_row]))
    with f.loop(0, word[PackWord.head_inputs]) as k:
        there, here = f.at(source, f.mul(k, over_inputs)), f.at(panel, f.mul(k, word[PackWord.panel_row]))
        source_, target = (there, here) if into else (here, there)
        f.store(f.scalar, f.load(f.scalar, source_), target)
