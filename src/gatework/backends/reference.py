"""This is the living definition: what a cell means, forward and backward, is what this interpreter computes.

It walks the graph once per step, over numpy arrays or, through the same code, torch tensors (float64, float32; complex
numpy arrays for complex-step derivatives). It is slow on purpose: every other backend is tested against it.

Letters: T steps, B rows, w units. A row with `lengths[b] < T` keeps its states from there on; in reverse it starts
at its own last step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gatework.backends.arrays import Lib, lib_of
from gatework.compiler.derive import derive
from gatework.compiler.ir import Backward, Graph, Input, Node
from gatework.compiler.params import shapes, size
from gatework.errors import ShapeError

Arrays = Mapping[str, Any]


@dataclass
class Run:
    """What a forward pass gives: `history[state]` (T, B, w), zero after a row's end; `final[state]` (B, w); every named
    value of the steps, `values[name]` (T, B, w), zero after a row's end."""

    history: dict[str, Any]
    final: dict[str, Any]
    values: dict[str, Any]


@dataclass
class Gradients:
    """Gradients of inputs, start values and parameters, under the keys and shapes of what they belong to."""

    inputs: dict[str, Any] = field(default_factory=dict)
    start: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)


@np.errstate(all="ignore")  # infinities and NaN are results, as in every other backend
def run(
    graph: Graph,
    sizes: Mapping[str, int],
    inputs: Arrays,
    start: Mapping[str, Any] | None,
    weights: Arrays,
    lengths: Iterable[int] | None = None,
    reverse: bool = False,
    precision: str | None = None,
) -> Run:
    """Run a cell over sequences.

    >>> weights = {"h.0": np.eye(4), "h.1": np.ones((4, 3)), "h.bias": np.zeros(4)}
    >>> run(rnn.graph, {"I": 3, "H": 4}, {"x": np.ones((5, 2, 3))}, None, weights).history["h"].shape
    (5, 2, 4)

    inputs   {name: (T, B, w) per step, (B, w) per sequence, a number per call}
    start    {state: (B, w)}; a state that is missing begins with the value that the cell gives it
    weights  {key: array} as `compiler.params.shapes` names them
    lengths  whole numbers 0..T, one a row; all T if missing. A torch tensor is not checked: torch.func may hide it
    precision  "bf16": products multiply operands that are rounded to bfloat16; all else is as it was
    """
    job = Job(graph, sizes, inputs, start or {}, weights, lengths, precision)
    history: list[dict[str, Any]] = [{} for _ in range(job.steps)]
    named: list[dict[str, Any]] = [{} for _ in range(job.steps)]
    states = job.start
    for t in job.order(reverse):
        values = evaluate(graph.nodes, job.leaves(t, states), job)
        states = job.advance(t, states, values)
        history[t] = {name: job.cut(t, new) for name, new in states.items()}
        named[t] = {
            n.name: job.cut(t, job.wide(v, n.width)) for n, v in zip(graph.nodes, values, strict=True) if n.name
        }
    widths = {s.name: s.width for s in graph.states}
    value_widths = {n.name: n.width for n in graph.nodes if n.name}
    return Run(job.stacked(history, widths), states, job.stacked(named, value_widths))


@np.errstate(all="ignore")
def run_backward(
    graph: Graph,
    sizes: Mapping[str, int],
    inputs: Arrays,
    start: Mapping[str, Any] | None,
    weights: Arrays,
    d_history: Arrays | None = None,
    d_final: Arrays | None = None,
    lengths: Iterable[int] | None = None,
    reverse: bool = False,
    precision: str | None = None,
) -> Gradients:
    """Gradients of sum(d_history * history) + sum(d_final * final), by interpreting `derive(graph)` step by step.

    d_history {state: (T, B, w)} and d_final {state: (B, w)} may leave states out. With `precision` "bf16" the products
    of the way back, and those of weight gradients, round both their operands, too.
    """
    job = Job(graph, sizes, inputs, start or {}, weights, lengths, precision)
    before: dict[int, dict[str, Any]] = {}
    states = job.start
    for t in job.order(reverse):
        before[t] = states
        states = job.advance(t, states, evaluate(graph.nodes, job.leaves(t, states), job))
    backward = derive(graph)
    sums = Sums(job, backward)
    carried = {s.name: (d_final or {}).get(s.name, job.zeros(job.rows, s.width)) for s in graph.states}
    for t in reversed(job.order(reverse)):
        carried = sums.step(t, before[t], carried, d_history or {})
    return sums.gradients(carried)


