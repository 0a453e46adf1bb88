"""The recording behind `@cell`: what a run of the cell's function did, and how that becomes a graph."""

from __future__ import annotations

import linecache
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from types import CodeType, FrameType
from typing import Any

from gatework.compiler.ir import SCALAR, Attribute, Dot, Graph, Input, Map, State, Vector, Weight
from gatework.compiler.ops import ELEMENTWISE, LEAVES
from gatework.compiler.simplify import Folding, live, prune
from gatework.compiler.symbols import Namespace, Symbol
from gatework.compiler.widths import FEATURES, HIDDEN, Widths
from gatework.errors import CellError

PRIMES = 3


@dataclass(slots=True)
class Raw:
    """A node whose width is still a label of `Widths`."""

    op: str
    args: tuple[int, ...]
    attr: Any  # an Attribute
    width: str
    place: tuple[str, int]
    carried: bool  # made from a state


@dataclass(slots=True)
class Affine:
    """A map as it was first called."""

    width: str
    operands: tuple[str, ...]
    bias: bool
    blocked: tuple[bool, ...]
    labels: tuple[str, ...]
    place: tuple[str, int]


def resume(profiler: object) -> None:
    """Set back what profiled before. cProfile's own object is not a function: it is enabled again."""
    sys.setprofile(profiler if callable(profiler) else None)
    if enable := getattr(profiler, "enable", None):
        enable()


