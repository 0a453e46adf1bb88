"""How much of a state survives a step: the factor in front of its previous value, read off its update.

It is f for the LSTM's cell, z for the GRU, 1 for the LSTM of 1997: what multiplies a memory at every step, so that the
product over time says how long it lasts (explanations draw it). Only the linear path counts: sums, products, quotients,
choices. A state that passes through a function (tanh of an RNN) or a map alone has no such factor.
"""

from __future__ import annotations

from dataclasses import replace

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