class Numbers:
    """What the values of a step are made with: sizes, weights, the library of their arrays, and what products read."""

    def __init__(self, sizes: Mapping[str, int], weights: Arrays, lib: Lib, precision: str | None = None):
        self.sizes, self.weights, self.lib = sizes, weights, lib
        self.operand = lib.bf16 if precision == "bf16" else lambda value: value

    def zeros(self, rows: int, width: str) -> Any:
        return self.lib.zeros((rows, size(self.sizes, width)))


class Job(Numbers):
    """One call's arrays, checked, with what the loops need of them."""

    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        inputs: Arrays,
        start: Arrays,
        weights: Arrays,
        lengths: Iterable[int] | None,
        precision: str | None = None,
    ):
        self.graph, self.inputs = graph, inputs
        first = next((inputs[i.name] for i in graph.inputs if i.per == "step" and i.name in inputs), None)
        if first is None or getattr(first, "ndim", 0) != 3:
            given = {k: getattr(v, "shape", v) for k, v in inputs.items()}
            raise ShapeError(
                f"{graph.name} needs an input of shape (T, B, width) for one of its steps; given are {given}"
            )
        self.steps, self.rows = int(first.shape[0]), int(first.shape[1])
        super().__init__(sizes, weights, lib_of(first, *weights.values(), *start.values()), precision)
        self.check()
        self.lengths = self.counted([self.steps] * self.rows if lengths is None else lengths)
        self.start = {s.name: self.start_of(s.name, s.width, s.start, start) for s in graph.states}

    def check(self) -> None:
        shaped = {i.name: self.input_shape(i) for i in self.graph.inputs if i.per != "call"}
        for kind, given, expected in (
            ("input", self.inputs, shaped),
            ("parameter", self.weights, shapes(self.graph, self.sizes)),
        ):
            for name, shape in expected.items():
                if name not in given:
                    raise ShapeError(
                        f"{self.graph.name}: {kind} {name!r} of shape {shape} is missing; given: {sorted(given)}"
                    )
                if tuple(given[name].shape) != shape:
                    raise ShapeError(
                        f"{self.graph.name}: {kind} {name!r} has shape {tuple(given[name].shape)}, expected {shape}"
                    )

    def counted(self, lengths: Iterable[int]) -> Any:
        """The rows' lengths (B,)."""
        if hasattr(lengths, "shape") and not isinstance(lengths, np.ndarray):
            return lengths
        numbers = [int(n) for n in lengths]
        if len(numbers) != self.rows or any(n < 0 or n > self.steps for n in numbers):
            raise ShapeError(f"lengths {numbers} must be {self.rows} whole numbers from 0 to T={self.steps}")
        return self.lib.integers(numbers)

    def input_shape(self, item: Input) -> tuple[int, ...]:
        return (*((self.steps,) if item.per == "step" else ()), self.rows, size(self.sizes, item.width))

    def start_of(self, name: str, width: str, value: float, start: Arrays) -> Any:
        given = start.get(name)
        if given is None:
            return self.zeros(self.rows, width) + value
        shape = (self.rows, size(self.sizes, width))
        if tuple(given.shape) != shape:
            raise ShapeError(
                f"{self.graph.name}: start of state {name!r} has shape {tuple(given.shape)}, expected {shape}"
            )
        return given

    def order(self, reverse: bool) -> list[int]:
        return list(range(self.steps))[:: -1 if reverse else 1]

    def active(self, t: int) -> Any:
        """(B, 1): which rows have a step t."""
        return (self.lengths > t)[:, None]

    def cut(self, t: int, value: Any) -> Any:
        return self.lib.where(self.active(t), value, self.lib.number(0.0))

    def wide(self, value: Any, width: str) -> Any:
        """A value that all rows share, given to each."""
        return value + self.zeros(self.rows, width) if value.shape[0] != self.rows else value

    def stacked(self, steps: list[dict[str, Any]], widths: Mapping[str, str]) -> dict[str, Any]:
        empty = {n: self.lib.zeros((0, self.rows, size(self.sizes, w))) for n, w in widths.items()}
        return {n: self.lib.stack([step[n] for step in steps]) if steps else empty[n] for n in widths}

    def advance(self, t: int, states: dict[str, Any], values: list[Any]) -> dict[str, Any]:
        active, new = self.active(t), zip(self.graph.states, self.graph.news, strict=True)
        return {s.name: self.lib.where(active, self.wide(values[n], s.width), states[s.name]) for s, n in new}

    def leaves(self, t: int, states: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
        """Values of the leaves of step t, by operation and name."""
        found = {("state", name): value for name, value in states.items()}
        for item in self.graph.inputs:
            value = self.inputs[item.name]
            if item.per == "step":
                value = self.cut(t, value[t])  # behind a row's end may stand anything; its gradients are zero, not NaN
            found["input", item.name] = self.lib.number(value) if item.per == "call" else value
        for vector in self.graph.vectors:
            found["vector", vector.name] = self.weights[vector.name][None, :]
        return found


def evaluate(nodes: tuple[Node, ...], leaves: Mapping[tuple[str, str], Any], job: Numbers) -> list[Any]:
    """The values of all nodes of one step: (B, w), or (1, w) where all rows share it."""
    values: list[Any] = []
    for node in nodes:
        args = [values[a] for a in node.args]
        if node.op == "const":
            values.append(job.zeros(1, node.width) + node.attr)
        elif node.op == "units":
            values.append(job.lib.number(float(size(job.sizes, node.attr))))
        elif node.op == "dot":
            values.append(dot(node, args, job))
        elif (node.op, node.attr) in leaves:
            values.append(leaves[node.op, node.attr])
        else:
            values.append(OPS[node.op](job.lib, *args))
    return values


def dot(node: Node, operands: list[Any], job: Numbers) -> Any:
    """sum_j W_j operand_j + bias, with block-diagonal matrices where they have three dimensions."""
    total = job.weights[f"{node.attr.bias}.bias"][None, :] if node.attr.bias else 0.0
    for weight, operand in zip(node.attr.weights, operands, strict=True):
        matrix = job.operand(job.weights[f"{weight.map}.{weight.slot}"])
        total = total + product(matrix if weight.transposed else matrix.swapaxes(-1, -2), job.operand(operand))
    return total


def product(matrix: Any, operand: Any) -> Any:
    """(B, in) times (in, out), or times (heads, in / heads, out / heads) block by block."""
    if matrix.ndim == 2:
        return operand @ matrix
    heads, wide, out = matrix.shape
    blocks = operand.reshape(-1, heads, wide).swapaxes(0, 1) @ matrix
    return blocks.swapaxes(0, 1).reshape(-1, heads * out)


OPS: dict[str, Callable[..., Any]] = {
    "add": lambda m, a, b: a + b,
    "sub": lambda m, a, b: a - b,
    "mul": lambda m, a, b: a * b,
    "div": lambda m, a, b: a / b,
    "neg": lambda m, a: -a,
    "maximum": lambda m, a, b: m.maximum(a, b),
    "minimum": lambda m, a, b: m.minimum(a, b),
    "lt": lambda m, a, b: m.truth(a.real < b.real),
    "le": lambda m, a, b: m.truth(a.real <= b.real),
    "where": lambda m, c, a, b: m.where(c != 0, a, b),
    "exp": lambda m, a: m.exp(a),
    "log": lambda m, a: m.log(a),
    "log1p": lambda m, a: m.log1p(a),
    "sqrt": lambda m, a: m.sqrt(a),
    "abs": lambda m, a: m.abs(a),
    "sigmoid": lambda m, a: m.sigmoid(a),
    "tanh": lambda m, a: m.tanh(a),
    "stop": lambda m, a: m.stop(a),
    "sum": lambda m, a: a.sum(-1)[:, None],
    "mean": lambda m, a: a.mean(-1)[:, None],
    "var": lambda m, a: ((a - a.mean(-1)[:, None]) ** 2).mean(-1)[:, None],
    "max": lambda m, a: m.largest(a)[:, None],
}


class Sums:
    """The gradients, added up over the steps of the backward loop."""

    def __init__(self, job: Job, backward: Backward):
        self.job, self.backward = job, backward
        self.weights = {key: job.lib.zeros(shape) for key, shape in shapes(job.graph, job.sizes).items()}
        self.sequence = {i.name: job.zeros(job.rows, i.width) for i in job.graph.inputs if i.per == "sequence"}
        self.step_inputs = {i.name: [None] * job.steps for i in job.graph.inputs if i.per == "step"}

    def step(self, t: int, states: dict[str, Any], carried: dict[str, Any], d_history: Arrays) -> dict[str, Any]:
        """Add what step t contributes; give the cotangents of the states before it."""
        job, plan = self.job, self.backward
        active = job.active(t)
        cts = {n: job.cut(t, ct + d_history[n][t] if n in d_history else ct) for n, ct in carried.items()}
        leaves = job.leaves(t, states) | {("ct", n): ct for n, ct in cts.items()}
        values = [job.cut(t, v) for v in evaluate(plan.nodes, leaves, job)]
        self.add_inputs(t, values)
        self.add_weights(values)
        before = {}
        for state, index in zip(job.graph.states, plan.d_states, strict=True):
            through = job.zeros(job.rows, state.width) if index is None else values[index]
            before[state.name] = job.lib.where(active, through, carried[state.name])
        return before

    def add_inputs(self, t: int, values: list[Any]) -> None:
        for item, index in zip(self.job.graph.inputs, self.backward.d_inputs, strict=True):
            found = self.job.zeros(self.job.rows, item.width) if index is None else values[index]
            if item.per == "step":
                self.step_inputs[item.name][t] = found
            elif item.per == "sequence":
                self.sequence[item.name] = self.sequence[item.name] + found

    def add_weights(self, values: list[Any]) -> None:
        for weight, ct, operand in self.backward.outers:
            key = f"{weight.map}.{weight.slot}"
            pair = self.job.operand(values[ct]), self.job.operand(values[operand])
            self.weights[key] = self.weights[key] + outer(*pair, self.weights[key].shape)
        for name, index in self.backward.biases:
            self.weights[f"{name}.bias"] = self.weights[f"{name}.bias"] + values[index].sum(0)
        for name, index in self.backward.vectors:
            self.weights[name] = self.weights[name] + values[index].sum(0)

    def gradients(self, carried: dict[str, Any]) -> Gradients:
        widths = {i.name: i.width for i in self.job.graph.inputs}
        steps = [{n: found[t] for n, found in self.step_inputs.items()} for t in range(self.job.steps)]
        inputs = self.job.stacked(steps, {n: widths[n] for n in self.step_inputs})
        return Gradients(inputs | self.sequence, carried, self.weights)


def outer(ct: Any, operand: Any, shape: tuple[int, ...]) -> Any:
    """sum over rows of ct (outer) operand, as a matrix or in blocks."""
    if len(shape) == 2:
        return ct.swapaxes(0, 1) @ operand
    heads, out, wide = shape
    left = ct.reshape(ct.shape[0], heads, out).swapaxes(0, 1)
    right = operand.reshape(operand.shape[0], heads, wide).swapaxes(0, 1)
    return left.swapaxes(1, 2) @ right
