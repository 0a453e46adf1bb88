"""The reference behind the interface of a kernel's program: for machines without a kernel, and to test callers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gatework.backends import reference
from gatework.compiler.ir import Graph
from gatework.compiler.params import shapes, size
from gatework.errors import ShapeError
from gatework.runtime import checks
from gatework.runtime.memory import Memory
from gatework.runtime.program import Arrays, Gradients, Kind, Pass
from gatework.runtime.quantised import dense
from gatework.runtime.rows import Rows


class Interpreted:
    """A program that interprets its graph over numpy arrays; see `runtime.program` for what its methods take."""

    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        dtype: DTypeLike,
        reason: str = "asked for",
        precision: str | None = None,
    ):
        self.graph, self.sizes, self.dtype, self.reason = graph, dict(sizes), np.dtype(dtype), reason
        self.precision = precision
        self.shapes = shapes(graph, sizes)
        self.steps = [i.name for i in graph.inputs if i.per == "step"]

    def describe(self) -> str:
        products = f", {self.precision} products" if self.precision else ""
        return f"{self.graph.name}: the reference interpreter, {self.dtype.name}{products} ({self.reason})"

    def forward(
        self,
        rows: Rows,
        inputs: Arrays,
        start: Arrays,
        weights: Arrays,
        train: bool = False,
        same_weights: bool = False,
    ) -> Pass:
        weights = dense(weights)
        self.check(rows, inputs, start, weights)
        given = {s: v for s, v in start.items() if v is not None}
        padded, lengths = self.padded(rows, inputs), self.lengths(rows)
        run = reference.run(self.graph, self.sizes, padded, given, weights, lengths, precision=self.precision)
        history = {s: self.flat(rows, v) for s, v in run.history.items()}
        final = {s: np.array(v, self.dtype) for s, v in run.final.items()}
        return Pass(history, final, rows, inputs, given, weights)

    def backward(
        self,
        done: Pass,
        d_history: Arrays,
        d_final: Arrays,
        need: Collection[str] | None = None,
        into: Mapping[str, np.ndarray] | None = None,
    ) -> Gradients:
        rows, inputs = done.rows, self.padded(done.rows, done.inputs)
        call = self.graph, self.sizes, inputs, done.start, done.weights
        histories = {s: self.pad(rows, v) for s, v in d_history.items() if v is not None}
        finals = {s: v for s, v in d_final.items() if v is not None}
        found = reference.run_backward(*call, histories, finals, self.lengths(rows), precision=self.precision)
        found.inputs = {n: self.flat(rows, v) if n in self.steps else v for n, v in found.inputs.items()}
        for key, array in (into or {}).items():
            array[...] = found.weights[key]
        found.weights |= into or {}
        return found

    def frame(self, rows: Rows, kind: Kind, threads: int, own: Memory | None = None) -> None:
        """There is nothing to prepare."""

    def pair(self, rows: Sequence[Rows], kind: Kind, threads: int) -> None:
        """There is nothing to prepare."""

    def stream(self, weights: Arrays, batch: int = 1, rates: Mapping[str, float] | None = None) -> None:
        """Steps are calls of `forward`."""

    def check(self, rows: Rows, inputs: Arrays, start: Arrays, weights: Arrays) -> None:
        """Refuse what a kernel would refuse."""
        name, starts = self.graph.name, {s.name: s for s in self.graph.states}
        checks.names(name, "state", start, starts)
        rests = {f"start_{s}": state.start for s, state in starts.items()}
        for spec in self.graph.inputs:
            if spec.name not in inputs:
                raise ShapeError(f"{name}: input {spec.name!r} is missing; given are {sorted(inputs)}")
            value, what = inputs[spec.name], f"input {spec.name!r}"
            if spec.per == "call":
                checks.number(name, what, value)
                continue
            shape = (rows.size if spec.per == "step" else rows.batch, size(self.sizes, spec.width))
            checks.array(name, what, value, shape, self.dtype, rests.get(spec.name, 0.0))
        checks.names(name, "input", inputs, {i.name for i in self.graph.inputs})
        for state, value in start.items():
            if value is not None:
                shape = (rows.batch, size(self.sizes, starts[state].width))
                checks.array(name, f"the start of {state!r}", value, shape, self.dtype, starts[state].start)
        for key, shape in self.shapes.items():
            if key not in weights:
                raise ShapeError(f"{name}: weight {key!r} is missing; given are {sorted(weights)}")
            checks.array(name, f"weight {key!r}", weights[key], shape, self.dtype)

    def lengths(self, rows: Rows) -> list[int]:
        return [int((rows.counts > b).sum()) for b in range(rows.batch)]

    def padded(self, rows: Rows, inputs: Arrays) -> dict[str, Any]:
        return {n: self.pad(rows, v) if n in self.steps else v for n, v in inputs.items()}

    def pad(self, rows: Rows, flat: np.ndarray) -> np.ndarray:
        padded = np.zeros((len(rows.counts), rows.batch, flat.shape[1]), self.dtype)
        for s, (count, offset) in enumerate(zip(rows.counts, rows.offsets, strict=True)):
            padded[s, :count] = flat[offset : offset + count]
        return padded

    def flat(self, rows: Rows, padded: np.ndarray) -> np.ndarray:
        flat = np.zeros((rows.size, padded.shape[2]), self.dtype)
        for s, (count, offset) in enumerate(zip(rows.counts, rows.offsets, strict=True)):
            flat[offset : offset + count] = padded[s, :count]
        return flat
