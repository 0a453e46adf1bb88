"""The cells' graphs as Keras' arguments change them: other activations, no bias, a dropout mask for every gate."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from gatework import cells
from gatework.compiler.edit import Edit
from gatework.compiler.ir import Graph, Node
from gatework.compiler.simplify import Term
from gatework.compiler.wrappers import RecurrentDropout, recurrent_dropout
from gatework.keras.activations import ACTIVATIONS
from gatework.layers.binding import Binding, Piece, Pieces
from gatework.layers.layouts import gates
from gatework.layers.variants import without_bias


class Form(NamedTuple):
    """All that decides which graph a layer runs; activations by their names."""

    cell: str
    activation: str
    recurrent_activation: str
    use_bias: bool
    drop_inputs: bool = False
    drop_states: bool = False


@lru_cache(maxsize=256)
def graph(form: Form) -> Graph:
    """The graph of a layer's step."""
    made = cells.get(form.cell).graph
    if (form.activation, form.recurrent_activation) != ("tanh", "sigmoid"):
        made = Activations(made, form.activation, form.recurrent_activation).finish()
    made = made if form.use_bias else without_bias(made)
    made = recurrent_dropout(made, per="map") if form.drop_states else made
    return InputDropout(made, "map").finish() if form.drop_inputs else made


@lru_cache(maxsize=256)
def binding(form: Form, inputs: int, units: int) -> Binding:
    """The graph with its sizes; parameters are kernel (4u, F) and recurrent kernel (4u, u), transposed as views, and
    the bias flat."""
    made = graph(form)
    return Binding(made, {"I": inputs, "H": units}, pieces(form, units))


def pieces(form: Form, units: int) -> Pieces:
    """Which rows of Keras' parameters are which of the graph's weights; a GRU's second bias follows the first."""
    found: dict[str, tuple[Piece, ...]] = {}
    order = gates(form.cell, "keras")
    second = len(order) * units if form.cell == "gru" else 0
    for k, gate in enumerate(order):
        start, stop = k * units, (k + 1) * units
        found[gate.x], found[gate.h] = (Piece(0, start, stop),), (Piece(1, start, stop),)
        if form.use_bias:
            found[gate.bias_x] = (Piece(2, start, stop),)
            if second:
                last = Piece(2, second + start, second + stop)
                found[gate.bias_h] = (*(found[gate.bias_x] if gate.bias_h == gate.bias_x else ()), last)
    return found


def masks(form: Form, kind: str) -> tuple[str, ...]:
    """The inputs of `binding` that hold dropout masks of "x" or "h", in the order in which Keras draws them."""
    maps = [(gate.x if kind == "x" else gate.h).split(".")[0] for gate in gates(form.cell, "keras")]
    return tuple(f"drop_{kind}_{name}" for name in maps)


class Activations(Edit):
    """The cell with other functions where it has tanh (Keras' activation) and sigmoid (the recurrent activation)."""

    def __init__(self, graph: Graph, activation: str, recurrent_activation: str):
        super().__init__(graph)
        self.functions = {"tanh": ACTIVATIONS[activation], "sigmoid": ACTIVATIONS[recurrent_activation]}

    def visit(self, index: int, node: Node) -> Term:
        if node.op not in self.functions:
            return self.copied(node)
        term = self.functions[node.op](self.read(node.args[0]))
        self.builder.named(term.index, node.name)
        return term


class InputDropout(RecurrentDropout):
    """As recurrent dropout, for the input: one mask a map, "drop_x_f"."""

    def masked_node(self, index: int, map_name: str) -> Term:
        node = self.graph.nodes[index]
        if node.op == "input" and node.attr == "x":
            return self.input(f"drop_x_{map_name}", node.width, "sequence") * self.read(index)
        return self.read(index)
