"""What this machine can do at most: multiply-adds in registers and reading, by kernels made for nothing else.

Both run on the same team of threads as the kernels of cells. The first keeps as many accumulators as a tile has in
registers and touches no memory; the second reads an array over and over (weights, which stay where they fit).
"""

from __future__ import annotations

import ctypes
import functools
import math
from enum import IntEnum

import numpy as np

from gatework.backends.llvm.emit import Function, module
from gatework.backends.llvm.isa import Isa
from gatework.bench import steady
from gatework.bench.timing import Sample
from gatework.runtime.llvm import cpu, team
from gatework.runtime.llvm.compiled import SCALARS
from gatework.runtime.memory import aligned_zeros

ADDERS = 16  # accumulators, and vectors read in one turn of the loop


class Word(IntEnum):
    """What the threads are given: words of 8 bytes. Each takes a ticket as its number."""

    ticket = 0
    count = 1
    data = 2
    share = 3
    out = 4
    WORDS = 8


def multiply_add(isa: Isa, scalar: str) -> Function:
    """acc = acc * a + b, `count` times for every accumulator."""
    f = Function("multiply_add", "ptr %job", isa, scalar)
    out = _own_place(f)
    a, b = (f.load_vector(f.at(f.field("%job", Word.data, "ptr"), k * f.lanes)) for k in range(2))
    acc = [f.alloca(f.vector) for _ in range(accumulators(isa))]
    for place in acc:
        f.store(f.vector, a, place)
    with f.loop(0, f.field("%job", Word.count)):
        for place in acc:
            f.store(f.vector, f.fma(f.load(f.vector, place), a, b), place)
    _give(f, acc, out)
    return f


def read_all(isa: Isa, scalar: str) -> Function:
    """Add up the thread's share of an array, `count` times."""
    f = Function("read_all", "ptr %job", isa, scalar)
    out = _own_place(f)
    share = f.field("%job", Word.share)
    base = f.at(f.field("%job", Word.data, "ptr"), f.mul("%tid", share))
    acc = [f.alloca(f.vector) for _ in range(ADDERS)]
    for place in acc:
        f.store(f.vector, "zeroinitializer", place)
    with f.loop(0, f.field("%job", Word.count)), f.loop(0, share, ADDERS * f.lanes) as i:
        for k, place in enumerate(acc):
            value = f.load_vector(f.at(base, f.add(i, k * f.lanes)), aligned=True)
            f.store(f.vector, f.op(f"fadd {f.vector} {f.load(f.vector, place)}, {value}"), place)
    _give(f, acc, out)
    return f


def accumulators(isa: Isa) -> int:
    """As many as the largest tile has."""
    return max(rows * vectors for vectors, rows in isa.rows.items())


def _own_place(f: Function) -> str:
    """Take a ticket (%tid); where this thread leaves its sum, so that nothing counts as useless."""
    ticket = f.at("%job", int(Word.ticket), "i64")
    f.line(f"%tid = atomicrmw add ptr {ticket}, i64 1 acq_rel")
    return str(f.at(f.field("%job", Word.out, "ptr"), f.mul("%tid", f.lanes)))


def _give(f: Function, acc: list[str], out: str) -> None:
    total = f.load(f.vector, acc[0])
    for place in acc[1:]:
        total = f.op(f"fadd {f.vector} {total}, {f.load(f.vector, place)}")
    f.store_vector(total, out)
    f.ret()


@functools.cache
def code(isa: Isa, scalar: str) -> cpu.Code:
    """Both kernels."""
    text = module([multiply_add(isa, scalar), read_all(isa, scalar)], isa)
    return cpu.load(f"peak-{scalar}", text, isa, lambda: text)


class Peak:
    """A kernel bound to threads and amount: `run()` does `amount` operations or bytes.

    peak = multiply_adds("float32", 1)
    peak.amount / measure({"peak": peak.run})["peak"].median        # 2.7e11 floating point operations a second
    """

    def __init__(self, name: str, dtype: str, count: int, data: np.ndarray, share: int, isa: Isa | None = None):
        self.isa, self.threads = isa or cpu.best_isa(), count
        self.code = code(self.isa, SCALARS[dtype])
        self.out = aligned_zeros(count * self.isa.lanes(SCALARS[dtype]), np.dtype(dtype))
        self.data, self.amount, self.name = data, 0, name
        self.job = aligned_zeros(int(Word.WORDS), np.dtype(np.int64))
        self.job[Word.data], self.job[Word.share], self.job[Word.out] = data.ctypes.data, share, self.out.ctypes.data
        self.alone = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.code[name])

    def set(self, count: int, amount: int) -> Peak:
        self.job[Word.count], self.amount = count, amount
        return self

    def run(self) -> None:
        self.job[Word.ticket] = 0
        if self.threads == 1:
            self.alone(self.job.ctypes.data)
        else:
            team.team().run(self.code[self.name], self.job.ctypes.data, self.threads)

    @property
    def result(self) -> np.ndarray:
        """What the threads left, (threads, lanes)."""
        return self.out[: self.threads * self.isa.lanes(SCALARS[self.out.dtype.name])].reshape(self.threads, -1)


def multiply_adds(dtype: str, count: int, turns: int = 400_000, isa: Isa | None = None) -> Peak:
    """Fused multiply-adds in registers on `count` threads; a multiply-add is two operations."""
    isa = isa or cpu.best_isa()
    lanes = isa.lanes(SCALARS[dtype])
    factors = np.concatenate([np.full(lanes, 0.5, dtype), np.ones(lanes, dtype)])
    peak = Peak("multiply_add", dtype, count, factors, 0, isa)
    return peak.set(turns, 2 * turns * lanes * accumulators(isa) * count)


def reads(size: int, count: int, dtype: str = "float32", total: int = 64 << 20, isa: Isa | None = None) -> Peak:
    """Read about `size` bytes over and over on `count` threads, each its own part; `total` bytes in all."""
    isa = isa or cpu.best_isa()
    item, lanes = np.dtype(dtype).itemsize, isa.lanes(SCALARS[dtype])
    turn = ADDERS * lanes * count
    share = max(size // item // turn, 1) * ADDERS * lanes
    data = aligned_zeros(share * count, np.dtype(dtype))
    data[: share * count] = 1
    repeats = max(1, total // (share * count * item))
    return Peak("read_all", dtype, count, data, share, isa).set(repeats, repeats * share * count * item)


def rate(peak: Peak, sample: Sample) -> float:
    """Operations or bytes a second."""
    return peak.amount / sample.median


_fastest: dict[tuple[str, str, str, int, int], float] = {}


def best_time(peak: Peak, sample: Sample) -> float:
    """Seconds of the fastest run of such a kernel that this process has seen."""
    key = (peak.name, peak.isa.name, peak.data.dtype.name, peak.threads, peak.amount)
    _fastest[key] = min(_fastest.get(key, math.inf), steady.best(sample.times))
    return _fastest[key]
