"""Products of operands in bfloat16, with float32 sums: an operand is rounded when it is read, to the nearest number.

`pairs`    For processors with AVX512-BF16. A word holds two neighbours along the sum, the earlier one in its lower
           half; an instruction adds both products of a lane. Subnormal numbers count as zero.
`rounded`  For all others. An operand stays float32, with zeros in the lower half of its bits, and the usual tiles
           multiply it: products of such numbers are exact.

Rows along the sum (inputs of a step) are rounded in order; rows across it (weights in panels, rows of a batch in weight
gradients) two at a time, as a word takes one number of each. States and gates are float32 in both.

Source: Intel, BFLOAT16 - Hardware Numerics Definition, 2018.
"""

from __future__ import annotations

from dataclasses import replace

from .emit import Function, Value
from .isa import Isa
from .layout import ARGUMENTS, PanelWord, RowsWord, share, slot


def rounded(isa: Isa) -> Isa:
    """The same instruction set with operands that are rounded."""
    return replace(isa, name=f"{isa.name}-rounded", operands="rounded")


def pairs(isa: Isa) -> Isa:
    """The same instruction set with products of pairs."""
    return replace(isa, name=f"{isa.name}-bf16", features=f"{isa.features},+avx512bf16", operands="pairs")


def words(isa: Isa, count: int) -> int:
    """How many words hold `count` neighbours along a sum."""
    return -(-count // 2) if isa.operands == "pairs" else count


def multiply(f: Function, a: str, b: str, total: str) -> str:
    """total + a * b, or + both products of each lane."""
    if f.isa.operands != "pairs":
        return f.fma(a, b, total)
    halves = f"<{2 * f.lanes} x bfloat>"
    left, right = (f.op(f"bitcast {f.vector} {v} to {halves}") for v in (a, b))
    name = f"llvm.x86.avx512bf16.dpbf16ps.{f.isa.vector_bytes * 8}"
    return f.call(f.vector, name, (f.vector, total), (halves, left), (halves, right))


# ---- along the sum


def row(f: Function, source: Value, target: Value, count: Value) -> None:
    """`count` neighbours along a sum, rounded; the last vector ends in zeros."""
    if f.isa.operands == "pairs":
        for k, masks in f.vectors(count, 2):
            first, second = (f.load_masked(f.at(source, f.add(k, i * f.lanes)), m) for i, m in enumerate(masks))
            f.store_vector(_narrowed(f, first, second), f.at(target, f.op(f"lshr i64 {k}, 1")))
        return
    for k, masks in f.vectors(count):
        value = f.load_masked(f.at(source, k), masks[0])
        f.store_vector(_nearest(f, value) if f.isa.operands == "rounded" else value, f.at(target, k))


def _narrowed(f: Function, first: str, second: str) -> str:
    """Two vectors as one of halves, the second behind the first."""
    halves = f"<{2 * f.lanes} x bfloat>"
    name = f"llvm.x86.avx512bf16.cvtne2ps2bf16.{f.isa.vector_bytes * 8}"
    found = f.call(halves, name, (f.vector, second), (f.vector, first))
    return f.op(f"bitcast {halves} {found} to {f.vector}")


def _nearest(f: Function, value: str) -> str:
    """The nearest bfloat16, ties to even, as float32; NaN stays as it is."""
    ints = f"<{f.lanes} x i32>"
    bits = f.op(f"bitcast {f.vector} {value} to {ints}")
    odd = f.op(f"and {ints} {f.op(f'lshr {ints} {bits}, splat (i32 16)')}, splat (i32 1)")
    moved = f.op(f"add {ints} {f.op(f'add {ints} {bits}, splat (i32 32767)')}, {odd}")
    upper = f.op(f"bitcast {ints} {f.op(f'and {ints} {moved}, splat (i32 -65536)')} to {f.vector}")
    number = f.op(f"fcmp ord {f.vector} {value}, {value}")
    return f.op(f"select {f.mask} {number}, {f.vector} {upper}, {f.vector} {value}")


# ---- across the sum


def _words(f: Function, first: str, second: str) -> str:
    """A word of two neighbours for each lane."""
    lanes, ints = f.lanes, f"<{f.lanes} x i32>"
    halves = f"<{2 * lanes} x i16>"
    side = f.op(f"bitcast {f.vector} {_narrowed(f, first, second)} to {halves}")
    order = ", ".join(f"i32 {n // 2 + n % 2 * lanes}" for n in range(2 * lanes))
    turned = f.op(f"shufflevector {halves} {side}, {halves} poison, <{2 * lanes} x i32> <{order}>")
    return f.op(f"bitcast {ints} {f.op(f'bitcast {halves} {turned} to {ints}')} to {f.vector}")


def round_panels(isa: Isa, scalar: str) -> Function:
    """Panels of weights, rounded where they lie. Threads share vectors of columns; a word of two inputs goes where an
    input was that has been read."""
    f = Function("round_panels", ARGUMENTS, isa, scalar)
    jobs = f.at("%arg", 1, "i64")
    with f.loop(0, f.field("%arg", 0)) as j:
        job = f.at(jobs, f.mul(j, int(PanelWord.WORDS)), "i64")
        word = {w: f.field(job, w) for w in PanelWord if w != PanelWord.WORDS}
        panel = f.at(slot(f, word[PanelWord.panel])[0], word[PanelWord.offset])
        vectors = f.div(word[PanelWord.columns], f.lanes)
        first, last = share(f, f.mul(word[PanelWord.chunks], vectors))
        with f.loop(first, last) as item:
            chunk = f.op(f"sdiv i64 {item}, {vectors}")
            column = f.mul(f.sub(item, f.mul(chunk, vectors)), f.lanes)
            here = f.at(f.at(panel, f.mul(chunk, word[PanelWord.panel_chunk])), column)
            _round_column(f, here, word[PanelWord.inputs], word[PanelWord.columns])
    f.ret()
    return f


def _round_column(f: Function, here: Value, inputs: Value, columns: Value) -> None:
    if f.isa.operands == "rounded":
        with f.loop(0, inputs) as k:
            there = f.at(here, f.mul(k, columns))
            f.store_vector(_nearest(f, f.load_vector(there)), there)
        return
    whole = f.op(f"lshr i64 {inputs}, 1")

    def line(pair: Value, second: str | None) -> None:
        first = f.load_vector(f.at(here, f.mul(f.mul(pair, 2), columns)))
        after = second or f.load_vector(f.at(here, f.mul(f.add(f.mul(pair, 2), 1), columns)))
        f.store_vector(_words(f, first, after), f.at(here, f.mul(pair, columns)))

    with f.loop(0, whole) as pair:
        line(pair, None)
    with f.when(f.cmp("slt", f.mul(whole, 2), inputs)):
        line(whole, "zeroinitializer")


def gather(isa: Isa, scalar: str) -> Function:
    """Rows of the batch that weight gradients add up, side by side in rows of words; rounded, if operands are."""
    f = Function("gather", ARGUMENTS, isa, scalar)
    jobs = f.at("%arg", 1, "i64")
    with f.loop(0, f.field("%arg", 0)) as j:
        job = f.at(jobs, f.mul(j, int(RowsWord.WORDS)), "i64")
        kinds = {w: "ptr" if w == RowsWord.rows else "i64" for w in RowsWord if w != RowsWord.WORDS}
        word: dict[RowsWord, Value] = {w: f.field(job, w, kind) for w, kind in kinds.items()}
        pointer, stride = slot(f, word[RowsWord.target])
        target = f.at(pointer, word[RowsWord.column])
        _gather_rows(f, word, target, stride)
    f.ret()
    return f


def _gather_rows(f: Function, word: dict[RowsWord, Value], target: Value, stride: Value) -> None:
    count, width = word[RowsWord.count], word[RowsWord.width]
    if f.isa.operands != "pairs":
        first, last = share(f, count)
        with f.loop(first, last) as n:
            row(f, _listed(f, word, n), f.at(target, f.mul(n, stride)), width)
        return
    pairs = f.op(f"lshr i64 {count}, 1")
    first, last = share(f, f.op(f"lshr i64 {f.add(count, 1)}, 1"))

    def line(pair: Value, both: bool) -> None:
        one, there = _listed(f, word, f.mul(pair, 2)), f.at(target, f.mul(pair, stride))
        other = _listed(f, word, f.add(f.mul(pair, 2), 1)) if both else None
        for u, masks in f.vectors(width):
            after = f.load_masked(f.at(other, u), masks[0]) if other is not None else "zeroinitializer"
            f.store_vector(_words(f, f.load_masked(f.at(one, u), masks[0]), after), f.at(there, u))

    with f.loop(first, f.min(last, pairs)) as pair:
        line(pair, True)
    with f.when(f.cmp("slt", pairs, last)):
        line(pairs, False)


def _listed(f: Function, word: dict[RowsWord, Value], n: Value) -> Value:
    """Address of the n-th row."""
    index = f.field(word[RowsWord.rows], n)
    fresh = f.cmp("slt", index, 0)
    pointer, stride = slot(f, f.choose(fresh, word[RowsWord.start], word[RowsWord.slot]))
    return f.at(pointer, f.mul(f.choose(fresh, f.sub(-1, index), index), stride))
