"""The inner loops: R rows x V vectors of accumulators in registers, one fused multiply-add chain per output.

`tile`   out[r, :] += sum_k A[r, k] * W[k, :]         (products of a step; W is a packed panel)
`outer`  out[r, :] += sum_n A[n, r] * Z[n, :]         (weight gradients; n runs over rows of the batch)

Both add in ascending order of k (or n), one at a time, starting from what is already there. So an output has the same
bits for every tile shape, thread count, and wherever a sum is split in two calls. Where operands are pairs of bfloat16
(see rounded.py) k and n count words, and each adds two products.
"""

from __future__ import annotations

from .emit import Function, Value, module
from .isa import Isa
from .layout import LINE
from .rounded import multiply


def tile(isa: Isa, scalar: str, rows: int, vectors: int) -> Function:
    """Rows of out and A are ldo and lda elements apart; W is (K, V lanes), contiguous and aligned. K cache lines at
    `next`, weights that are read soon, come nearer meanwhile."""
    args = "ptr %out, i64 %ldo, ptr %A, i64 %lda, ptr %W, i64 %K, ptr %next"
    f = Function(f"tile_{rows}_{vectors}", args, isa, scalar)
    acc = load_accumulators(f, "%out", "%ldo", rows, vectors)
    row = [f.at("%A", f.mul(r, "%lda")) for r in range(rows)]
    with f.loop(0, "%K") as k:
        if rows >= _SEVERAL:
            f.fetch(f.at("%next", f.mul(k, LINE), "i8"), level=2)
        panel = f.at("%W", f.mul(k, vectors * f.lanes))
        weights = [f.load_vector(f.at(panel, v * f.lanes), aligned=True) for v in range(vectors)]
        _accumulate(f, acc, weights, [f.at(p, k) for p in row])
    store_accumulators(f, acc, "%out", "%ldo")
    return f


def outer(isa: Isa, scalar: str, rows: int, vectors: int) -> Function:
    """out is (R, V lanes) with row stride ldo; rows of A and Z are lda and ldz elements apart."""
    args = "ptr %out, i64 %ldo, ptr %A, i64 %lda, ptr %Z, i64 %ldz, i64 %N"
    f = Function(f"outer_{rows}_{vectors}", args, isa, scalar)
    acc = load_accumulators(f, "%out", "%ldo", rows, vectors)
    following = f.at("%out", f.mul(rows, "%ldo"))
    for line in range(rows * vectors):
        f.fetch(f.at(following, line * f.lanes), write=True, level=2)
    with f.loop(0, "%N") as n:
        z = f.at("%Z", f.mul(n, "%ldz"))
        a = f.at("%A", f.mul(n, "%lda"))
        _prefetch(f, f.add(n, _AHEAD), vectors)
        weights = [f.load_vector(f.at(z, v * f.lanes)) for v in range(vectors)]
        _accumulate(f, acc, weights, [f.at(a, r) for r in range(rows)])
    store_accumulators(f, acc, "%out", "%ldo")
    return f


_AHEAD = 4
_SEVERAL = 4  # rows; lower tiles are hardly ever one of several, and their loads are what they wait for


def _prefetch(f: Function, n: Value, vectors: int) -> None:
    """Ask for a later row of both operands: rows lie a stride apart, which hardware does not foresee well."""
    z = f.at("%Z", f.mul(n, "%ldz"))
    lines = [f.at("%A", f.mul(n, "%lda")), *(f.at(z, v * f.lanes) for v in range(vectors))]
    for line in lines:
        f.fetch(line)


def load_accumulators(f: Function, base: str, stride: str, rows: int, vectors: int) -> list[list[str]]:
    acc = [[f.alloca(f.vector) for _ in range(vectors)] for _ in range(rows)]
    for r in range(rows):
        source = f.at(base, f.mul(r, stride))
        for v in range(vectors):
            f.store(f.vector, f.load_vector(f.at(source, v * f.lanes)), acc[r][v])
    return acc


def _accumulate(f: Function, acc: list[list[str]], weights: list[str], scalars: list[Value]) -> None:
    for r, address in enumerate(scalars):
        broadcast = f.splat(f.load(f.scalar, address))
        for v, weight in enumerate(weights):
            f.store(f.vector, multiply(f, broadcast, weight, f.load(f.vector, acc[r][v])), acc[r][v])


def store_accumulators(f: Function, acc: list[list[str]], base: str, stride: str) -> None:
    for r, row in enumerate(acc):
        target = f.at(base, f.mul(r, stride))
        for v, register in enumerate(row):
            f.store_vector(f.load(f.vector, register), f.at(target, v * f.lanes))
    f.ret()


def shapes(isa: Isa) -> list[tuple[int, int]]:
    """Every tile shape (rows, vectors) of this instruction set."""
    return [(r, v) for v, most in isa.rows.items() for r in range(1, most + 1)]


def library(isa: Isa, scalar: str) -> str:
    """One module with all tiles."""
    plain = [tile(isa, scalar, r, v) for r, v in shapes(isa)]
    return module(plain + [outer(isa, scalar, r, v) for r, v in shapes(isa) if v <= isa.max_vectors()], isa)
