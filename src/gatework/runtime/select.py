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
from gatework.runtime.program import Program


def program(
    graph: Graph,
    sizes: Mapping[str, int],
    dtype: DTypeLike = np.float32,
    recompute: bool = False,
    device: str = "cpu",
) -> Program:
    """A cell for given sizes and type, ready to run forward and backward; the same arguments give the same object, as
    long as somebody holds it. Its working memory goes with it.

        p = gatework.runtime.program(cells.get("lstm").graph, {"I": 3, "H": 4}, "float32")
        p.forward(Rows.rectangle(10, 2), {"x": x}, {}, weights).history["h"]        # (20, 4)

    `recompute` saves memory: gates are computed again in the backward pass instead of being kept. `GATEWORK_ISA` forces
    an instruction set, or with "reference" the interpreter. `p.describe()` says what runs and why.

    Raises: ShapeError for a type other than float32 and float64, OptionError for a device other than "cpu".
    """
    if device != "cpu":
        raise OptionError(f"there are programs for the device cpu, not for {device!r}")
    name = np.dtype(dtype).name
    if name not in SCALARS:
        raise ShapeError(f"kernels compute in float32 or float64, not {name}; convert the input")
    return _made(graph, sizes, name, bool(recompute), os.environ.get("GATEWORK_ISA"))


_programs: weakref.WeakValueDictionary[tuple, Compiled] = weakref.WeakValueDictionary()


def _made(graph: Graph, sizes: Mapping[str, int], dtype: str, recompute: bool, forced: str | None) -> Program:
    if forced == "reference":
        return Interpreted(graph, sizes, dtype, "GATEWORK_ISA=reference")
    try:
        isa = cpu.best_isa(forced)
    except KernelError as error:
        if forced:
            raise OptionError(str(error)) from error
        return Interpreted(graph, sizes, dtype, str(error))
    key = (graph, tuple(sorted(sizes.items())), dtype, recompute, isa)
    found = _programs.get(key)
    return found if found is not None else _programs.setdefault(key, Compiled(graph, sizes, dtype, isa, recompute))
