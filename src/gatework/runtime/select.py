"""Which program runs a cell: compiled kernels where the processor has them, else the reference interpreter."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike

from gatework.compiler.ir import Graph
from gatework.errors import KernelError, OptionError, ShapeError
from gatework.runtime.interpreted import Interpreted
from gatework.runtime.llvm import cpu
from gatework.runtime.llvm.compiled import SCALARS, Compiled
from gatework.runtime.program import BF16, Program


def program(
    graph: Graph,
    sizes: Mapping[str, int],
    dtype: DTypeLike = np.float32,
    recompute: bool = False,
    device: str = "cpu",
    precision: str | None = None,
) -> Program:
    """A cell for given sizes and type, ready to run forward and backward; the same arguments give the same object, as
    long as somebody holds it. Its working memory goes with it.

        p = gatework.runtime.program(cells.get("lstm").graph, {"I": 3, "H": 4}, "float32")
        p.forward(Rows.rectangle(10, 2), {"x": x}, {}, weights).history["h"]        # (20, 4)

    `recompute` saves memory: gates are computed again in the backward pass instead of being kept. `GATEWORK_ISA` forces
    an instruction set, or with "reference" the interpreter. `p.describe()` says what runs and why.

    `precision` "bf16": products round both their operands to bfloat16 (8 bits of significand), forward and backward,
    and sum in float32; states, gates, biases and all arrays that callers see stay float32. A sum of products is then
    off by at most 1 / 127 of the sum of their absolute values, and some 1.5 to 2 times faster where the processor has
    AVX512-BF16.

    Raises: ShapeError for a type other than float32 and float64, OptionError for a device other than "cpu", and for
    another precision, or one of float64.
    """
    if device != "cpu":
        raise OptionError(f"there are programs for the device cpu, not for {device!r}")
    name = np.dtype(dtype).name
    if name not in SCALARS:
        raise ShapeError(f"kernels compute in float32 or float64, not {name}; convert the input")
    check_precision(precision, name)
    return _made(graph, sizes, name, bool(recompute), precision, os.environ.get("GATEWORK_ISA"))


def check_precision(precision: object, dtype: str) -> None:
    if precision not in (None, BF16):
        raise OptionError(f"precision={precision!r}: choose {BF16!r}, or None for products in the program's dtype")
    if precision is not None and dtype != "float32":
        raise OptionError(f"products in {precision} are a precision of float32 programs, not of {dtype}")


_programs: weakref.WeakValueDictionary[tuple, Compiled] = weakref.WeakValueDictionary()


def _made(
    graph: Graph, sizes: Mapping[str, int], dtype: str, recompute: bool, precision: str | None, forced: str | None
) -> Program:
    if forced == "reference":
        return Interpreted(graph, sizes, dtype, "GATEWORK_ISA=reference", precision)
    try:
        isa = cpu.best_isa(forced)
    except KernelError as error:
        if forced:
            raise OptionError(str(error)) from error
        return Interpreted(graph, sizes, dtype, str(error), precision)
    key = (graph, tuple(sorted(sizes.items())), dtype, recompute, precision, isa)
    found = _programs.get(key)
    if found is not None:
        return found
    return _programs.setdefault(key, Compiled(graph, sizes, dtype, isa, recompute, precision))
