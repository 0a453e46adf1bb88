"""Kernels whose arrays all lie beside pages that nobody may touch: `attempt(17)` dies where one reads or writes beyond.

What callers give, what the runtime makes for them, its working memory and its tables end at such a page in one half of
the cases and begin behind one in the other. What is made without values holds NaN.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from compare import assert_close
from gatework import cells
from gatework.compiler.pipeline import prepare
from gatework.runtime import frame, memory
from gatework.runtime.llvm import arrays, compiled, launch, script, stream
from kernel_check import HERE, LAYOUTS, Pair, Setting
from random_cells import random_cell

SIZES = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33)
FROM_NUMPY = (arrays, compiled, frame, memory, script, stream)  # modules that make arrays which kernels touch
LINE = 64


def guard(values: np.ndarray, at_end: bool = True, line: int = 1) -> np.ndarray:
    """A copy that ends at a forbidden page, up to a multiple of `line` bytes, or begins behind one."""
    page, size = mmap.PAGESIZE, -(-values.nbytes // line) * line
    pages = max(1, -(-size // page))
    whole = np.frombuffer(mmap.mmap(-1, (pages + 2) * page), np.uint8)
    address, libc = whole.ctypes.data, ctypes.CDLL(None, use_errno=True)
    for forbidden in (address, address + (pages + 1) * page):
        if libc.mprotect(ctypes.c_void_p(forbidden), ctypes.c_size_t(page), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    first = page + (pages * page - size if at_end else 0)
    found = whole[first : first + values.nbytes].view(values.dtype).reshape(values.shape)
    found[...] = values
    return found


class Numpy:
    """numpy, whose new arrays are guarded."""

    def __init__(self, at_end: bool):
        self.at_end = at_end

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any) -> np.ndarray:
        return guard(np.full(shape, np.nan, dtype), self.at_end)

    def __made(self, made: Callable[..., np.ndarray], *args: Any, **options: Any) -> np.ndarray:
        return guard(made(*args, **options), self.at_end)

    def zeros(self, *args: Any) -> np.ndarray:
        return self.__made(np.zeros, *args)

    def full(self, *args: Any) -> np.ndarray:
        return self.__made(np.full, *args)

    def array(self, *args: Any, **options: Any) -> np.ndarray:
        return self.__made(np.array, *args, **options)

    def ascontiguousarray(self, *args: Any) -> np.ndarray:
        return self.__made(np.ascontiguousarray, *args)

    def aligned_zeros(self, elements: int, dtype: np.dtype) -> np.ndarray:
        """As runtime.memory has it: begins at a cache line, two lines to spare."""
        return guard(np.zeros(elements + 2 * LINE // dtype.itemsize, dtype), self.at_end, LINE)


class Guarded(Pair):
    """A case whose arrays are guarded."""

    def cast(self, value: Any) -> Any:
        found = super().cast(value)
        return guard(found, bool(self.at.seed % 2)) if isinstance(found, np.ndarray) else found

    def flat(self, padded: np.ndarray) -> np.ndarray:
        return self.cast(super().flat(padded))

    def check_stream(self) -> None:
        """All steps of a rectangle, one at a time."""
        rates = {name: v for name, v in self.inputs.items() if isinstance(v, float)}
        bound = self.program.stream(self.weights, self.at.B, rates)
        bound.state = dict(self.start)
        first, steps = self.graph.inputs[0].name, []
        for t in range(self.at.T):
            for name, buffer in bound.inputs.items():
                buffer[...] = self.made.inputs[name][t] if name in self.steps else self.made.inputs[name]
            steps.append(np.array(bound.step(bound.inputs[first])))
        history = self.forward(train=False).history[self.graph.states[0].name]
        assert_close(np.concatenate(steps), history, self.at.T, f"stream of {self.graph.name} {self.at}")


def install(at_end: bool) -> None:
    """From here on the runtime makes guarded arrays."""
    numpy = Numpy(at_end)
    for module in FROM_NUMPY:
        vars(module)["np"] = numpy
    for module in (memory, launch):
        vars(module)["aligned_zeros"] = numpy.aligned_zeros


def attempt(number: int) -> None:
    draw = Random(f"guarded {number}")
    at = Setting(
        T=draw.randint(1, 5), B=draw.choice(SIZES), H=draw.choice(SIZES), I=draw.choice(SIZES),
        dtype=draw.choice(["float32", "float64"]), isa=draw.choice(HERE), layout=draw.choice(LAYOUTS),
        recompute=draw.choice([False, True]), given_start=draw.choice([False, True]), seed=number,
    )  # fmt: skip
    cell = random_cell(draw) if number % 5 == 0 else cells.get(draw.choice(["lstm", "gru", "rnn"]))
    install(at_end=bool(number % 2))
    with np.errstate(all="ignore"):
        Guarded(prepare(cell.graph, {}), at).check(loosen=100)
        Guarded(prepare(cell.graph, {}), replace(at, layout="rectangle")).check_stream()
