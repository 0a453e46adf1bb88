"""The cells' graphs as Keras' arguments change them: other activations, no bias, a dropout mask for every gate."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import keras

from gatework import cells
from gatework.backends.layouts import gates
from gatework.compiler.edit import Edit, without_bias
from gatework.compiler.ir import Graph, Node
from gatework.compiler.simplify import Term
from gatework.compiler.wrappers import RecurrentDropout, recurrent_dropout
from gatework.keras.activations import ACTIVATIONS, Function
from gatework.layers.binding import Binding
from gatework.layers.parameters import Declared, Piece


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


_bindings: WeakKeyDictionary[Any, dict[tuple, Binding]] = WeakKeyDictionary()  # their memory goes with the layer


def binding(layer: keras.Layer, form: Form, inputs: int, units: int) -> Binding:
    """A layer's graph with its sizes, over the parameters that `declared` names."""
    own, key = _bindings.setdefault(layer, {}), (form, inputs, units)
    if key not in own:
        sizes = {"I": inputs, "H": units}
        own[key] = Binding(graph(form), sizes, declared(form, inputs, units), turned=(0, 1))
    return own[key]


def declared(form: Form, inputs: int, units: int) -> Declared:
    """Keras' weights as parameters: the kernels transposed, as views, and each row of the bias for itself."""
    order = gates(form.cell, "keras")
    rows = len(order) * units
    shapes = {"kernel": (rows, inputs), "recurrent_kernel": (rows, units)}
    if form.use_bias:
        shapes |= dict.fromkeys(("bias", "recurrent_bias") if form.cell == "gru" else ("bias",), (rows,))
    pieces: dict[str, tuple[Piece, ...]] = {}
    for k, gate in enumerate(order):
        for param, key in enumerate(gate[: len(shapes)]):
            pieces[key] = (*pieces.get(key, ()), Piece(param, k * units, (k + 1) * units))
    return Declared(shapes, pieces)


def masks(form: Form, kind: str) -> tuple[str, ...]:
    """The inputs of `binding` that hold dropout masks of "x" or "h", in the order in which Keras draws them."""
    maps = [(gate.x if kind == "x" else gate.h).split(".")[0] for gate in gates(form.cell, "keras")]
    return tuple(f"drop_{kind}_{name}" for name in maps)


class Activations(Edit):
    """The cell with other functions where it has tanh (Keras' activation) and sigmoid (the recurrent activation)."""

    def __init__(self, graph: Graph, activation: str, recurrent_activation: str):
        super().__init__(graph)
        self.functions: dict[str, Function] = {
            "tanh": ACTIVATIONS[activation],
            "sigmoid": ACTIVATIONS[recurrent_activation],
        }

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
