"""A cell's graph as a layer's options make it: with every value shown, with numbers put for inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gatework.compiler.edit import Edit
from gatework.compiler.ir import Graph, Node, State
from gatework.compiler.ops import LEAVES
from gatework.compiler.simplify import Term


def named(graph: Graph) -> dict[str, int]:
    """The named values of a step that are not its states' new values: gates, candidates, masks."""
    shown = {s.name for s in graph.states}
    found = [(n.name, i) for i, n in enumerate(graph.nodes) if n.name and n.op not in LEAVES and i not in graph.news]
    return {name: index for name, index in found if name not in shown}


def exposed(graph: Graph) -> Graph:
    """Each named value becomes a state that is returned and never read, so that its history is kept."""
    found = named(graph)
    states = tuple(State(name, graph.nodes[index].width) for name, index in found.items())
    return replace(graph, states=graph.states + states, news=graph.news + tuple(found.values()))


def fixed(graph: Graph, values: Mapping[str, float]) -> Graph:
    """Inputs replaced by numbers."""
    return _Fixed(graph, values).finish()


class _Fixed(Edit):
    def __init__(self, graph: Graph, values: Mapping[str, float]):
        super().__init__(graph)
        self.values = values
        self.inputs = [i for i in graph.inputs if i.name not in values]

    def visit(self, index: int, node: Node) -> Term:
        if node.op == "input" and node.attr in self.values:
            return Term(self.builder, self.builder.const(self.values[node.attr]))
        return self.copied(node)
