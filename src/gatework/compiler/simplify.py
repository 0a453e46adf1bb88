"""Graphs without dead or repeated work: folding while nodes are added, pruning when all are there.

What is folded keeps every value except the sign of a zero: nothing is reassociated, and `x * 0` stays, because x may be
infinite.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from gatework.compiler.ir import SCALAR, Attribute, Builder, Dot, Node
from gatework.compiler.ops import COMMUTATIVE, ELEMENTWISE, LEAVES, Value


def stable_sigmoid(x: float) -> float:
    grown = math.exp(-abs(x))
    return 1 / (1 + grown) if x >= 0 else grown / (1 + grown)


NUMBERS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "maximum": max,
    "minimum": min,
    "lt": lambda a, b: float(a < b),
    "le": lambda a, b: float(a <= b),
    "where": lambda c, a, b: a if c else b,
    "exp": math.exp,
    "log": math.log,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "abs": abs,
    "sigmoid": stable_sigmoid,
    "tanh": math.tanh,
    "stop": float,
}


class Folding(Builder):
    """A builder that gives an existing node where a new one would have the same value."""

    @classmethod
    def of(cls, nodes: Iterable[Node]) -> Folding:
        """A builder that starts with these nodes, at their indices."""
        builder = cls()
        for node in nodes:
            builder.known.setdefault(node.key(), len(builder.nodes))
            builder.nodes.append(node)
        return builder

    def add(
        self, op: str, args: tuple[int, ...] = (), attr: Attribute = None, width: str | None = None, name: str = ""
    ) -> int:
        args = tuple(args)
        if op in ELEMENTWISE:
            found = self.folded(op, args)
            if found is not None:
                return self.named(found, name)
        return super().add(op, args, attr, width, name)

    def named(self, index: int, name: str) -> int:
        node = self.nodes[index]
        if name and not node.name and node.op not in LEAVES:
            self.nodes[index] = replace(node, name=name)
        return index

    def folded(self, op: str, args: tuple[int, ...]) -> int | None:
        """The index of a node with the value of op(args), if one exists or is simpler to make."""
        width = self.joined(args)
        for found in (self.number(op, args), self.identity(op, args), self.swapped(op, args, width)):
            if found is not None and self.nodes[found].width == width:
                return found
        return None

    def number(self, op: str, args: tuple[int, ...]) -> int | None:
        values = [self.value(a) for a in args]
        if any(v is None or self.nodes[a].width != SCALAR for v, a in zip(values, args, strict=True)):
            return None
        try:
            return self.const(NUMBERS[op](*values))
        except (ArithmeticError, ValueError):  # log(0), 1/0: left to the backend, which gives inf or NaN
            return None

    def value(self, index: int) -> float | None:
        node = self.nodes[index]
        return node.attr if node.op == "const" else None

    def swapped(self, op: str, args: tuple[int, ...], width: str) -> int | None:
        return self.known.get((op, args[::-1], None, width)) if op in COMMUTATIVE else None

    def identity(self, op: str, args: tuple[int, ...]) -> int | None:
        """x + 0, x * 1 and their like; a minus moves outwards into the sum that holds it."""
        rule = IDENTITIES.get(op)
        return rule(self, *args) if rule else None

    def negated(self, index: int) -> int | None:
        """y, where the node is -y."""
        node = self.nodes[index]
        return node.args[0] if node.op == "neg" else None


def fold_add(b: Folding, x: int, y: int) -> int | None:
    if b.value(x) == 0:
        return y
    if b.value(y) == 0:
        return x
    if (plain := b.negated(y)) is not None:
        return b.add("sub", (x, plain))
    if (plain := b.negated(x)) is not None:
        return b.add("sub", (y, plain))
    return None


def fold_sub(b: Folding, x: int, y: int) -> int | None:
    if b.value(y) == 0:
        return x
    if b.value(x) == 0:
        return b.add("neg", (y,))
    plain = b.negated(y)
    return None if plain is None else b.add("add", (x, plain))


def fold_mul(b: Folding, x: int, y: int) -> int | None:
    for one, other in ((x, y), (y, x)):
        if b.value(one) == 1:
            return other
        if b.value(one) == -1 and b.nodes[one].width == SCALAR:
            return b.add("neg", (other,))
    return None


def fold_where(b: Folding, condition: int, x: int, y: int) -> int | None:
    chosen = b.value(condition)
    if x == y:
        return x
    return None if chosen is None else (x if chosen else y)


IDENTITIES: dict[str, Callable[..., int | None]] = {
    "add": fold_add,
    "sub": fold_sub,
    "mul": fold_mul,
    "div": lambda b, x, y: x if b.value(y) == 1 else None,
    "neg": lambda b, x: b.negated(x),
    "maximum": lambda b, x, y: x if x == y else None,
    "minimum": lambda b, x, y: x if x == y else None,
    "where": fold_where,
    "stop": lambda b, x: x if b.nodes[x].op in ("stop", "const", "units") else None,
}


@dataclass(frozen=True)
class Term(Value):
    """A node under construction that can be calculated with: `Term(builder, i) * 2`."""

    builder: Builder
    index: int

    def apply(self, op: str, *args: Self | float) -> Term:
        indices = tuple(a.index if isinstance(a, Term) else self.builder.const(a) for a in args)
        width = None if op in ELEMENTWISE else SCALAR
        return Term(self.builder, self.builder.add(op, indices, None, width))

    @property
    def width(self) -> str:
        return self.builder.nodes[self.index].width


class Step(Protocol):
    """A node, as far as it is known what it is made from."""

    @property
    def args(self) -> tuple[int, ...]: ...


def live(nodes: Iterable[Step], roots: Iterable[int]) -> list[bool]:
    """Which nodes the roots depend on."""
    nodes = tuple(nodes)
    alive = [False] * len(nodes)
    for root in roots:
        alive[root] = True
    for index in range(len(nodes) - 1, -1, -1):
        if alive[index]:
            for arg in nodes[index].args:
                alive[arg] = True
    return alive


def prune(nodes: Iterable[Node], roots: Iterable[int], keep: int = 0) -> tuple[tuple[Node, ...], list[int]]:
    """Drop nodes that no root needs, except the first `keep`; gives each old node's new index too (-1: gone)."""
    nodes = tuple(nodes)
    alive = live(nodes, roots)
    kept: list[Node] = []
    moved = [-1] * len(nodes)
    for index, node in enumerate(nodes):
        if index < keep or alive[index]:
            moved[index] = len(kept)
            kept.append(replace(node, args=tuple(moved[a] for a in node.args)))
    return tuple(kept), moved


def weights_of(node: Node) -> Dot:
    """The attribute of a dot node, typed."""
    assert isinstance(node.attr, Dot)
    return node.attr
