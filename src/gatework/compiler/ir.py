"""The graph of one step of a cell: the data that every backend interprets.

Grammar (the whole of it):

    graph   := nodes, in an order in which arguments precede their users
    node    := leaf | dot | elementwise | reduction
    leaf    := input(name) | state(name) | vector(name) | const(value) | units(width) | ct(name)
    dot     := sum_j Weight_j . operand_j  [+ bias]          attr: Dot(weights, bias)
    elementwise := see ops.ELEMENTWISE                       widths: all equal, or "1"
    reduction   := sum | mean | var | max   over the units   width: "1"

A *width* is the number of units of a value, as a symbol ("H", "I", ...); "1" is a value that all units share. Symbols
become numbers only when a layer is built (`sizes = {"H": 128, "I": 64}`), so one graph serves every size.

`const` has width "1", or in backward graphs a wider one (every unit holds the value: a cotangent that all units share
is multiplied by such a 1 where a vector is needed). `units(width)` is the number of units as a number ("1"-wide), known
once there are sizes; the derivatives of mean and var divide by it.

`ct(name)` occurs in backward graphs alone: the cotangent that reaches the *new* value of a state from the future
(the next step, plus whatever the loss puts on this step's value).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

SCALAR = "1"


class Weight(NamedTuple):
    """One operand's block of a map's parameters: `Weight("f", 0)` multiplies the first operand of `W.f(...)`."""

    map: str
    slot: int
    transposed: bool = False


class Dot(NamedTuple):
    """What a `dot` node multiplies its operands with; `bias` is the name of a map whose bias starts the sum."""

    weights: tuple[Weight, ...]
    bias: str | None = None


Attribute = str | float | Dot | None  # of a node: a name or a width, a number, what a dot multiplies with


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the step. `args` are indices of earlier nodes; `name` is the local name in the cell's function."""

    op: str
    args: tuple[int, ...] = ()
    attr: Any = None  # an Attribute, as the grammar says for each op
    width: str = SCALAR
    name: str = ""

    def key(self) -> tuple:
        """What makes two nodes the same value (the name does not)."""
        return (self.op, self.args, self.attr, self.width)


class Input(NamedTuple):
    """A value from outside. `per` says how often it changes: at each "step" (rows of a sequence: x, a mask, a time
    gap), once a "sequence" (one row for each sequence: dropout masks, static features), or once a "call" (one number: a
    rate; its width is "1" and it has no gradient)."""

    name: str
    width: str
    per: str = "step"


class State(NamedTuple):
    """A value carried from step to step; `start` is its value before the first step when none is given."""

    name: str
    width: str
    start: float = 0.0


class Map(NamedTuple):
    """An affine map W.name(...). Slot j is a matrix (width, operands[j]), or for heads (heads, width/heads,
    operands[j]/heads) where `blocked[j]`. `labels[j]` names slot j for people and parameter names ("h", "x", "0")."""

    name: str
    width: str
    operands: tuple[str, ...]
    bias: bool = True
    blocked: tuple[bool, ...] = ()
    labels: tuple[str, ...] = ()


class Vector(NamedTuple):
    """A learned vector W.name, with the value it starts from."""

    name: str
    width: str
    start: float = 0.0


@dataclass(frozen=True)
class Graph:
    """One step of a cell: `news[k]` is the node that becomes `states[k]`; the first state is the output."""

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[Input, ...]
    states: tuple[State, ...]
    maps: tuple[Map, ...]
    vectors: tuple[Vector, ...]
    news: tuple[int, ...]
    doc: str = ""

    def map(self, name: str) -> Map:
        return next(m for m in self.maps if m.name == name)

    def input(self, name: str) -> Input:
        return next(i for i in self.inputs if i.name == name)

    def state(self, name: str) -> State:
        return next(s for s in self.states if s.name == name)


class Outer(NamedTuple):
    """A contribution to a weight's gradient at every step and row: dWeight += ct (outer) operand."""

    weight: Weight
    ct: int
    operand: int


@dataclass(frozen=True)
class Backward:
    """One step of backpropagation through time.

    `nodes` begins with the nodes of the forward graph (same indices), so that a plan can choose which of them to load
    and which to compute again. Reads `ct(state)` for each state; gives the cotangents of the previous states and of the
    inputs, and what is added to the gradients of the parameters (summed over rows and steps).
    A missing entry (None) is a gradient that is zero by structure.
    """

    forward: Graph
    nodes: tuple[Node, ...]
    d_states: tuple[int | None, ...]
    d_inputs: tuple[int | None, ...]
    outers: tuple[Outer, ...]
    biases: tuple[tuple[str, int], ...]
    vectors: tuple[tuple[str, int], ...]


@dataclass
class Builder:
    """Collects nodes; equal nodes become one (hash-consing)."""

    nodes: list[Node] = field(default_factory=list)
    known: dict[tuple, int] = field(default_factory=dict)

    def add(
        self, op: str, args: tuple[int, ...] = (), attr: Attribute = None, width: str | None = None, name: str = ""
    ) -> int:
        """Append a node and give its index. The width of an elementwise node follows from its arguments."""
        node = Node(op, tuple(args), attr, self.joined(args) if width is None else width, name)
        index = self.known.get(node.key())
        if index is None:
            index = self.known[node.key()] = len(self.nodes)
            self.nodes.append(node)
        elif name and not self.nodes[index].name and args:
            self.nodes[index] = replace(self.nodes[index], name=name)
        return index

    def joined(self, args: tuple[int, ...]) -> str:
        """The common width of elementwise arguments: the first that is not "1"."""
        widths = [self.nodes[a].width for a in args if self.nodes[a].width != SCALAR]
        return widths[0] if widths else SCALAR

    def const(self, value: float) -> int:
        return self.add("const", attr=float(value), width=SCALAR)
