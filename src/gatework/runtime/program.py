"""What every program is: a cell with its sizes, ready to run forward and backward over rows of sequences.

`gatework.runtime.program` chooses which: machine code for this processor, or the reference interpreter. A backend for
another device is another class that does what `Program` says, in a folder beside `runtime/llvm`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gatework.backends.reference import Gradients
from gatework.compiler.ir import Graph
from gatework.runtime.frame import Frame, Pair
from gatework.runtime.memory import Memory
from gatework.runtime.rows import Rows

__all__ = ["BF16", "Arrays", "Gradients", "Kind", "Pass", "Program", "Stream"]

BF16 = "bf16"  # a precision: of weights that are kept in few bytes, and of products

Arrays = Mapping[str, Any]  # arrays by name; a number for an input that is given once a call
Kind = str | frozenset[str]  # of a call: "infer" (or "bf16", "int8", with such weights), "train", or backward, for
# gradients of these inputs and "weights"


@dataclass
class Pass:
    """What a forward pass gives: `history` {state: (N, w)}, `final` {state: (B, w)}; and what the way back needs."""

    history: dict[str, np.ndarray]
    final: dict[str, np.ndarray]
    rows: Rows
    inputs: Arrays
    start: Arrays
    weights: Arrays
    saved: np.ndarray | None = None


class Stream(Protocol):
    """A program bound to weights and states, for one step at a time; see `runtime.llvm.stream`."""

    batch: int
    shape: tuple[int, ...]
    inputs: dict[str, np.ndarray]

    def step(self, x: np.ndarray) -> np.ndarray: ...
    @property
    def state(self) -> dict[str, np.ndarray]: ...
    @state.setter
    def state(self, given: Arrays) -> None: ...


class Program(Protocol):
    """A cell for given sizes, type and device."""

    graph: Graph
    sizes: dict[str, int]
    shapes: dict[str, tuple[int, ...]]  # of the weights
    dtype: np.dtype
    precision: str | None  # of products: BF16, or that of `dtype`

    def describe(self) -> str:
        """What runs, and why."""
        ...

    def forward(
        self,
        rows: Rows,
        inputs: Arrays,
        start: Arrays,
        weights: Arrays,
        train: bool = False,
        same_weights: bool = False,
    ) -> Pass:
        """Run every step: inputs (N, w) of each step or (B, w) of each sequence, starts (B, w) or None. In inference
        only the histories that were made on the way are given, at least the output's. `same_weights` promises that
        the weights have not changed since this program's last forward pass."""
        ...

    def backward(
        self,
        done: Pass,
        d_history: Arrays,
        d_final: Arrays,
        need: Collection[str] | None = None,
        into: Mapping[str, np.ndarray] | None = None,
    ) -> Gradients:
        """Gradients from those of the states' histories (N, w) and last values (B, w); None or missing means zero.

        `need` names inputs, "start" and "weights" (default: all). `into` holds arrays for gradients of weights. What
        was not asked for, or is zero by structure, may be missing."""
        ...

    def frame(self, rows: Rows, kind: Kind, threads: int, own: Memory | None = None) -> Frame | None:
        """A call prepared for callers that make it many times, in `own` memory where the program's is not to be shared;
        None where this program has no such thing: then `forward` and `backward` are the way."""
        ...

    def pair(self, rows: Sequence[Rows], kind: Kind, threads: int) -> Pair | None:
        """Two such calls, of different rows, that run at the same time; None where that is not possible, or no
        faster."""
        ...

    def stream(self, weights: Arrays, batch: int = 1, rates: Mapping[str, float] | None = None) -> Stream | None:
        """The program bound to weights, for `batch` streams; None where single steps are calls of `forward`."""
        ...
