"""A graph as plain JSON and back, with every check that a graph from an untrusted file needs.

What `decode` gives is a graph that the language could have made: known operations with the right number of earlier
arguments, names that are identifiers, widths that agree. It runs no code and its size is bounded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from gatework.compiler.ir import SCALAR, Dot, Graph, Input, Map, Node, State, Vector, Weight
from gatework.compiler.ops import ELEMENTWISE, REDUCTIONS
from gatework.errors import FileFormatError

NODES, ENTRIES, TEXT = 4096, 256, 20_000
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}'*")
PERS = ("step", "sequence", "call")


def encode(graph: Graph) -> dict[str, Any]:
    """A graph as dicts, lists, strings and numbers.

    >>> from gatework import cells
    >>> decode(encode(cells.get("lstm").graph)) == cells.get("lstm").graph
    True
    """
    return {
        "name": graph.name,
        "doc": graph.doc,
        "nodes": [[n.op, list(n.args), _encode_attr(n.attr), n.width, n.name] for n in graph.nodes],
        "inputs": [list(i) for i in graph.inputs],
        "states": [[s.name, s.width, str(float(s.start))] for s in graph.states],
        "maps": [[m.name, m.width, list(m.operands), m.bias, list(m.blocked), list(m.labels)] for m in graph.maps],
        "vectors": [[v.name, v.width, str(float(v.start))] for v in graph.vectors],
        "news": list(graph.news),
    }


def _encode_attr(attr: Any) -> Any:
    if isinstance(attr, Dot):
        return {"weights": [[w.map, w.slot] for w in attr.weights], "bias": attr.bias}
    return str(attr) if isinstance(attr, float) else attr


def decode(data: Any) -> Graph:
    """The graph of an `encode`d one. Raises FileFormatError, which says what is wrong, for anything else."""
    need(isinstance(data, dict), "a graph is not an object")
    fields = ("name", "doc", "nodes", "inputs", "states", "maps", "vectors", "news")
    need(set(data) == set(fields), f"a graph has the fields {', '.join(fields)}; found {sorted(map(str, data))[:20]}")
    graph = Graph(
        _name(data["name"]),
        tuple(_rows(data["nodes"], _node, NODES)),
        tuple(_rows(data["inputs"], _input)),
        tuple(_rows(data["states"], lambda r: State(*_named_number(r)))),
        tuple(_rows(data["maps"], _map)),
        tuple(_rows(data["vectors"], lambda r: Vector(*_named_number(r)))),
        tuple(_rows(data["news"], _index)),
        _text(data["doc"], TEXT),
    )
    _check(graph)
    return graph


def need(condition: bool, problem: str) -> None:
    """Refuse the file unless the condition holds."""
    if not condition:
        raise FileFormatError(f"the saved cell is damaged or was not written by gatework: {problem}")


# --- the parts -------------------------------------------------------------------------------------------------------


def _rows(rows: Any, read: Callable[[Any], Any], most: int = ENTRIES) -> list[Any]:
    need(isinstance(rows, list) and len(rows) <= most, f"a list of at most {most} entries is missing")
    return [read(row) for row in rows]


def _row(row: Any, length: int) -> list[Any]:
    need(isinstance(row, list) and len(row) == length, f"an entry must have {length} parts")
    return row


def _text(value: Any, most: int = 64) -> str:
    need(isinstance(value, str) and len(value) <= most, f"a text of at most {most} characters is missing")
    return value


def _name(value: Any) -> str:
    need(isinstance(value, str) and NAME.fullmatch(value) is not None, f"{str(value)[:40]!r} is not a name")
    return value


def _width(value: Any) -> str:
    return value if value == SCALAR else _name(value)


def _index(value: Any) -> int:
    need(type(value) is int and 0 <= value < NODES, f"{str(value)[:40]!r} is not an index")
    return value


def _number(value: Any) -> float:
    try:
        return float(_text(value))
    except ValueError as error:
        raise FileFormatError(f"the saved cell is damaged: {value!r} is not a number") from error


def _flag(value: Any) -> bool:
    need(isinstance(value, bool), f"{str(value)[:40]!r} is not true or false")
    return value


def _named_number(row: Any) -> tuple[str, str, float]:
    name, width, start = _row(row, 3)
    return _name(name), _width(width), _number(start)


def _input(row: Any) -> Input:
    name, width, per = _row(row, 3)
    need(per in PERS, f"an input changes per {', '.join(PERS)}; found {str(per)[:40]!r}")
    return Input(_name(name), _width(width), per)


def _map(row: Any) -> Map:
    name, width, operands, bias, blocked, labels = _row(row, 6)
    made = Map(
        _name(name), _width(width), tuple(_rows(operands, _width)), _flag(bias), tuple(_rows(blocked, _flag)),
        tuple(_rows(labels, _text)),
    )  # fmt: skip
    need(bool(made.operands), f"the map {made.name} has no operand")
    for part in (made.blocked, made.labels):
        need(len(part) in (0, len(made.operands)), f"the map {made.name} has {len(part)} entries for its operands")
    return made


def _node(row: Any) -> Node:
    op, args, attr, width, name = _row(row, 5)
    need(op in ELEMENTWISE or op in REDUCTIONS or op in _ATTRS, f"there is no operation {str(op)[:40]!r}")
    read = _ATTRS.get(op)
    need(read is not None or attr is None, f"the operation {op} takes no attribute")
    value = read(attr) if read else None
    return Node(op, tuple(_rows(args, _index)), value, _width(width), "" if name == "" else _name(name))


def _dot(attr: Any) -> Dot:
    need(isinstance(attr, dict) and set(attr) == {"weights", "bias"}, "a product does not say its weights")
    weights = [Weight(_name(m), _index(s)) for m, s in (_row(w, 2) for w in _rows(attr["weights"], list))]
    return Dot(tuple(weights), None if attr["bias"] is None else _name(attr["bias"]))


_ATTRS: dict[str, Callable[[Any], Any]] = {
    "input": _name, "state": _name, "vector": _name, "const": _number, "units": _width, "dot": _dot,
}  # fmt: skip


# --- the whole -------------------------------------------------------------------------------------------------------


def _check(graph: Graph) -> None:
    need(bool(graph.states) and bool(graph.inputs), "a cell needs an input and a state")
    need(graph.inputs[0].per == "step", "the first input must change at each step")
    need(len(graph.news) == len(graph.states), "there must be one new value for each state")
    leaves = [*graph.inputs, *graph.states, *graph.vectors]
    names = [*(x.name for x in leaves), *(m.name for m in graph.maps)]
    need(len(set(names)) == len(names), "two inputs, states or parameters have one name")
    widths = {(kind, x.name): x.width for kind, group in _groups(graph) for x in group}
    for index, node in enumerate(graph.nodes):
        need(all(a < index for a in node.args), f"node {index} uses a later one")
        need(node.width == _width_of(graph, node, widths), f"node {index} ({node.op}) has the width {node.width!r}")
        need(not (isinstance(node.attr, float) and math.isnan(node.attr)), f"node {index} is not a number")
    for state, new in zip(graph.states, graph.news, strict=True):
        need(new < len(graph.nodes), f"the new value of {state.name} does not exist")
        need(graph.nodes[new].width in (state.width, SCALAR), f"the new value of {state.name} has another width")


def _groups(graph: Graph) -> tuple[tuple[str, tuple], ...]:
    return ("input", graph.inputs), ("state", graph.states), ("vector", graph.vectors)


def _width_of(graph: Graph, node: Node, widths: dict[tuple[str, str], str]) -> str:
    """The width that a node must have; refuses one whose arguments do not fit."""
    args = [graph.nodes[a].width for a in node.args]
    if node.op == "dot":
        return _dot_width(graph, node, args)
    if node.op in ELEMENTWISE:
        need(len(args) == ELEMENTWISE[node.op], f"{node.op} takes {ELEMENTWISE[node.op]} arguments")
        wide = {a for a in args if a != SCALAR}
        need(len(wide) <= 1, f"{node.op} joins the widths {sorted(wide)}")
        return wide.pop() if wide else SCALAR
    need(len(args) == (1 if node.op in REDUCTIONS else 0), f"{node.op} has {len(args)} arguments")
    if node.op in ("input", "state", "vector"):
        need((node.op, node.attr) in widths, f"there is no {node.op} {node.attr!r}")
        return widths[node.op, node.attr]
    return SCALAR


def _dot_width(graph: Graph, node: Node, args: list[str]) -> str:
    maps = {m.name: m for m in graph.maps}
    need(0 < len(args) == len(node.attr.weights), "a product has as many operands as weights")
    for weight, width in zip(node.attr.weights, args, strict=True):
        m = maps.get(weight.map)
        need(m is not None and weight.slot < len(m.operands), f"there is no weight {weight.map}.{weight.slot}")
        assert m is not None
        need(m.operands[weight.slot] == width, f"{weight.map}.{weight.slot} has another width than its operand")
        need(m.width == maps[node.attr.weights[0].map].width, "a product joins maps of different widths")
    bias = node.attr.bias
    need(bias is None or (bias in maps and maps[bias].bias), f"there is no bias {bias!r}")
    width = maps[node.attr.weights[0].map].width
    need(bias is None or maps[bias].width == width, f"the bias {bias!r} has another width")
    return width
