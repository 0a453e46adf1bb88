"""Names and shapes of a layer's parameters, and which of their rows are which of the graph's weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gatework.backends.layouts import gates
from gatework.compiler.ir import Graph
from gatework.compiler.params import shapes

Shape = tuple[int, ...]


class Piece(NamedTuple):
    """Rows `start:stop` of the layer's parameter number `param`; `stop` None is the whole parameter."""

    param: int
    start: int = 0
    stop: int | None = None

    def of(self, params: Sequence[Any]) -> Any:
        array = params[self.param]
        return array if self.stop is None else array[self.start : self.stop]


Pieces = dict[str, tuple[Piece, ...]]


class Declared(NamedTuple):
    """Parameters of one direction of one layer, in order, without the suffix that says which."""

    shapes: dict[str, Shape]
    pieces: Pieces


def separate(graph: Graph, sizes: Mapping[str, int], before: Mapping[str, Shape] | None = None) -> Declared:
    """One parameter for each weight: "weight_f_h" (H, H), "weight_f_x" (H, I), "bias_f" (H,), vectors by their names.

    `before` are parameters that come first and hold other weights."""
    declared: dict[str, Shape] = dict(before or {})
    pieces: dict[str, tuple[Piece, ...]] = {}
    for key, shape in shapes(graph, sizes).items():
        pieces[key] = (Piece(len(declared)),)
        declared[parameter_name(graph, key)] = shape
    return Declared(declared, pieces)


def parameter_name(graph: Graph, key: str) -> str:
    """The parameter's name for a weight's key: "f.0" is "weight_f_h" where its first operand is called h."""
    if "." not in key:
        return key
    name, slot = key.split(".")
    if slot == "bias":
        return f"bias_{name}"
    labels = graph.map(name).labels
    label = labels[int(slot)] if labels and labels.count(labels[int(slot)]) == 1 else slot
    return f"weight_{name}_{label}"


def as_torch(cell: str, graph: Graph, sizes: Mapping[str, int]) -> Declared:
    """torch's parameters: weight_ih, weight_hh, bias_ih, bias_hh, weight_hr; then what torch's layers do not have."""
    found, order = shapes(graph, sizes), gates(cell, "torch")
    height = sizes["H"]
    rows = len(order) * height
    declared: dict[str, Shape] = {
        "weight_ih": (rows, found[order[0].x][1]),
        "weight_hh": (rows, found[order[0].h][1]),
    }
    biased = order[0].bias_x in found
    declared |= {"bias_ih": (rows,), "bias_hh": (rows,)} if biased else {}
    pieces: dict[str, tuple[Piece, ...]] = {}
    for k, gate in enumerate(order):
        for number, key in enumerate(gate[: 4 if biased else 2]):
            pieces[key] = (*pieces.get(key, ()), Piece(number, k * height, (k + 1) * height))
    for key in (k for k in found if k not in pieces):
        pieces[key] = (Piece(len(declared)),)
        declared["weight_hr" if key == "p.0" else parameter_name(graph, key)] = found[key]
    return Declared(declared, pieces)
