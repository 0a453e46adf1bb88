"""Compiled cells on numpy arrays: `gatework.runtime.program(graph, sizes, dtype)`; neither torch nor a compiler is
needed.

import gatework
layer = gatework.runtime.load("model.safetensors")
y = layer.step(x)                                 # (B, I) -> (B, H), the states are kept
"""

from __future__ import annotations

from gatework.runtime.llvm.stream import Stream
from gatework.runtime.loading import load
from gatework.runtime.rows import Rows
from gatework.runtime.select import program
from gatework.runtime.settings import check_finite, get_threads, set_threads

__all__ = ["Rows", "Stream", "check_finite", "get_threads", "load", "program", "set_threads"]


def __dir__() -> list[str]:
    return __all__