class Trace:
    """What one run of a cell's function did."""

    def __init__(self, code: CodeType, width: Mapping[str, str], init: Mapping[str, float], heads: bool, strict: bool):
        self.code, self.declared, self.init, self.heads, self.strict = code, width, init, heads, strict
        self.nodes: list[Raw] = []
        self.known: dict[tuple, int] = {}
        self.widths = Widths()
        self.inputs: list[Input] = []
        self.states: list[State] = []
        self.maps: dict[str, Affine] = {}
        self.vectors: dict[str, int] = {}
        self.bound: dict[str, list[int]] = {}
        self.place = (code.co_filename, code.co_firstlineno)

    # -- leaves -------------------------------------------------------------------------------------------------------

    def input(self, name: str, first: bool, per: str) -> Symbol:
        label = self.declared.get(name) or (SCALAR if per == "call" else FEATURES if first else "")
        width = self.widths.rigid(label) if label and self.strict else self.widths.soft(name)
        self.inputs.append(Input(name, width, per))
        return Symbol(self, self.add("input", (), name, width))

    def state(self, name: str, start: float) -> Symbol:
        width = self.widths.rigid(self.declared.get(name, HIDDEN))
        self.states.append(State(name, width, float(start)))
        return Symbol(self, self.add("state", (), name, width))

    def vector(self, name: str) -> int:
        if name in self.maps:
            raise CellError(self.here(f"W.{name} is a map, W.{name}(...); it cannot be a vector too. Use another name"))
        if name not in self.vectors:
            self.vectors[name] = self.add("vector", (), name, self.parameter_width(name, None))
        return self.vectors[name]

    def parameter_width(self, name: str, width: str | None) -> str:
        width = width or self.declared.get(name)
        return self.widths.rigid(width) if width and self.strict else self.widths.fresh()

    # -- operations ---------------------------------------------------------------------------------------------------

    def add(self, op: str, args: tuple[int, ...], attr: Attribute, width: str) -> int:
        key = (op, args, attr)
        if key in self.known:
            return self.known[key]
        self.known[key] = len(self.nodes)
        carried = op == "state" or any(self.nodes[a].carried for a in args)
        self.nodes.append(Raw(op, args, attr, width, self.place, carried))
        return self.known[key]

    def operand(self, value: object) -> int:
        if isinstance(value, Symbol):
            if value.trace is not self:
                raise CellError(
                    self.here("a value of another cell is used here; call that cell with this cell's W instead")
                )
            return value.index
        if not isinstance(value, Real):
            shape = getattr(value, "shape", None)
            what = f"{type(value).__name__} " + (repr(value) if shape is None else f"of shape {tuple(shape)}")
            advice = "a learned vector is W.name, a constant is a number as 0.5"
            raise CellError(self.here(f"{what} is neither a value of the cell nor a number: {advice}"))
        return self.add("const", (), float(value), SCALAR)

    def apply(self, op: str, args: tuple[object, ...]) -> Symbol:
        self.look()
        indices = tuple(self.operand(a) for a in args)
        width = self.joined(op, indices) if op in ELEMENTWISE else self.widths.rigid(SCALAR)
        return Symbol(self, self.add(op, indices, None, width))

    def joined(self, op: str, indices: tuple[int, ...]) -> str:
        """Make the widths of elementwise arguments one."""
        self.widths.rigid(SCALAR)
        wide = [i for i in indices if self.widths.find(self.nodes[i].width) != SCALAR]
        for other in wide[1:]:
            if not self.widths.unify(self.nodes[wide[0]].width, self.nodes[other].width):
                a, b = (f"{self.describe(i)} has width {self.width(i)}" for i in (wide[0], other))
                advice = "Bring one to the other's width with a map, W.name(...), or declare the widths equal: "
                raise CellError(self.here(f'{op}: {a}, but {b}. {advice}@cell(width={{"name": "..."}})'))
        return self.nodes[wide[0]].width if wide else SCALAR

    def affine(self, name: str, operands: tuple[object, ...], bias: bool, width: str | None) -> Symbol:
        self.look()
        if name in self.vectors:
            raise CellError(self.here(f"W.{name} is a vector; it cannot be called as a map too. Use another name"))
        if not operands or not all(isinstance(o, Symbol) for o in operands):
            odd = next((repr(o) for o in operands if not isinstance(o, Symbol)), "nothing")
            raise CellError(
                self.here(f"W.{name}({odd}): the operands of a map are values of the cell, as in W.{name}(h, x)")
            )
        if not isinstance(width, str | None):
            advice = f'width="P", and a layer gives its number: Recurrent(cell, ..., sizes={{"P": {width!r}}})'
            raise CellError(self.here(f"W.{name}: width={width!r}; a width is a symbol, as in {advice}"))
        if not isinstance(bias, bool):
            raise CellError(self.here(f"W.{name}: bias is True or False; got {bias!r}"))
        indices = tuple(self.operand(o) for o in operands)
        self.declare(name, indices, bias, width)
        weights = tuple(Weight(name, j) for j in range(len(indices)))
        return Symbol(self, self.add("dot", indices, Dot(weights, name if bias else None), self.maps[name].width))

    def declare(self, name: str, indices: tuple[int, ...], bias: bool, width: str | None) -> None:
        """Enter a map, or check that a second call fits the first."""
        blocked = tuple(self.heads and self.nodes[i].carried for i in indices)
        if name not in self.maps:
            labels = self.labels(indices)
            operands = tuple(self.nodes[i].width for i in indices)
            self.maps[name] = Affine(self.parameter_width(name, width), operands, bias, blocked, labels, self.place)
            return
        first = self.maps[name]
        if first.blocked != blocked or first.bias != bias:
            shown = f"W.{name}({', '.join(first.labels)}{'' if first.bias else ', bias=False'})"
            raise CellError(self.here(f"W.{name} was called differently before: {shown} (line {first.place[1]})"))
        for slot, (expected, index) in enumerate(zip(first.operands, indices, strict=True)):
            if not self.widths.unify(expected, self.nodes[index].width):
                was, now = self.widths.name(expected), self.width(index)
                raise CellError(
                    self.here(f"W.{name}: operand {slot} has width {now}, but had {was} on line {first.place[1]}")
                )

    def labels(self, indices: tuple[int, ...]) -> tuple[str, ...]:
        """What the slots are called: the leaf's or local name of the operand, or its number."""
        names = [self.nodes[i].attr if self.nodes[i].op in LEAVES else self.local_name(i) for i in indices]
        names = [str(n or slot) for slot, n in enumerate(names)]
        return tuple(n if names.count(n) == 1 else f"{n}{slot}" for slot, n in enumerate(names))

    def local_name(self, index: int) -> str:
        return next((name for name, bound in self.bound.items() if index in bound), "")

    # -- local names and places ---------------------------------------------------------------------------------------

    def call(self, function: Callable[..., object], *args: Symbol | Namespace) -> object:
        """Run the function; a profile hook sees its local variables when it returns."""
        before = sys.getprofile()

        def hook(frame: FrameType, event: str, _: object) -> None:
            if event == "return" and frame.f_code is self.code:
                self.bind(frame)

        sys.setprofile(hook)
        try:
            return function(*args)
        finally:
            resume(before)

    def look(self) -> None:
        """Note the line that runs and the names that values have by now."""
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame.f_code is not self.code:
            frame = frame.f_back
        if frame is not None:
            self.place = (frame.f_code.co_filename, frame.f_lineno)
            self.bind(frame)

    def bind(self, frame: FrameType) -> None:
        for name, value in list(frame.f_locals.items()):
            if isinstance(value, Symbol) and value.trace is self and value.number >= 0:
                bound = self.bound.setdefault(name, [])
                if self.nodes[value.number].op not in LEAVES and (not bound or bound[-1] != value.number):
                    bound.append(value.number)

    def here(self, message: str) -> str:
        self.look()
        return self.located(message, self.place)

    def at_return(self, message: str) -> str:
        lines = [n for _, _, n in self.code.co_lines() if n]
        return self.located(message, (self.code.co_filename, lines[-1] if lines else self.code.co_firstlineno))

    def at_error(self, message: str, error: BaseException) -> str:
        places = [f for f in traceback.extract_tb(error.__traceback__) if f.name == self.code.co_name]
        return self.located(message, (places[-1].filename, places[-1].lineno or 0) if places else self.place)

    def located(self, message: str, place: tuple[str, int]) -> str:
        linecache.checkcache(place[0])  # a module that was reloaded has other lines
        line = linecache.getline(*place).strip()
        return f"{message}\n  {place[0]}:{place[1]}, in {self.code.co_name}" + (f"\n    {line}" if line else "")

    def width(self, index: int) -> str:
        return self.widths.name(self.nodes[index].width)

    def describe(self, index: int) -> str:
        node = self.nodes[index]
        if node.op == "vector":
            return f"W.{node.attr}"
        if node.op == "dot":
            return f"W.{node.attr.weights[0].map}(...)"
        return (node.attr if node.op in LEAVES else self.local_name(index)) or f"{node.op}(...)"

    # -- the graph ----------------------------------------------------------------------------------------------------

    def finish(self, name: str, results: list[Symbol], doc: str) -> Graph:
        """Resolve widths and names, drop what has no effect, and check what is left."""
        news = self.returned(results)
        self.check_effect(news)
        names = self.names(news)
        builder, moved = Folding(), []
        for index, raw in enumerate(self.nodes):
            args = tuple(moved[a] for a in raw.args)
            width = None if raw.op in ELEMENTWISE else self.widths.name(raw.width)
            moved.append(builder.add(raw.op, args, raw.attr, width, names.get(index, "")))
        nodes, kept = prune(builder.nodes, [moved[n] for n in news])
        return Graph(
            name,
            nodes,
            tuple(i._replace(width=self.widths.name(i.width)) for i in self.inputs),
            tuple(self.states),
            tuple(self.map(n, m) for n, m in self.maps.items()),
            tuple(Vector(n, self.width(i), float(self.init.get(n, 0.0))) for n, i in self.vectors.items()),
            tuple(kept[moved[n]] for n in news),
            doc,
        )

    def map(self, name: str, made: Affine) -> Map:
        operands = tuple(self.widths.name(w) for w in made.operands)
        return Map(name, self.widths.name(made.width), operands, made.bias, made.blocked, made.labels)

    def returned(self, results: list[Symbol]) -> list[int]:
        """The nodes of the new states, with the widths of the states."""
        news = [r.index for r in results]
        for state, new in zip(self.states, news, strict=True):
            if self.widths.unify(self.nodes[new].width, state.width):
                continue
            width = self.width(new)
            what = "is one number for all units (a reduction)" if width == SCALAR else f"has width {width}"
            raise CellError(
                self.at_return(
                    f"state {state.name} has width {state.width}, but its new value {what}; combine it with a value of "
                    f'width {state.width}, or declare @cell(width={{"{state.name}": "{width}"}})'
                )
            )
        return news

    def check_effect(self, news: list[int]) -> None:
        alive = live(self.nodes, news)
        used = {n.attr for n, a in zip(self.nodes, alive, strict=True) if a and n.op in ("input", "vector")}
        called = {w.map for n, a in zip(self.nodes, alive, strict=True) if a and n.op == "dot" for w in n.attr.weights}
        for name, made in self.maps.items():
            if name not in called:
                raise CellError(
                    self.located(f"W.{name} has no effect on what is returned: use it or leave it out", made.place)
                )
        for name, index in self.vectors.items():
            if name not in used:
                place = self.nodes[index].place
                raise CellError(
                    self.located(f"W.{name} has no effect on what is returned: use it or leave it out", place)
                )
        for item in self.inputs:
            if item.name not in used:
                raise CellError(
                    self.at_return(f"input {item.name} has no effect on what is returned: use it or leave it out")
                )
        read = {a for n, lives in zip(self.nodes, alive, strict=True) if lives for a in n.args}
        for state, new in zip(self.states, news, strict=True):
            same = self.nodes[new].op == "state" and self.nodes[new].attr == state.name
            if same and new not in read and news.count(new) == 1:
                raise CellError(
                    self.at_return(f"state {state.name} is returned as it was, and nothing reads it: leave it out")
                )

    def names(self, news: list[int]) -> dict[int, str]:
        """Each node's name: its local variable's. Of several values that a variable had, the last keeps the name and
        a few before it get primes; a name of a state belongs to its new value, and a name of an input to the input."""
        new_of = {s.name: n for s, n in zip(self.states, news, strict=True)}
        leaves = {i.name for i in self.inputs} | set(new_of)
        names: dict[int, str] = {}
        for name, values in self.bound.items():
            final = new_of.get(name) if name in leaves else (values[-1] if values else None)
            earlier = [v for v in dict.fromkeys(values) if v != final]
            if final in values:
                names.setdefault(final, name)
            for primes, value in enumerate(earlier[-PRIMES:], 1):
                names.setdefault(value, name + "'" * primes)
        for state, new in new_of.items():
            if self.nodes[new].op not in LEAVES:
                names.setdefault(new, state)
        return names
