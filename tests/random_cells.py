"""Cells that nobody wrote: their equations are drawn, and every backend must agree with the reference on them.

A drawn cell has one to three states, of which some are of another width or one number, maps over states, inputs, values
of the step and reductions (so that stages follow each other), maps that are called twice, maps to other widths and to
one number, block-diagonal maps of heads, learned vectors, reductions over the units, and every elementwise operation,
guarded where it has poles. Its new states are squashed or mixed, so values stay near 1 over any number of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from random import Random
from typing import Any

from hypothesis import strategies as st

from gatework.compiler import lang as g
from gatework.compiler.lang import Cell, cell

UNARY: dict[str, Callable[[Any], Any]] = {
    "sigmoid": g.sigmoid,
    "tanh": g.tanh,
    "relu": g.relu,
    "exp": lambda v: g.exp(-g.abs(v)),
    "log": lambda v: g.log(1.5 + g.tanh(v)),
    "log1p": lambda v: g.log1p(v * v),
    "sqrt": lambda v: g.sqrt(1.0 + v * v),
    "reciprocal": lambda v: 1.0 / (1.0 + v**2),
    "softplus": g.softplus,
    "log_sigmoid": lambda v: g.maximum(g.log_sigmoid(v), -5.0),
    "hard_sigmoid": g.hard_sigmoid,
    "gelu": g.gelu,
    "neg": lambda v: -v,
    "cube": lambda v: g.tanh(v) ** 3,
    "stop": lambda v: v + 0.5 * g.stop(v),
    "centre": lambda v: v - g.mean(v),
    "normal": lambda v: (v - g.mean(v)) / g.sqrt(g.var(v) + 0.1),
    "share": lambda v: v * g.sum(g.sigmoid(v)) / (1.0 + g.sum(g.sigmoid(v))),
    "largest": lambda v: v - g.max(v),
    "softmax": g.softmax,
}
BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: g.tanh(a) * g.tanh(b),
    "div": lambda a, b: a / (2.0 + g.tanh(b)),
    "maximum": g.maximum,
    "minimum": g.minimum,
    "where": lambda a, b: g.where(a < b, a, 0.5 * b),
    "gate": lambda a, b: g.sigmoid(a) * b,
}
REDUCTIONS: tuple[Callable[[Any], Any], ...] = (
    g.mean,
    g.max,
    lambda v: g.var(g.tanh(v)),
    lambda v: g.tanh(g.sum(v)),
)
KINDS = ("map", "map", "map", "unary", "unary", "binary", "binary", "vector")
KINDS += ("again", "narrow", "number", "reduce")  # these need widths of their own, which heads do not divide
EXTRAS: tuple[str | None, ...] = (None, None, "mask", "static", "rate", "gap")
WIDTHS = ("H", "H", "H", "P", "1")  # of states after the first


def recipe(draw: Random) -> dict[str, Any]:
    """How many states, which extra input, and a list of operations that refer to earlier values by number."""

    def numbers(most: int) -> list[int]:
        return [draw.randint(0, 1_000) for _ in range(draw.randint(1, most))]

    def step() -> tuple[str, int, int, list[int], bool]:
        return (
            draw.choice(KINDS),
            draw.randint(0, 1_000),
            draw.randint(0, 1_000),
            numbers(3),
            draw.choice([False, True]),
        )

    heads = draw.randint(0, 5) == 5
    return {
        "states": ["H", *(draw.choice(["H"] if heads else WIDTHS) for _ in range(draw.randint(0, 2)))],
        "starts": [draw.choice([0.0, 0.0, 0.5]) for _ in range(3)],
        "extra": draw.choice(EXTRAS),
        "steps": [step() for _ in range(draw.randint(1, 7))],
        "heads": heads,
        "mix": [draw.choice([False, True]) for _ in range(3)],
    }


def random_cells() -> st.SearchStrategy[Cell]:
    """A strategy of cells; `sizes_of(cell.graph, H=..., I=...)` in cases.py gives sizes, `case` gives arrays."""
    return st.randoms(use_true_random=False).map(random_cell)


def random_cell(draw: Random) -> Cell:
    return build(recipe(draw))


def build(program: dict[str, Any]) -> Cell:
    extra, widths = program["extra"], dict(zip("hcs", program["states"], strict=False))
    inputs, states = ["x"] + [extra] * (extra is not None), list(widths)

    def step(*values: Any) -> Any:
        other = values[1] if extra else None
        return Body(program, values[0], other, values[len(inputs) : -1], values[-1]).run()

    names = [*inputs, *states, "W"]
    step.__signature__ = Signature([Parameter(n, Parameter.POSITIONAL_OR_KEYWORD) for n in names])  # type: ignore[attr-defined]
    per = {"static": {"static": "sequence"}, "rate": {"rate": "call"}}.get(extra)
    width = {name: own for name, own in widths.items() if own != "H"} | ({"mask": "1"} if extra == "mask" else {})
    start = dict(zip(states, program["starts"], strict=False))
    return cell(name="drawn", per=per, width=width, start=start, heads=program["heads"])(step)


class Body:
    """Carries out a recipe with symbols, and sees to it that every value has an effect."""

    def __init__(self, program: dict[str, Any], x: Any, other: Any, old: tuple, W: Any):
        self.program, self.x, self.other, self.old, self.W = program, x, other, old, W
        self.pool: list[Any] = [s for s, width in zip(old, program["states"], strict=False) if width == "H"]
        self.operands: list[Any] = [x]  # values that maps alone can read: of another width, or reductions
        self.operands += [s for s, width in zip(old, program["states"], strict=False) if width != "H"]
        self.unused: list[Any] = []
        self.calls: list[tuple[list[Any], bool]] = []  # operands and bias of the maps so far

    def run(self) -> Any:
        self.put(self.map([self.old[0], self.x], bias=True))
        for kind, which, first, others, flag in self.program["steps"]:
            self.put(self.step(kind, which, first, others, flag))
        self.add_extra()
        news = [self.new(k, old) for k, old in enumerate(self.old)]
        return news[0] if len(news) == 1 else tuple(news)

    def step(self, kind: str, which: int, first: int, others: list[int], flag: bool) -> Any:
        if kind in ("again", "narrow", "number", "reduce") and not self.program["heads"]:
            return self.of_another_width(kind, which, first, others)
        if kind in ("map", "again", "narrow", "number", "reduce"):
            operands = [self.operand(o) for o in others]
            return self.map([*operands, self.x] if flag else operands, bias=which % 4 != 0)
        if kind == "vector":
            return self.take(first) * getattr(self.W, f"v{which % 3}") + getattr(self.W, f"b{which % 3}")
        table = UNARY if kind == "unary" else BINARY
        function = list(table.values())[which % len(table)]
        return function(self.take(first)) if kind == "unary" else function(self.take(first), self.take(others[0]))

    def of_another_width(self, kind: str, which: int, first: int, others: list[int]) -> Any:
        if kind == "again":  # with another operand wherever it read a value of the state's width
            name = which % len(self.calls)
            operands, bias = self.calls[name]
            plain = [any(operand is value for value in self.pool) for operand in operands]
            changed = [self.take(first) if p else o for p, o in zip(plain, operands, strict=True)]
            return getattr(self.W, f"m{name}")(*changed, bias=bias)
        if kind == "narrow":
            self.operands.append(g.tanh(self.map([self.operand(o) for o in others], which % 2 == 0, "P")))
            return self.map([self.operands[-1]], bias=which % 3 == 0)
        if kind == "number":
            number = g.sigmoid(self.map([self.operand(o) for o in others], which % 2 == 0, "1"))
            self.operands.append(number)
            return (number, 1 - number)[which % 2] * self.take(first) + 0.1 * number
        self.operands.append(REDUCTIONS[which % len(REDUCTIONS)](self.take(first)))
        return self.map([self.operands[-1], self.take(others[0])], bias=which % 3 == 0)

    def map(self, operands: list[Any], bias: bool, width: str = "H") -> Any:
        name = f"m{len(self.calls)}" if width == "H" else f"n{len(self.calls)}{len(self.operands)}"
        if width == "H":
            self.calls.append((operands, bias))
        return getattr(self.W, name)(*operands, bias=bias, width=width)

    def operand(self, number: int) -> Any:
        """What a map reads: a value of the state's width, or of any other."""
        count = len(self.operands)
        return self.operands[number % count] if count and number % 3 == 0 else self.take(number)

    def add_extra(self) -> None:
        """The second input: a switch, features of the sequence, or one number for the call."""
        extra = self.program["extra"]
        if extra == "mask":
            self.put(g.where(self.other, self.take(1), 0.3 * self.take(2)))
        elif extra == "static":
            self.put(self.W.features(self.other, self.take(0), width="H"))
        elif extra == "gap":
            self.put(g.tanh(self.W.gap(self.other, self.take(0), width="H")))
        elif extra == "rate":
            self.put(self.take(1) * self.other)

    def put(self, value: Any) -> None:
        self.pool.append(value)
        self.unused.append(value)

    def take(self, number: int) -> Any:
        value = self.pool[number % len(self.pool)]
        self.unused = [u for u in self.unused if u is not value]
        return value

    def new(self, k: int, old: Any) -> Any:
        """The first new state takes all that nothing has read; the others take the last values."""
        value = self.take(-1 - k) if k else self.take(-1)
        for left in self.unused if k == 0 else []:
            value = value + left
        width = self.program["states"][k]
        if width != "H":
            value = getattr(self.W, f"to{k}")(value, old, self.operands[-1], width=width)
        if self.program["mix"][k]:
            keep = g.sigmoid(value)
            return keep * old + (1 - keep) * g.tanh(value)
        return g.tanh(value)
