"""Copying a graph with changes: what the wrappers are written with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gatework.compiler.ir import Dot, Graph, Input, Node, Vector
from gatework.compiler.ops import ELEMENTWISE
from gatework.compiler.simplify import Folding, Term, prune
from gatework.errors import OptionError


class Edit:
    """A copy in the making. `visit` may be overridden to put something else where a node was; `value(i)` is what stands
    for node i, `read(i)` what its readers see (the same, unless `seen` says otherwise)."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.builder = Folding()
        self.moved: dict[int, int] = {}
        self.seen: dict[int, int] = {}
        self.inputs = list(graph.inputs)
        self.vectors = list(graph.vectors)
        self.maps = list(graph.maps)
        self.taken = {n.name for n in graph.nodes}

    def visit(self, index: int, node: Node) -> Term:
        """Copy a node; its arguments are as their readers see them."""
        return self.copied(node)

    def copied(self, node: Node) -> Term:
        args = tuple(self.read(a).index for a in node.args)
        width = None if node.op in ELEMENTWISE else node.width
        return Term(self.builder, self.builder.add(node.op, args, node.attr, width, node.name))

    def value(self, index: int) -> Term:
        if index not in self.moved:
            self.moved[index] = self.visit(index, self.graph.nodes[index]).index
        return Term(self.builder, self.moved[index])

    def upto(self, index: int) -> Term:
        """The copy of a node, with all that stand before it copied in their order."""
        for earlier in range(index):
            self.value(earlier)
        return self.value(index)

    def read(self, index: int) -> Term:
        moved = self.value(index)
        return Term(self.builder, self.seen.get(index, moved.index))

    def state(self, name: str) -> Term:
        """The previous value of a state as the carried array holds it."""
        return Term(self.builder, self.builder.add("state", (), name, self.graph.state(name).width))

    def input(self, name: str, width: str, per: str) -> Term:
        """A new input, or the one that this edit has added already."""
        item = Input(name, width, per)
        if item not in self.inputs[len(self.graph.inputs) :]:
            self.refuse_taken(name)
            self.inputs.append(item)
        return Term(self.builder, self.builder.add("input", (), name, width))

    def vector(self, name: str, width: str, start: float) -> Term:
        item = Vector(name, width, start)
        if item not in self.vectors[len(self.graph.vectors) :]:
            self.refuse_taken(name)
            self.vectors.append(item)
        return Term(self.builder, self.builder.add("vector", (), name, width))

    def refuse_taken(self, name: str) -> None:
        own = {*(i.name for i in self.inputs), *(m.name for m in self.maps), *(v.name for v in self.vectors)}
        if name in own | {s.name for s in self.graph.states}:
            raise OptionError(
                f"{self.graph.name} has {name!r} already, so this wrapper cannot add it (was it applied before?)"
            )

    def dot(self, dot: Dot, operands: Iterable[Term], width: str) -> Term:
        args = tuple(o.index for o in operands)
        return Term(self.builder, self.builder.add("dot", args, dot, width))

    def rename(self, old: Term, new: Term) -> Term:
        """Give the name of a value to the one that takes its place; the old one gets a prime."""
        nodes, name = self.builder.nodes, self.builder.nodes[old.index].name
        if not name or new.index == old.index:
            return new
        prime = name + "'"
        while prime in self.taken:
            prime += "'"
        self.taken.add(prime)
        nodes[old.index] = replace(nodes[old.index], name=prime)
        nodes[new.index] = replace(nodes[new.index], name=name)
        return new

    def news(self) -> list[Term]:
        """The copies of the new states, after everything has been copied in its order."""
        self.upto(len(self.graph.nodes) - 1)
        return [self.value(n) for n in self.graph.news]

    def finish(self, news: Iterable[Term] | None = None) -> Graph:
        """The new graph: all of the old one, with these new states (or the copies of the old)."""
        own = self.news()
        new = [t.index for t in (own if news is None else news)]
        nodes, moved = prune(self.builder.nodes, new)
        return replace(
            self.graph,
            nodes=nodes,
            inputs=tuple(self.inputs),
            vectors=tuple(self.vectors),
            maps=tuple(self.maps),
            news=tuple(moved[n] for n in new),
        )


def without_bias(graph: Graph) -> Graph:
    """Every map loses its bias."""
    nodes = tuple(replace(n, attr=Dot(n.attr.weights, None)) if n.op == "dot" else n for n in graph.nodes)
    return replace(graph, nodes=nodes, maps=tuple(m._replace(bias=False) for m in graph.maps))


def is_known(graph: Graph, known: Graph) -> bool:
    """Whether a graph is this known one, with its biases or without; another cell may have taken its name."""
    return graph in (known, without_bias(known))
