"""One thing to run: arrays for a cell at a shape, and the calls of our kernels on them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from gatework import cells, runtime
from gatework.bench.settings import Shape
from gatework.compiler import params
from gatework.compiler.ir import Graph, Input
from gatework.errors import KernelError
from gatework.runtime import Rows

KEEP = 0.8  # of units, in masks of dropout
MASKS = {"zoneout": 0.1, "reset": 0.02, "hold": 0.1, "mask": 0.5}  # how often an input that is a mask is 1


class Case:
    """A cell at a shape, with random inputs and weights that every contestant gets.

        case = Case("lstm", Shape(100, 32, 128, 128), "float32", lengths=None)
        case.forward()["h"]                        # (T*B, H), or (sum of lengths, H)

    `lengths` (B,), longest first, makes the batch ragged: rows are packed, step after step.
    """

    def __init__(
        self,
        cell: str | Graph,
        shape: Shape,
        dtype: str,
        lengths: np.ndarray | None = None,
        recompute: bool = False,
        precision: str | None = None,
    ):
        self.graph = cell if isinstance(cell, Graph) else cells.get(cell).graph
        self.shape, self.dtype, self.lengths = shape, dtype, lengths
        self.recompute, self.precision = recompute, precision
        self.random = np.random.default_rng(0)
        self.sizes = sizes_of(self.graph, shape)
        self.rows = Rows.rectangle(shape.T, shape.B) if lengths is None else packed(lengths)
        self.weights = {key: self._weight(key, of) for key, of in params.shapes(self.graph, self.sizes).items()}
        self.inputs = {i.name: self._input(i) for i in self.graph.inputs}
        self.output_name = self.graph.states[0].name
        self.gradient = self._normal(self.rows.size, params.size(self.sizes, self.graph.states[0].width))

    def _normal(self, *shape: int) -> np.ndarray:
        return self.random.standard_normal(shape).astype(self.dtype)

    def _weight(self, key: str, shape: tuple[int, ...]) -> np.ndarray:
        vectors = {v.name: v.start for v in self.graph.vectors}
        if key in vectors:
            return np.full(shape, vectors[key] or 0.1, self.dtype)
        bound = 1 / np.sqrt(self.shape.H)
        return self.random.uniform(-bound, bound, shape).astype(self.dtype)

    def _input(self, given: Input) -> Any:
        if given.per == "call":
            return KEEP
        shape = (self.rows.size if given.per == "step" else self.shape.B, params.size(self.sizes, given.width))
        if given.name.startswith("drop_"):
            return ((self.random.random(shape) < KEEP) / KEEP).astype(self.dtype)
        rate = MASKS.get(given.name.split("_")[0])
        return self._normal(*shape) if rate is None else (self.random.random(shape) < rate).astype(self.dtype)

    @property
    def work(self) -> int:
        """Multiply-adds of the products of a forward pass; a backward pass needs twice as many."""
        return params.cost(self.graph, self.sizes) * self.rows.size

    @property
    def padded(self) -> np.ndarray:
        """(T, B, I)"""
        return self.inputs["x"].reshape(self.shape.T, self.shape.B, -1)

    @property
    def padded_gradient(self) -> np.ndarray:
        """(T, B, H)"""
        return self.gradient.reshape(self.shape.T, self.shape.B, -1)

    @cached_property
    def program(self) -> Any:
        return runtime.program(self.graph, self.sizes, self.dtype, self.recompute, precision=self.precision)

    def forward(self) -> Mapping[str, np.ndarray]:
        """As for prediction: nothing is kept."""
        return self.program.forward(self.rows, self.inputs, {}, self.weights).history

    def both(self) -> object:
        """Forward and backward: gradients of the input and of all weights."""
        done = self.program.forward(self.rows, self.inputs, {}, self.weights, train=True)
        return self.program.backward(done, {self.output_name: self.gradient}, {}, need=("x", "weights"))

    def output(self) -> np.ndarray:
        """(N, H)"""
        return self.forward()[self.output_name]


def sizes_of(graph: Graph, shape: Shape) -> dict[str, int]:
    """I for the input's width, H for all others, four heads where there are heads."""
    given = dict.fromkeys(params.symbols(graph), shape.H) | {graph.inputs[0].width: shape.I}
    return given | ({"heads": 4} if "heads" in given else {})


def packed(lengths: np.ndarray) -> Rows:
    """Rows of sequences that are sorted, longest first."""
    counts = (lengths[None, :] > np.arange(lengths.max(initial=0))[:, None]).sum(1)
    return Rows.packed(counts, len(lengths))


def agree(who: str, ours: np.ndarray, theirs: np.ndarray, steps: int, allowed: float | None = None) -> None:
    """Refuse to compare the speed of things that compute something else."""
    most = float(np.finfo(ours.dtype).eps) * 100 * max(steps, 10) if allowed is None else allowed
    off = float(np.abs(ours.reshape(-1) - np.asarray(theirs).reshape(-1)).max(initial=0.0))
    if not off <= most:
        raise KernelError(f"{who} computes something else: the results differ by {off:.2g}, more than {most:.2g}")
