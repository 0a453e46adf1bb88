"""Layer normalisation of the maps and of a state: (a - mean) / sqrt(var + eps) * gain + shift over the units."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import reduce

from gatework.compiler.edit import Edit
from gatework.compiler.ir import Dot, Graph, Node
from gatework.compiler.ops import mean, sqrt, var
from gatework.compiler.simplify import Term
from gatework.errors import OptionError


def layer_norm(graph: Graph, of: str = "sum", over: str = "gate", state: str | None = None, eps: float = 1e-5) -> Graph:
    """Normalise what the maps give, before anything is done with it.

    >>> layer_norm(lstm.graph).vectors[:2]
    (Vector(name='f_gain', width='H', start=1.0), Vector(name='f_shift', width='H', start=0.0))

    of      "sum": the map's whole sum, once. "parts": each operand's product by itself, with a gain of its own
            (Ba, Kiros & Hinton, "Layer normalization", 2016, equations 20 to 22).
    over    "gate": each map by itself. "all": one mean and variance over all maps of equal width (the joined matrix).
    state   also normalise what is read of the new value of this state ("c": h = o * tanh(LN(c)), equation 22), while
            the carried value stays as it is; vectors "c_gain" and "c_shift".

    The shift takes the place of the map's bias. Raises OptionError where it has no meaning.
    """
    for option, value, allowed in (("of", of, ("sum", "parts")), ("over", over, ("gate", "all"))):
        if value not in allowed:
            raise OptionError(f"layer_norm: {option}={value!r}; choose {' or '.join(map(repr, allowed))}")
    if not eps > 0:
        raise OptionError(f"layer_norm: eps={eps!r}; it must be a positive number")
    if not graph.maps:
        raise OptionError(f"layer_norm means nothing for {graph.name}: it has no map")
    edit = LayerNorm(graph, of, over, eps)
    if state is not None:
        edit.normalise_state(state)
    edit.maps = [m._replace(bias=False) for m in graph.maps]
    return edit.finish()


class LayerNorm(Edit):
    def __init__(self, graph: Graph, of: str, over: str, eps: float):
        super().__init__(graph)
        self.of, self.over, self.eps = of, over, eps
        self.dots = [i for i, n in enumerate(graph.nodes) if n.op == "dot"]
        self.parts: dict[int, list[Term]] = {}
        if over == "all":
            self.refuse_chains()

    def visit(self, index: int, node: Node) -> Term:
        if node.op != "dot":
            return self.copied(node)
        m = self.graph.map(node.attr.weights[0].map)
        scaled = []
        for slot, part in enumerate(self.products(index)):
            gain = f"{m.name}_gain" + (f"_{m.labels[slot]}" if self.of == "parts" else "")
            scaled.append(self.centred(index, slot, part) * self.vector(gain, m.width, 1.0))
        result = reduce(operator.add, scaled) + self.vector(f"{m.name}_shift", m.width, 0.0)
        self.builder.named(result.index, node.name)
        return result

    def products(self, index: int) -> list[Term]:
        """What is normalised: the sum of the products without the bias, or each product."""
        if index not in self.parts:
            node = self.graph.nodes[index]
            operands = [self.read(a) for a in node.args]
            if self.of == "sum":
                made = [self.dot(Dot(node.attr.weights), operands, node.width)]
            else:
                pairs = zip(node.attr.weights, operands, strict=True)
                made = [self.dot(Dot((w,)), [o], node.width) for w, o in pairs]
            self.parts[index] = made
        return self.parts[index]

    def centred(self, index: int, slot: int, part: Term) -> Term:
        return normalised(part, self.group(index, slot), self.eps)

    def group(self, index: int, slot: int) -> list[Term]:
        """The values that share a mean and a variance with one part: of the same operand, or of all sums."""
        if self.over == "gate":
            return [self.products(index)[slot]]
        node, group = self.graph.nodes[index], []
        for other in self.dots:
            theirs = self.graph.nodes[other]
            same = [self.of == "sum"] if self.of == "sum" else [a == node.args[slot] for a in theirs.args]
            if theirs.width == node.width:
                group += [p for p, s in zip(self.products(other), same, strict=True) if s]
        return group

    def refuse_chains(self) -> None:
        """One mean over all maps needs all of them at once; a map of a map's result comes later."""
        reached: dict[int, bool] = {}
        for index, node in enumerate(self.graph.nodes):
            reached[index] = node.op == "dot" or any(reached[a] for a in node.args)
            if node.op == "dot" and any(reached[a] for a in node.args):
                name = node.attr.weights[0].map
                raise OptionError(
                    f'layer_norm over="all" means nothing for {self.graph.name}: W.{name} needs the result of another '
                    'map, so they cannot share one mean; use over="gate"'
                )

    def normalise_state(self, name: str) -> None:
        known = [s.name for s in self.graph.states]
        if name not in known:
            raise OptionError(f"layer_norm: {self.graph.name} has no state {name!r}; its states are {', '.join(known)}")
        index = self.graph.news[known.index(name)]
        if not any(index in n.args for n in self.graph.nodes):
            raise OptionError(
                f"layer_norm of state {name!r} means nothing for {self.graph.name}: no equation reads its new value"
            )
        width = self.graph.state(name).width
        new = self.upto(index)
        seen = normalised(new, [new], self.eps) * self.vector(f"{name}_gain", width, 1.0)
        self.seen[index] = (seen + self.vector(f"{name}_shift", width, 0.0)).index


def normalised(value: Term, group: Sequence[Term], eps: float) -> Term:
    """(value - mean) / sqrt(var + eps), with mean and variance over all units of all values of the group."""
    if len(group) == 1:
        return (value - mean(value)) / sqrt(var(value) + eps)
    centre = total([mean(v) for v in group]) / len(group)
    spread = total([var(v) + (mean(v) - centre) * (mean(v) - centre) for v in group]) / len(group)
    return (value - centre) / sqrt(spread + eps)


def total(terms: Sequence[Term]) -> Term:
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result
