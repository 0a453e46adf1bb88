"""One step of any cell as ONNX's elementary operators.

Values are those of the reference interpreter: (B, w), or without rows where all of them share a value. Matrices come
turned, (in, out) or (heads, in / heads, out / heads), so that a product is `MatMul(operand, matrix)`. Where operators
go is the business of `Ops`, the writer of a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, Protocol, TypeVar

from gatework.compiler.ir import Graph, Map, Node, Weight
from gatework.compiler.params import size

V = TypeVar("V")  # a value in the graph that is being written


class Ops(Protocol[V]):
    """A graph to which operators are added."""

    def op(self, name: str, *inputs: V) -> V: ...
    def number(self, value: float) -> V: ...
    def integers(self, values: list[int]) -> V: ...
    def transpose(self, value: V, axes: list[int]) -> V: ...
    def cast(self, value: V, truth: bool) -> V:
        """To truth values, or from these to 1.0 and 0.0."""
        ...

    def largest(self, value: V) -> V:
        """(B, w) to (B, 1)."""
        ...


SAME = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "maximum": "Max",
    "minimum": "Min",
    "neg": "Neg",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "abs": "Abs",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
}
COMPARED = {"lt": "Less", "le": "LessOrEqual"}


class Step(Generic[V]):
    """A step in the making. `leaves` are inputs, states and vectors by ("state", "h"), `weights` the turned matrices
    and biases by "f.0", "f.bias"."""

    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        ops: Ops[V],
        leaves: Mapping[tuple[str, str], V],
        weights: Mapping[str, V],
    ):
        self.graph, self.sizes, self.ops, self.leaves, self.weights = graph, sizes, ops, leaves, weights
        self.truths: dict[int, V] = {}  # of comparisons, before they become numbers

    def states(self) -> dict[str, V]:
        """The new states by name, (B, w) each."""
        values: list[V] = []
        for index, node in enumerate(self.graph.nodes):
            values.append(self.value(index, node, [values[a] for a in node.args]))
        shared = shared_values(self.graph)
        return {
            s.name: self.given_to_rows(values[new], s.name) if shared[new] else values[new]
            for s, new in zip(self.graph.states, self.graph.news, strict=True)
        }

    def given_to_rows(self, value: V, state: str) -> V:
        return self.ops.op("Expand", value, self.ops.op("Shape", self.leaves["state", state]))

    def value(self, index: int, node: Node, args: list[V]) -> V:
        if (node.op, node.attr) in self.leaves:
            return self.leaves[node.op, node.attr]
        if node.op in SAME:
            return self.ops.op(SAME[node.op], *args)
        if node.op in COMPARED:
            self.truths[index] = self.ops.op(COMPARED[node.op], *args)
            return self.ops.cast(self.truths[index], truth=False)
        return getattr(self, node.op)(node, *args)

    def const(self, node: Node) -> V:
        return self.ops.number(node.attr)

    def stop(self, node: Node, value: V) -> V:
        return value

    def where(self, node: Node, condition: V, a: V, b: V) -> V:
        truth = self.truths.get(node.args[0])
        return self.ops.op("Where", self.ops.cast(condition, truth=True) if truth is None else truth, a, b)

    def log1p(self, node: Node, x: V) -> V:
        """With u = 1 + x rounded, log(u) x / (u - 1) is exact to the last bits where x is small (Higham, "Accuracy and
        stability of numerical algorithms", section 1.14.1); log(u) is, where x is not."""
        op, one = self.ops.op, self.ops.number(1.0)
        u = op("Add", x, one)
        log = op("Log", u)
        small = op("Div", op("Mul", log, x), op("Sub", u, one))
        return op("Where", op("Less", one, x), log, op("Where", op("Equal", u, one), x, small))

    def sum(self, node: Node, value: V) -> V:
        return self.ops.op("ReduceSum", value, self.ops.integers([-1]))

    def mean(self, node: Node, value: V) -> V:
        units = float(size(self.sizes, self.graph.nodes[node.args[0]].width))
        return self.ops.op("Div", self.sum(node, value), self.ops.number(units))

    def var(self, node: Node, value: V) -> V:
        centred = self.ops.op("Sub", value, self.mean(node, value))
        return self.mean(node, self.ops.op("Mul", centred, centred))

    def max(self, node: Node, value: V) -> V:
        return self.ops.largest(value)

    def dot(self, node: Node, *operands: V) -> V:
        parts = [self.product(w, a) for w, a in zip(node.attr.weights, operands, strict=True)]
        parts += [self.weights[f"{node.attr.bias}.bias"]] if node.attr.bias else []
        total = parts[0]
        for part in parts[1:]:
            total = self.ops.op("Add", total, part)
        return total

    def product(self, weight: Weight, operand: V) -> V:
        matrix, m = self.weights[f"{weight.map}.{weight.slot}"], self.graph.map(weight.map)
        if not is_blocked(m, weight.slot):
            return self.ops.op("MatMul", operand, matrix)
        heads, out = self.sizes.get("heads", 1), size(self.sizes, m.width)
        wide = size(self.sizes, m.operands[weight.slot])
        split = self.ops.op("Reshape", operand, self.ops.integers([0, heads, wide // heads]))
        made = self.ops.op("MatMul", self.ops.transpose(split, [1, 0, 2]), matrix)
        return self.ops.op("Reshape", self.ops.transpose(made, [1, 0, 2]), self.ops.integers([0, out]))


def is_blocked(m: Map, slot: int) -> bool:
    """Whether a map's matrix is block-diagonal, with an axis for heads."""
    return bool(m.blocked and m.blocked[slot])


def shared_values(graph: Graph) -> list[bool]:
    """Of each node whether all rows share its value, which then has no axis of rows or one of a single row."""
    shared: list[bool] = []
    of_rows = {("input", i.name) for i in graph.inputs if i.per != "call"} | {("state", s.name) for s in graph.states}
    for node in graph.nodes:
        shared.append((node.op, node.attr) not in of_rows and all(shared[a] for a in node.args))
    return shared
