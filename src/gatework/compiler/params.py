"""The parameters of a cell: their keys, shapes and counts, once the sizes are numbers."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from gatework.compiler.ir import SCALAR, Graph, Map
from gatework.errors import OptionError, ShapeError


def size(sizes: Mapping[str, int], symbol: str) -> int:
    """The number of units that a width symbol stands for."""
    if symbol == SCALAR:
        return 1
    if symbol not in sizes:
        raise ShapeError(f"no size is given for width {symbol!r}; given are {dict(sizes)}")
    value = sizes[symbol]
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ShapeError(f"the size of width {symbol!r} is {value!r}; it must be a whole number of at least 1")
    return value


def symbols(graph: Graph) -> tuple[str, ...]:
    """The width symbols of a graph in order of appearance, "heads" last if it has blocks: what `sizes` may name."""
    widths = [leaf.width for leaf in (*graph.inputs, *graph.states, *graph.vectors)]
    for m in graph.maps:
        widths += [m.width, *m.operands]
    blocked = ["heads"] if any(any(m.blocked) for m in graph.maps) else []
    return tuple(w for w in dict.fromkeys([*widths, *blocked]) if w != SCALAR)


def check_sizes(graph: Graph, sizes: Mapping[str, int]) -> None:
    """Refuse, as options of a layer, sizes that the graph does not know and those that are missing. The width of the
    first input is the layer's own to know.

    >>> check_sizes(cells.get("lstm").graph, {"H": 4})
    """
    known, data = symbols(graph), graph.inputs[0].width
    odd = [name for name in sizes if name not in (*known, "H", "heads")]
    if odd:
        raise OptionError(f"{graph.name} has no size {odd[0]!r}; it has {', '.join(known)}")
    missing = [w for w in known if w not in (*sizes, data, "heads")]
    if missing:
        raise OptionError(f"{graph.name} needs a size for {missing[0]!r}: {_wanted(graph, missing[0])}")


def _wanted(graph: Graph, symbol: str) -> str:
    """What to give for a width; an input with a width of its own may have been meant as a state."""
    advice = f"sizes={{{symbol!r}: 16}}"
    if symbol not in [i.name for i in graph.inputs]:
        return advice
    count, names = len(graph.states), ", ".join(leaf.name for leaf in (*graph.inputs, *graph.states))
    returned = "1 new value is returned" if count == 1 else f"{count} new values are returned"
    return (
        f"{advice}. {symbol} is an input, as {returned} for ({names}): the last are the states. If {symbol} is a "
        "state, return its new value too"
    )


def shapes(graph: Graph, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter: "f.0" is the matrix of slot 0 of W.f, "f.bias" its bias, "p" the vector W.p.

    >>> shapes(cells.get("rnn").graph, {"I": 3, "H": 4})
    {'h.0': (4, 4), 'h.1': (4, 3), 'h.bias': (4,)}

    A matrix is (out, in), or (heads, out / heads, in / heads) where block-diagonal; `sizes["heads"]` is 1 if missing.
    """
    found: dict[str, tuple[int, ...]] = {}
    for m in graph.maps:
        for slot in range(len(m.operands)):
            found[f"{m.name}.{slot}"] = matrix_shape(m, slot, sizes)
        if m.bias:
            found[f"{m.name}.bias"] = (size(sizes, m.width),)
    for vector in graph.vectors:
        found[vector.name] = (size(sizes, vector.width),)
    return found


def state_matrices(graph: Graph) -> tuple[str, ...]:
    """Keys of the matrices that multiply a previous state, or a product with one such as r * h.

    >>> state_matrices(cells.get("lstm").graph)
    ('f.0', 'i.0', 'g.0', 'o.0')
    """
    of_state: list[bool] = []
    for node in graph.nodes:
        of_state.append(node.op == "state" or (node.op == "mul" and any(of_state[a] for a in node.args)))
    dots = (node for node in graph.nodes if node.op == "dot")
    pairs = (pair for dot in dots for pair in zip(dot.attr.weights, dot.args, strict=True))
    return tuple(dict.fromkeys(f"{weight.map}.{weight.slot}" for weight, operand in pairs if of_state[operand]))


def matrix_shape(m: Map, slot: int, sizes: Mapping[str, int]) -> tuple[int, ...]:
    out, wide = size(sizes, m.width), size(sizes, m.operands[slot])
    if not (m.blocked and m.blocked[slot]):
        return out, wide
    heads = size({"heads": 1, **sizes}, "heads")
    if out % heads or wide % heads:
        raise ShapeError(
            f"W.{m.name} maps {wide} units to {out}, which {heads} heads do not divide; choose a divisor of both"
        )
    return heads, out // heads, wide // heads


def count(graph: Graph, sizes: Mapping[str, int]) -> int:
    """How many numbers are learned."""
    return sum(prod(shape) for shape in shapes(graph, sizes).values())


def cost(graph: Graph, sizes: Mapping[str, int]) -> int:
    """Multiply-adds of the matrix products of one step of one row (the elementwise work is not counted)."""
    made = shapes(graph, sizes)
    return sum(prod(made[f"{w.map}.{w.slot}"]) for n in graph.nodes if n.op == "dot" for w in n.attr.weights)
