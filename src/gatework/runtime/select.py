"""Which program runs a cell: compiled kernels where the processor has them, else the reference interpreter."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from gatework.compiler.ir import Graph
from gatework.errors import KernelError, OptionError, ShapeError
from gatework.runtime import cpu
from gatework.runtime.interpreted import Interpreted
from gatework.runtime.program import SCALARS, Program


def program(
    graph: Graph, sizes: Mapping[str, int], dtype: Any = np.float32, recompute: bool = False
) -> Program | Interpreted:
    """A cell for given sizes and type, ready to run forward and backward; the same arguments give the same object.

        p = gatework.runtime.program(cells.get("lstm").graph, {"I": 3, "H": 4}, "float32")
        p.forward(Rows.rectangle(10, 2), {"x": x}, {}, weights).history["h"]        # (20, 4)

    `recompute` saves memory: gates are computed again in the backward pass instead of being kept. `GATEWORK_ISA`
    forces an
    instruction set, or with "reference" the interpreter. `p.describe()` says what runs and why. Raises ShapeError for
    a type other than float32 and float64.
    """
    name = np.dtype(dtype).name
    if name not in SCALARS:
        raise ShapeError(f"kernels compute in float32 or float64, not {name}; convert the input")
    return _program(graph, tuple(sorted(sizes.items())), name, bool(recompute), os.environ.get("GATEWORK_ISA"))


@functools.lru_cache(maxsize=32)
def _program(graph: Graph, sizes: tuple, dtype: str, recompute: bool, forced: str | None) -> Program | Interpreted:
    if forced == "reference":
        return Interpreted(graph, dict(sizes), dtype, "GATEWORK_ISA=reference")
    try:
        isa = cpu.best_isa(forced)
    except KernelError as error:
        if forced:
            raise OptionError(str(error)) from error
        return Interpreted(graph, dict(sizes), dtype, str(error))
    return Program(graph, dict(sizes), dtype, isa, recompute)
