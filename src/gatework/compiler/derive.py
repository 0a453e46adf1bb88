"""The backward step of a cell as a graph: reverse-mode differentiation of its nodes, one rule a line."""

from __future__ import annotations

from collections.abc import Callable

from gatework.compiler.ir import SCALAR, Backward, Dot, Graph, Node, Outer, Weight
from gatework.compiler.ops import sum as over_units
from gatework.compiler.ops import where
from gatework.compiler.simplify import Folding, Term, prune, weights_of

# g: cotangent of the result y; a, b: the arguments; n: how many units a has. None: no gradient.
RULES: dict[str, Callable[..., tuple]] = {
    "add": lambda g, y, a, b: (g, g),
    "sub": lambda g, y, a, b: (g, -g),
    "mul": lambda g, y, a, b: (g * b, g * a),
    "div": lambda g, y, a, b: (g / b, -(g / b * y)),
    "neg": lambda g, y, a: (-g,),
    "maximum": lambda g, y, a, b: (where(b < a, g, 0.0), where(b < a, 0.0, g)),
    "minimum": lambda g, y, a, b: (where(a < b, g, 0.0), where(a < b, 0.0, g)),
    "lt": lambda g, y, a, b: (None, None),
    "le": lambda g, y, a, b: (None, None),
    "where": lambda g, y, c, a, b: (None, where(c, g, 0.0), where(c, 0.0, g)),
    "exp": lambda g, y, a: (g * y,),
    "log": lambda g, y, a: (g / a,),
    "log1p": lambda g, y, a: (g / (1.0 + a),),
    "sqrt": lambda g, y, a: (g * 0.5 / y,),
    "abs": lambda g, y, a: (where(a > 0.0, g, where(a < 0.0, -g, 0.0)),),
    "sigmoid": lambda g, y, a: (g * (y * (1.0 - y)),),
    "tanh": lambda g, y, a: (g * (1.0 - y * y),),
    "stop": lambda g, y, a: (None,),
    "sum": lambda g, y, a, n: (g,),
    "mean": lambda g, y, a, n: (g / n,),
    "var": lambda g, y, a, n: (g * 2.0 / n * (a - a.apply("mean", a)),),
    "max": lambda g, y, a, n: (where(y <= a, g / over_units(y <= a), 0.0),),
}


def derive(graph: Graph) -> Backward:
    """Differentiate one step; the result has no dead or repeated work, and each sum of products is one dot node.

    >>> derive(cells.get("lstm").graph).d_states     # the previous h through four products, the previous c through f
    (..., ...)
    """
    sweep = Sweep(graph)
    for index in range(len(graph.nodes) - 1, -1, -1):
        sweep.visit(index)
    return sweep.result()


class Sweep:
    """One pass over the nodes from last to first; `terms[i]` and `products[i]` are what reaches node i so far."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.builder = Folding.of(graph.nodes)
        self.terms: list[list[Term]] = [[] for _ in graph.nodes]
        self.products: list[list[tuple[Weight, int]]] = [[] for _ in graph.nodes]
        self.outers: list[Outer] = []
        self.biases: list[tuple[str, int]] = []
        self.leaves: dict[tuple[str, str], int] = {}
        for state, new in zip(graph.states, graph.news, strict=True):
            self.terms[new].append(Term(self.builder, self.builder.add("ct", (), state.name, state.width)))

    def visit(self, index: int) -> None:
        node = self.graph.nodes[index]
        if not self.terms[index] and not self.products[index]:
            return
        g = self.total(index, node.width)
        if node.op == "dot":
            self.dot(node, g.index)
        elif node.op in RULES:
            self.rule(index, node, g)
        elif node.op in ("input", "state", "vector"):
            self.leaves[node.op, node.attr] = g.index

    def total(self, index: int, width: str) -> Term:
        """The sum of all that reaches a node, with the node's width: products first, as one dot."""
        terms = list(self.terms[index])
        if products := self.products[index]:
            weights, cts = zip(*reversed(products), strict=True)
            terms.insert(0, Term(self.builder, self.builder.add("dot", cts, Dot(weights), width)))
        g = terms[0]
        for term in terms[1:]:
            g = g + term
        return g if g.width == width else g * Term(self.builder, self.builder.add("const", (), 1.0, width))

    def dot(self, node: Node, g: int) -> None:
        weights, bias = weights_of(node)
        if bias:
            self.biases.append((bias, g))
        for weight, operand in zip(weights, node.args, strict=True):
            self.outers.append(Outer(weight, g, operand))
            self.products[operand].append((weight._replace(transposed=not weight.transposed), g))

    def rule(self, index: int, node: Node, g: Term) -> None:
        args = [Term(self.builder, a) for a in node.args]
        extra = []
        if node.op in ("sum", "mean", "var", "max"):
            extra = [Term(self.builder, self.builder.add("units", (), args[0].width, SCALAR))]
        parts = RULES[node.op](g, Term(self.builder, index), *args, *extra)
        for arg, part in zip(args, parts, strict=True):
            if part is not None:
                shared = arg.width == SCALAR and part.width != SCALAR
                self.terms[arg.index].append(over_units(part) if shared else part)

    def result(self) -> Backward:
        """Drop what no gradient needs and name the rest."""
        graph, leaves = self.graph, self.leaves
        per_call = {i.name for i in graph.inputs if i.per == "call"}
        d_states = [leaves.get(("state", s.name)) for s in graph.states]
        d_inputs = [None if i.name in per_call else leaves.get(("input", i.name)) for i in graph.inputs]
        vectors = [(v.name, leaves["vector", v.name]) for v in graph.vectors if ("vector", v.name) in leaves]
        roots = [i for i in (*d_states, *d_inputs) if i is not None]
        roots += [i for _, i in (*self.biases, *vectors)] + [i for o in self.outers for i in (o.ct, o.operand)]
        nodes, moved = prune(self.builder.nodes, roots, keep=len(graph.nodes))
        return Backward(
            graph,
            nodes,
            tuple(i if i is None else moved[i] for i in d_states),
            tuple(i if i is None else moved[i] for i in d_inputs),
            tuple(Outer(o.weight, moved[o.ct], moved[o.operand]) for o in self.outers),
            tuple((name, moved[i]) for name, i in self.biases),
            tuple((name, moved[i]) for name, i in vectors),
        )
