"""The inner loop over narrow weights: out[r, :] += sum_k A[r, k] * W[k, :], where W holds bfloat16 or bytes.

`bf16`   Two inputs share a word of the panel: a shift makes float32 of the lower half, a mask of the upper. The chain
         of sums is that of `tiles.tile`, so an output has the bits that the same weights in float32 give.
`int8`   A panel begins with a scale for each column. Whole numbers are widened in registers; their sum begins at zero
         and is scaled once, at the end.
`bytes`  The same for processors that multiply bytes and add four products at a time (AVX512-VNNI). Four inputs share a
         word, 128 is added to each weight, and TOGETHER vectors of columns lie apart from the next. An input is rounded
         to a multiple of 1 / 8,355,584 of the largest of the call, which three digits of a byte hold. Sums of digits
         times weights are exact, and so free of any order.

A call has at most STRETCH inputs. An output depends on its own row and column alone, whatever the tile's shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .emit import Function, Value, module
from .isa import Isa
from .layout import STRETCH
from .tiles import load_accumulators, shapes, store_accumulators

BYTES = 4  # in a word of a panel
TOP = 8_355_584.0  # 0x7f7f00: three signed digits hold 0x7f7f7f at most
LEAST = 0x0D800000  # 2^-100 as the bits of a float32: of smaller inputs the inverse would overflow
MOST_ROWS = {"bf16": 2, "int8": 4}  # bf16: for more rows a float32 copy is faster, and gives the same bits
DIGITS = 3
ROOM = STRETCH + 16  # words of a row of digits, with what is said of them after
_STEP = STRETCH + BYTES  # where `digits` leaves the value of the last digit
TOGETHER = 4  # vectors whose sums fit the registers, as each has one for each digit
WIDEST = 32  # vectors of a tile: inputs become digits once for all of them
_ARGS = "ptr %out, i64 %ldo, ptr %A, i64 %lda, ptr %W, i64 %K, ptr %next"


def widened(isa: Isa, form: str) -> Isa:
    """The same instruction set with tiles of few rows. Those of one row are as wide as hides the time that a
    multiply-add takes."""
    return replace(isa, rows={v: min(MOST_ROWS[form], isa.rows.get(v, 1)) for v in range(1, 9)})


def vnni(isa: Isa) -> Isa:
    """The same instruction set with products of bytes."""
    rows = {v: max(1, TOGETHER // v) for v in range(1, WIDEST + 1)}
    return replace(isa, name=f"{isa.name}-vnni", features=f"{isa.features},+avx512vnni", rows=rows)


def library(form: str, isa: Isa) -> str:
    """One module with the tiles of a form."""
    make = FORMS[form]
    own = [digits(isa), *(sums_of_bytes(isa, r, v) for r, v in shapes(isa) if v <= TOGETHER)]
    return module((own if form == "bytes" else []) + [make(isa, r, v) for r, v in shapes(isa)], isa)


def bf16(isa: Isa, rows: int, vectors: int) -> Function:
    f = Function(f"tile_{rows}_{vectors}", _ARGS, isa, "float")
    acc = load_accumulators(f, "%out", "%ldo", rows, vectors)
    inputs = [f.at("%A", f.mul(r, "%lda")) for r in range(rows)]
    with f.loop(0, f.div("%K", 2)) as pair:
        for v in range(vectors):
            word, k = _word(f, "%W", pair, vectors, v), f.mul(pair, 2)
            _add(f, acc, v, _lower(f, word), [f.at(a, k) for a in inputs])
            _add(f, acc, v, _upper(f, word), [f.at(a, f.add(k, 1)) for a in inputs])
    with f.when(f.cmp("eq", f.op("and i64 %K, 1"), 1)):
        for v in range(vectors):
            word = _word(f, "%W", f.div("%K", 2), vectors, v)
            _add(f, acc, v, _lower(f, word), [f.at(a, f.sub("%K", 1)) for a in inputs])
    store_accumulators(f, acc, "%out", "%ldo")
    return f


def _word(f: Function, base: Value, row: Value, vectors: int, v: int) -> str:
    """Vector v of a row of words."""
    return f.load(_ints(f), f.at(f.at(base, f.mul(row, vectors * f.lanes)), v * f.lanes), f.bytes)


def _ints(f: Function) -> str:
    return f"<{f.lanes} x i32>"


def _lower(f: Function, word: str) -> str:
    return f.op(f"bitcast {_ints(f)} {f.op(f'shl {_ints(f)} {word}, splat (i32 16)')} to {f.vector}")


def _upper(f: Function, word: str) -> str:
    return f.op(f"bitcast {_ints(f)} {f.op(f'and {_ints(f)} {word}, splat (i32 -65536)')} to {f.vector}")


def _add(f: Function, acc: list[list[str]], v: int, weight: str, inputs: list[Value]) -> None:
    """acc[r][v] += inputs[r] * weight, fused where the instruction set can."""
    for r, address in enumerate(inputs):
        known = f.load(f.vector, acc[r][v])
        f.store(f.vector, f.fma(f.splat(f.load(f.scalar, address)), weight, known), acc[r][v])


def int8(isa: Isa, rows: int, vectors: int) -> Function:
    f = Function(f"tile_{rows}_{vectors}", _ARGS, isa, "float")
    sums = [[_zeros(f, f.vector) for _ in range(vectors)] for _ in range(rows)]
    inputs = [f.at("%A", f.mul(r, "%lda")) for r in range(rows)]
    first = f.at("%W", vectors * f.lanes)
    with f.loop(0, "%K") as k:
        row = f.at(first, f.mul(k, vectors * f.lanes), "i8")
        for v in range(vectors):
            _add(f, sums, v, _widened(f, f.at(row, v * f.lanes, "i8")), [f.at(a, k) for a in inputs])
    for r in range(rows):
        for v in range(vectors):
            _add_scaled(f, f.load(f.vector, sums[r][v]), f.load_vector(f.at("%W", v * f.lanes)), r, v * f.lanes)
    f.ret()
    return f


def _zeros(f: Function, kind: str) -> str:
    register = f.alloca(kind)
    f.store(kind, "zeroinitializer", register)
    return register


def _widened(f: Function, address: Value) -> str:
    found = f.load(f"<{f.lanes} x i8>", address, 1)
    return f.op(f"sitofp {_ints(f)} {f.op(f'sext <{f.lanes} x i8> {found} to {_ints(f)}')} to {f.vector}")


def _add_scaled(f: Function, total: str, scale: str, r: int, column: Value) -> None:
    there = f.at(f.at("%out", f.mul(r, "%ldo")), column)
    f.store_vector(f.fma(total, scale, f.load_vector(there)), there)


# ---- products of bytes


def products_of_bytes(isa: Isa, rows: int, vectors: int) -> Function:
    """Inputs become digits once; then TOGETHER vectors at a time are summed, whose words lie together."""
    f = Function(f"tile_{rows}_{vectors}", _ARGS, isa, "float")
    room, groups = f.alloca("i32", rows * ROOM), f.ceil_div("%K", BYTES)
    for r in range(rows):
        f.line(f"call void @digits(ptr {f.at('%A', f.mul(r, '%lda'))}, i64 %K, ptr {f.at(room, r * ROOM)}) noinline")
    whole, rest = divmod(vectors, TOGETHER)
    if whole:
        with f.loop(0, whole) as part:
            _sum_bytes(f, (rows, vectors), (f.mul(part, TOGETHER * f.lanes), TOGETHER), room, groups)
    if rest:
        _sum_bytes(f, (rows, vectors), (whole * TOGETHER * f.lanes, rest), room, groups)
    f.ret()
    return f


def _sum_bytes(f: Function, shape: tuple[int, int], columns: tuple[Value, int], room: Value, groups: Value) -> None:
    """Sum some vectors of a tile, given as their first column and their number."""
    (rows, vectors), (first, count) = shape, columns
    words = f.at(f.at("%W", vectors * f.lanes), f.mul(groups, first))
    values = f"ptr {room}, ptr {f.at('%W', first)}, ptr {words}, i64 {groups}"
    f.line(f"call void @bytes_{rows}_{count}(ptr {f.at('%out', first)}, i64 %ldo, {values}) noinline")


def sums_of_bytes(isa: Isa, rows: int, vectors: int) -> Function:
    """out[r, :] += scales * sum_k inputs[r, k] * W[k, :] for inputs that are digits."""
    args = "ptr %out, i64 %ldo, ptr %digits, ptr %scales, ptr %words, i64 %groups"
    f = Function(f"bytes_{rows}_{vectors}", args, isa, "float")
    sums = [[[_zeros(f, _ints(f)) for _ in range(DIGITS)] for _ in range(vectors)] for _ in range(rows)]
    inputs = [f.at("%digits", r * ROOM) for r in range(rows)]
    with f.loop(0, "%groups") as group:
        weights = [_word(f, "%words", group, vectors, v) for v in range(vectors)]
        for own, row in zip(sums, inputs, strict=True):
            for d in range(DIGITS):
                digit = _every_lane(f, f.load("i32", f.at(f.at(row, f.mul(group, BYTES)), d)))
                for registers, word in zip(own, weights, strict=True):
                    _add_products(f, registers[d], word, digit)
    for r, (own, row) in enumerate(zip(sums, inputs, strict=True)):
        offsets = [_every_lane(f, f.load("i32", f.at(row, STRETCH + d))) for d in range(DIGITS)]
        step = f.splat(f.load("float", f.at(row, _STEP)))
        for v, registers in enumerate(own):
            scale = f.op(f"fmul {f.vector} {f.load_vector(f.at('%scales', v * f.lanes))}, {step}")
            _add_scaled(f, _total(f, registers, offsets), scale, r, v * f.lanes)
    f.ret()
    return f


def _every_lane(f: Function, value: str) -> str:
    one = f.op(f"insertelement {_ints(f)} poison, i32 {value}, i64 0")
    return f.op(f"shufflevector {_ints(f)} {one}, {_ints(f)} poison, {_ints(f)} zeroinitializer")


def _add_products(f: Function, register: str, unsigned: str, signed: str) -> None:
    """Each lane of the register += the sum of four products of bytes."""
    ints, known = _ints(f), f.load(_ints(f), register)
    name = f"llvm.x86.avx512.vpdpbusd.{f.isa.vector_bytes * 8}"
    f.store(ints, f.call(ints, name, (ints, known), (ints, unsigned), (ints, signed)), register)


def _total(f: Function, sums: list[str], offsets: list[str]) -> str:
    """What three sums of digits say together. 128 was added to every weight, so 128 times the sum of digits goes."""
    total = ""
    for register, offset in zip(reversed(sums), reversed(offsets), strict=True):
        whole = f.op(f"sub {_ints(f)} {f.load(_ints(f), register)}, {offset}")
        value = f.op(f"sitofp {_ints(f)} {whole} to {f.vector}")
        total = f.fma(total, f.splat("2.560000e+02"), value) if total else value
    return total


def digits(isa: Isa) -> Function:
    """Inputs as digits: of four inputs the lowest ones in a word, then the middle ones, then the highest, then nothing.
    After these, 128 times the sum of each kind of digit, and what a one in the lowest digit is worth.

    The largest input is found among the bits, where NaN is above infinity: an input that is not finite makes the worth
    such, and no output of its row is finite.
    """
    f = Function("digits", "ptr %A, i64 %K, ptr %out", isa, "float")
    largest, sums = _zeros(f, _ints(f)), _zeros(f, _ints(f))
    for k, (mask,) in f.vectors("%K"):
        bits = f.op(f"bitcast {f.vector} {f.load_masked(f.at('%A', k), mask)} to {_ints(f)}")
        size = f.op(f"and {_ints(f)} {bits}, splat (i32 2147483647)")
        f.store(_ints(f), _larger(f, f.load(_ints(f), largest), size, _ints(f), f"v{f.lanes}i32"), largest)
    most = f.call("i32", f"llvm.vector.reduce.smax.v{f.lanes}i32", (_ints(f), f.load(_ints(f), largest)))
    most = f.op(f"bitcast i32 {_larger(f, most, str(LEAST), 'i32', 'i32')} to float")
    inverse = f.splat(f.op(f"fdiv float {TOP:e}, {most}"))
    for k, (mask,) in f.vectors("%K"):
        found = _three_digits(f, f.op(f"fmul {f.vector} {f.load_masked(f.at('%A', k), mask)}, {inverse}"))
        f.store(_ints(f), found, f.at("%out", k), 4)
        _add_products(f, sums, "splat (i32 -2139062144)", found)  # four bytes of 128
    f.store(_ints(f), _folded(f, f.load(_ints(f), sums)), f.at("%out", STRETCH), 4)
    f.store("float", f.op(f"fdiv float {most}, {TOP:e}"), f.at("%out", _STEP))
    f.ret()
    return f


def _larger(f: Function, a: str, b: str, kind: str, suffix: str) -> str:
    return f.call(kind, f"llvm.smax.{suffix}", (kind, a), (kind, b))


def _three_digits(f: Function, scaled: str) -> str:
    """The nearest whole numbers x as digits d of a signed byte: adding 128 to each digit makes them the bytes of
    x + 0x808080. Bytes of four inputs are then turned, so that equal places of them share a word."""
    ints, every = _ints(f), f"<{f.lanes * BYTES} x i8>"
    convert = f"llvm.x86.avx512.mask.cvtps2dq.{f.isa.vector_bytes * 8}"
    arguments = ((f.vector, scaled), (ints, "zeroinitializer"), ("i16", -1), ("i32", 4))  # 4: to the nearest
    moved = f.op(f"add {ints} {f.call(ints, convert, *arguments)}, splat (i32 8421504)")
    signed = f.op(f"bitcast {ints} {f.op(f'xor {ints} {moved}, splat (i32 8421504)')} to {every}")
    order = [16 * (n // 16) + 4 * (n % 4) + n % 16 // 4 for n in range(f.lanes * BYTES)]
    places = f"<{len(order)} x i32> <{', '.join(f'i32 {n}' for n in order)}>"
    turned = f.op(f"shufflevector {every} {signed}, {every} poison, {places}")
    return f.op(f"bitcast {every} {turned} to {ints}")


def _folded(f: Function, sums: str) -> str:
    """Lane n of the first four becomes the sum of lanes n, n + 4, n + 8, ..."""
    lanes = f.lanes
    while lanes > BYTES:
        lanes //= 2
        upper = ", ".join(f"i32 {(n + lanes) % f.lanes}" for n in range(f.lanes))
        other = f.op(f"shufflevector {_ints(f)} {sums}, {_ints(f)} poison, <{f.lanes} x i32> <{upper}>")
        sums = f.op(f"add {_ints(f)} {sums}, {other}")
    return sums


FORMS: dict[str, Callable[[Isa, int, int], Function]] = {"bf16": bf16, "int8": int8, "bytes": products_of_bytes}
