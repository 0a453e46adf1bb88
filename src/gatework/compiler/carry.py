"""How much of a state survives a step: the factor in front of its previous value, read off its update.

It is f for the LSTM's cell, z for the GRU, 1 for the LSTM of 1997: what multiplies a memory at every step, so that the
product over time says how long it lasts (explanations draw it). Only the linear path counts: sums, products, quotients,
choices. A state that passes through a function (tanh of an RNN) or a map alone has no such factor.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from gatework.compiler.derive import RULES
from gatework.compiler.ir import Graph
from gatework.compiler.simplify import Folding, Term

LINEAR = ("add", "sub", "neg", "mul", "div", "where")


def factors(graph: Graph) -> tuple[Graph, dict[str, int | None]]:
    """The graph, extended where a factor is not one of its values, and the node of each state's factor (None: none).

    >>> graph, found = factors(lstm.graph)
    >>> graph.nodes[found["c"]].name
    'f'
    """
    builder = Folding.of(graph.nodes)
    found = {s.name: factor(graph, s.name, n, builder) for s, n in zip(graph.states, graph.news, strict=True)}
    return replace(graph, nodes=tuple(builder.nodes)), found


def factor(graph: Graph, state: str, new: int, builder: Folding) -> int | None:
    """The derivative of `new` by the state along linear operations, with everything else held fixed."""
    reached = paths(graph, state)
    totals: dict[int, Term] = {new: Term(builder, builder.const(1.0))} if reached[new] else {}
    for index in range(new, -1, -1):
        node = graph.nodes[index]
        if index not in totals or node.op == "state":
            continue
        args = [Term(builder, a) for a in node.args]
        for arg, part in zip(node.args, RULES[node.op](totals[index], Term(builder, index), *args), strict=True):
            if reached[arg] and part is not None:
                totals[arg] = totals[arg] + part if arg in totals else part
    leaf = next((i for i in totals if graph.nodes[i].op == "state"), None)
    return None if leaf is None else totals[leaf].index


def paths(graph: Graph, state: str) -> list[bool]:
    """Which nodes the previous state reaches along linear operations (the divisor of a quotient is not one)."""
    reached: list[bool] = []
    for node in graph.nodes:
        linear = node.args[1:] if node.op == "where" else node.args[:1] if node.op == "div" else node.args
        own = node.op == "state" and node.attr == state
        reached.append(own or (node.op in LINEAR and any(reached[a] for a in linear)))
    return reached


class Gate(NamedTuple):
    """A sigmoid gate that keeps a state: the key of its bias, 1 if it keeps and -1 if it renews, and the key of the
    bias of the gate that writes, where that is another one."""

    bias: str
    sign: int
    writes: str | None


def gates(graph: Graph) -> dict[str, Gate]:
    """The gates that keep states; states that no single sigmoid gate keeps are left out.

    >>> gates(lstm.graph), gates(mingru.graph)
    ({'c': Gate(bias='f.bias', sign=1, writes='i.bias')}, {'h': Gate(bias='z.bias', sign=-1, writes=None)})
    """
    longer, found = factors(graph)
    kept: dict[str, Gate] = {}
    for state, new in zip(graph.states, graph.news, strict=True):
        keeper = None if (at := found[state.name]) is None else _sigmoid(longer, at)
        if keeper is not None:
            kept[state.name] = Gate(*keeper, _writer(longer, paths(longer, state.name), new, keeper[0]))
    return kept


def _sigmoid(graph: Graph, index: int) -> tuple[str, int] | None:
    """The bias inside sigmoid(...) or 1 - sigmoid(...), with the sign."""
    node = graph.nodes[index]
    if node.op == "sub" and graph.nodes[node.args[0]].attr == 1.0:
        inside = _sigmoid(graph, node.args[1])
        return inside and (inside[0], -inside[1])
    key = _bias(graph, node.args[0]) if node.op == "sigmoid" else None
    return None if key is None else (key, 1)


def _bias(graph: Graph, index: int) -> str | None:
    """The key of the bias of a sum: of a map, or of its normalisation."""
    node = graph.nodes[index]
    if node.op == "dot":
        return f"{node.attr.bias}.bias" if node.attr.bias else None
    if node.op == "vector":
        return node.attr if node.attr.endswith("_shift") else None
    found = (_bias(graph, arg) for arg in node.args) if node.op == "add" else ()
    return next(filter(None, found), None)


def _writer(graph: Graph, reached: list[bool], new: int, keeper: str) -> str | None:
    """The key of the bias of the gate in what is added to the state."""
    node = graph.nodes[new]
    if node.op == "add":
        found = [_writer(graph, reached, arg, keeper) for arg in node.args]
    else:
        own = [] if node.op != "mul" or reached[new] else [_sigmoid(graph, arg) for arg in node.args]
        found = [gate[0] for gate in own if gate]
    return next((key for key in found if key and key != keeper), None)
