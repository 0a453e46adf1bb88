"""A graph as JSON and back. Saved models carry their graph, and files are not trusted: what is read is checked node by
node against the grammar of `ir`, with bounds on every size, before anything interprets it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from gatework.compiler.ir import SCALAR, Attribute, Dot, Graph, Input, Map, Node, State, Vector, Weight
from gatework.compiler.ops import ELEMENTWISE, REDUCTIONS
from gatework.errors import FileFormatError

VERSION = 1
MOST_NODES, MOST_PARTS, MOST_SLOTS, MOST_CHARACTERS, MOST_DOC = 10_000, 1_000, 64, 100, 10_000
MOST_BYTES = 4_000_000
NAME = re.compile(r"[^\W\d]\w*'*\Z")
KEYS = ("version", "name", "doc", "inputs", "states", "maps", "vectors", "nodes", "news")


def to_json(graph: Graph) -> str:
    """The graph as one line of JSON text.

    >>> from_json(to_json(lstm.graph)) == lstm.graph
    True
    """
    return json.dumps(encode(graph), separators=(",", ":"), allow_nan=False)


def encode(graph: Graph) -> dict[str, Any]:
    """The graph as dicts, lists, texts and finite numbers."""
    return {
        "version": VERSION,
        "name": graph.name,
        "doc": graph.doc,
        "inputs": [list(i) for i in graph.inputs],
        "states": [[s.name, s.width, number(s.start)] for s in graph.states],
        "maps": [[m.name, m.width, list(m.operands), m.bias, list(m.blocked), list(m.labels)] for m in graph.maps],
        "vectors": [[v.name, v.width, number(v.start)] for v in graph.vectors],
        "nodes": [[n.op, list(n.args), attribute(n), n.width, n.name] for n in graph.nodes],
        "news": list(graph.news),
    }


def number(value: float) -> float | str:
    """JSON has no infinities; they are written as text."""
    return value if math.isfinite(value) else str(value)


def attribute(node: Node) -> Any:
    if isinstance(node.attr, Dot):
        return [[[w.map, w.slot] for w in node.attr.weights], node.attr.bias]
    return number(node.attr) if node.op == "const" else node.attr


def from_json(text: str | bytes) -> Graph:
    """Read a graph; raises FileFormatError, naming the place, for anything that the language could not have made."""
    if len(text) > MOST_BYTES:
        raise FileFormatError(f"the graph has {len(text)} bytes; more than {MOST_BYTES} are not read")
    try:
        data = json.loads(text, parse_constant=refused)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"the graph is not JSON: {error}") from None
    return decode(data)


def decode(data: object) -> Graph:
    """The graph of an `encode`d one; raises FileFormatError as `from_json` does."""
    return Reader(data).graph()


def refused(token: str) -> float:
    raise ValueError(f"{token} is not a number of JSON")


def check(condition: bool, where: str, value: object, expected: str) -> None:
    if not condition:
        raise unexpected(where, value, expected)


def unexpected(where: str, value: object, expected: str) -> FileFormatError:
    return FileFormatError(f"the graph's {where} is {repr(value)[:80]}; expected {expected}")


class Reader:
    """Checks the parts of a graph one after another; each may rely on those before it."""

    def __init__(self, data: object):
        if not isinstance(data, dict) or set(data) != set(KEYS):
            raise unexpected("outermost value", data, f"an object of {', '.join(KEYS)}")
        check(data["version"] == VERSION, "version", data["version"], f"{VERSION}; a newer gatework may read it")
        self.data: dict[str, Any] = data
        self.known: dict[str, str] = {}

    def graph(self) -> Graph:
        data = self.data
        doc = data["doc"]
        check(isinstance(doc, str) and len(doc) <= MOST_DOC, "doc", doc, f"text of up to {MOST_DOC} characters")
        self.inputs = self.table("inputs", 3, self.input)
        self.states = self.table("states", 3, lambda where, row: State(*self.leaf(where, row)))
        self.maps = self.table("maps", 6, self.map)
        self.vectors = self.table("vectors", 3, lambda where, row: Vector(*self.leaf(where, row)))
        check(bool(self.states), "list of states", [], "at least one")
        steps = any(i.per == "step" for i in self.inputs)
        check(steps, "list of inputs", self.data["inputs"], "one at least that changes per step")
        self.widths = self.leaf_widths()
        self.nodes: list[Node] = []
        for k, row in enumerate(self.rows("nodes", 5, MOST_NODES)):
            self.nodes.append(self.node(f"node {k}", row))
        name = self.name("name", data["name"])
        return Graph(name, tuple(self.nodes), self.inputs, self.states, self.maps, self.vectors, self.news(), doc)

    def rows(self, key: str, length: int, most: int = MOST_PARTS) -> list[list]:
        rows = self.data[key]
        check(isinstance(rows, list) and len(rows) <= most, f"{key}", rows, f"a list of up to {most}")
        for k, row in enumerate(rows):
            check(isinstance(row, list) and len(row) == length, f"{key}[{k}]", row, f"a list of {length}")
        return rows

    def table(self, key: str, length: int, read: Callable[[str, list], Any]) -> tuple:
        """A list of named parts. All inputs and states have different names, and so have all parameters."""
        parts = []
        for k, row in enumerate(self.rows(key, length)):
            parts.append(read(f"{key}[{k}]", row))
            name, kind = parts[-1].name, "parameter" if key in ("maps", "vectors") else "value"
            check(f"{kind} {name}" not in self.known, f"{key}[{k}]", name, "a name that nothing else has")
            self.known[f"{kind} {name}"] = key
        return tuple(parts)

    def name(self, where: str, value: object) -> str:
        if isinstance(value, str) and len(value) <= MOST_CHARACTERS and NAME.match(value):
            return value
        raise unexpected(where, value, "a name: letters, digits and underscores")

    def width(self, where: str, value: object) -> str:
        return SCALAR if value == SCALAR else self.name(f"width of {where}", value)

    def real(self, where: str, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError as error:
                raise FileFormatError(f"the graph's {where} is a number larger than any float") from error
        check(value in ("inf", "-inf"), where, value, "a number")
        return math.inf if value == "inf" else -math.inf

    def input(self, where: str, row: list) -> Input:
        check(row[2] in ("step", "sequence", "call"), f"{where} period", row[2], '"step", "sequence" or "call"')
        check(row[2] != "call" or row[1] == SCALAR, f"width of {where}", row[1], 'width "1" of an input per call')
        return Input(self.name(where, row[0]), self.width(where, row[1]), row[2])

    def leaf(self, where: str, row: list) -> tuple[str, str, float]:
        return self.name(where, row[0]), self.width(where, row[1]), self.real(f"start of {where}", row[2])

    def map(self, where: str, row: list) -> Map:
        name, width, operands, bias, blocked, labels = row
        slots = len(operands) if isinstance(operands, list) else -1
        check(0 < slots <= MOST_SLOTS, f"operands of {where}", operands, f"a list of 1 to {MOST_SLOTS} widths")
        check(isinstance(bias, bool), f"bias of {where}", bias, "true or false")
        good = isinstance(blocked, list) and len(blocked) in (0, slots) and all(isinstance(b, bool) for b in blocked)
        check(good, f"blocks of {where}", blocked, f"{slots} times true or false")
        check(isinstance(labels, list) and len(labels) in (0, slots), f"labels of {where}", labels, f"{slots} texts")
        for label in labels:
            good = isinstance(label, str) and len(label) <= MOST_CHARACTERS
            check(good, f"label of {where}", label, "a short text")
        widths = tuple(self.width(where, o) for o in operands)
        return Map(self.name(where, name), self.width(where, width), widths, bias, tuple(blocked), tuple(labels))

    def leaf_widths(self) -> dict[tuple[str, str], str]:
        found = {("input", i.name): i.width for i in self.inputs} | {("state", s.name): s.width for s in self.states}
        return found | {("vector", v.name): v.width for v in self.vectors}

    def node(self, where: str, row: list) -> Node:
        op, args, attr, width, name = row
        check(isinstance(op, str), f"{where} operation", op, "a name")
        whole = isinstance(args, list) and all(type(a) is int and 0 <= a < len(self.nodes) for a in args)
        check(whole, f"{where} arguments", args, f"numbers of earlier nodes, below {len(self.nodes)}")
        widths = [self.nodes[a].width for a in args]
        if name != "":
            self.name(f"{where} name", name)
        checked, expected = self.typed(where, op, attr, widths)
        check(width == expected, f"{where} width", width, repr(expected))
        return Node(op, tuple(args), checked, expected, name)

    def typed(self, where: str, op: str, attr: object, widths: list[str]) -> tuple[Attribute, str]:
        """The attribute, checked, and the width that the node must have."""
        if op in ELEMENTWISE:
            check(len(widths) == ELEMENTWISE[op] and attr is None, where, (op, attr), f"{ELEMENTWISE[op]} arguments")
            wide = {w for w in widths if w != SCALAR}
            check(len(wide) <= 1, f"{where} widths", widths, "one width")
            return None, wide.pop() if wide else SCALAR
        if op in REDUCTIONS:
            check(len(widths) == 1 and attr is None, where, (op, attr), "one argument")
            return None, SCALAR
        if op == "dot":
            return self.dot(where, attr, widths)
        check(op in ("const", "input", "state", "vector"), where, op, "an operation of gatework")
        check(not widths, f"{where} arguments", widths, "none for a leaf")
        if op == "const":
            return self.real(where, attr), SCALAR
        if isinstance(attr, str) and (op, attr) in self.widths:
            return attr, self.widths[op, attr]
        raise unexpected(where, (op, attr), "a name of the cell")

    def dot(self, where: str, attr: object, widths: list[str]) -> tuple[Dot, str]:
        weights, bias = attr if isinstance(attr, list) and len(attr) == 2 else ((), None)
        good = isinstance(weights, list) and len(weights) == len(widths) > 0
        check(good, where, attr, "one weight for each argument, and a bias or null")
        maps, chosen = {m.name: m for m in self.maps}, []
        for weight, width in zip(weights, widths, strict=True):
            good = isinstance(weight, list) and len(weight) == 2 and isinstance(weight[0], str) and weight[0] in maps
            check(good, f"{where} weight", weight, "a map of the cell and a slot")
            m, slot = maps[weight[0]], weight[1]
            check(
                type(slot) is int and 0 <= slot < len(m.operands), f"{where} slot", slot, f"0 to {len(m.operands) - 1}"
            )
            check(m.operands[slot] == width, f"{where} operand width", width, repr(m.operands[slot]))
            chosen.append(m)
        check(len({m.width for m in chosen}) == 1, where, attr, "maps of one width")
        good = bias is None or any(bias == m.name and m.bias for m in chosen)
        check(good, f"{where} bias", bias, "null or a map of this node that has a bias")
        return Dot(tuple(Weight(w[0], w[1]) for w in weights), bias), chosen[0].width

    def news(self) -> tuple[int, ...]:
        news = self.data["news"]
        good = isinstance(news, list) and len(news) == len(self.states)
        good = good and all(type(n) is int and 0 <= n < len(self.nodes) for n in news)
        check(good, "new states", news, f"{len(self.states)} numbers of nodes, below {len(self.nodes)}")
        for state, new in zip(self.states, news, strict=True):
            width = self.nodes[new].width
            check(width == state.width, f"new value of state {state.name}", width, f"width {state.width!r}")
        return tuple(news)
