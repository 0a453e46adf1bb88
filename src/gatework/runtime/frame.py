"""The slots of a call: every array that machine code touches has a number, and a frame says where each of them lies.

This module alone knows the slots. An array's name says its kind and what it belongs to, "history:c"; most names come
from the plans (see compiler/plan.py). Who fills which in a call:

    the caller        input:x  start:h  weight:f.0  vector:p          read
                      history:h  state:c  saved:12                    written forward, read backward
                      d:h  ct:h  dinput:x  dweight:f.0                gradients; ct begins as that of the last value
                                                                      and ends as that of the start
    `Layout`          units:H  value:7  chunk:9  hoisted:0            what the stages of a step hand to each other
                      packed  scratch  sums  gathered  ones           what the drivers need
                      start:h  d:h                                    the cell's own start, no gradient: unless given
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np

from gatework.backends.llvm.layout import Slot
from gatework.compiler.ir import Graph
from gatework.compiler.params import shapes, size
from gatework.compiler.plan import Access, Plan
from gatework.runtime.lazy import lazy
from gatework.runtime.memory import Memory, Panels, Shared

WORDS = int(Slot.WORDS)
ONE_ROW = 0  # no distance between rows: one serves all


class Slots(dict[str, int]):
    """The numbers of all arrays that some plans of a cell touch, in a fixed order: machine code has them inside."""

    def __init__(self, graph: Graph, plans: Collection[Plan]):
        super().__init__((name, number) for number, name in enumerate(_names(graph, plans)))
        found = [(name, *name.split(":")) for name in self if name.startswith(("value:", "chunk:", "saved:"))]
        nodes = max((plan.nodes for plan in plans), key=len)  # a longer list begins with the shorter one
        self.local = {name: nodes[int(node)].width for name, _, node in found}
        self.packed, self.scratch, self.sums = self["packed"], self["scratch"], self["sums"]
        self.gathered, self.ones = self["gathered"], self["ones"]

    def of(self, access: Access | None) -> int:
        """The array of an access; that of a bias, which is multiplied by nothing, holds a one."""
        return self.ones if access is None else self[access.array]

    def first(self, access: Access | None) -> int:
        """What an access of mode "prev" reads at the first step."""
        return self[access.start] if access is not None and access.mode == "prev" else 0

    def weight(self, key: str) -> int:
        return self[f"weight:{key}"]

    def gradient(self, key: str) -> int:
        return self[f"dweight:{key}"]


def hoisted(number: int) -> str:
    """The array of products that were taken out of the loop over steps."""
    return f"hoisted:{number}"


def _names(graph: Graph, plans: Collection[Plan]) -> list[str]:
    arrays: set[str] = set()
    for plan in plans:
        arrays |= set(plan.widths) | {a.array for a in plan.homes.values()}
        arrays |= {a.array for g in plan.gradients for a in (g.ct, g.operand) if a}
    names = [*sorted(arrays), *(f"start:{s.name}" for s in graph.states)]
    for m in graph.maps:
        names += [f"weight:{m.name}.{slot}" for slot in range(len(m.operands))]
        names += [f"weight:{m.name}.bias"] if m.bias else []
    names += [n.replace("weight:", "dweight:") for n in names if n.startswith("weight:")]
    names += [f"dweight:{v.name}" for v in graph.vectors]
    names += [hoisted(i) for i in range(max(len(plan.stages) for plan in plans))]
    return [*names, "packed", "scratch", "sums", "gathered", "ones"]


@dataclass
class Needs:
    """How much working memory a call takes, in elements; `scratch` for each thread."""

    threads: int
    packed: int = 0
    scratch: int = 0
    sums: int = 0
    gathered: int = 0  # in a row of a chunk
    hoisted: dict[str, int] = field(default_factory=dict)
    chunk_rows: int = 0


class Entry(NamedTuple):
    """What a frame holds for a slot: an address, elements between rows, elements between columns."""

    address: int
    row: int
    column: int


def entry(values: np.ndarray, row: int | None = None) -> Entry:
    """An array as a slot's entry; a single row has no distance between rows."""
    item, strides = values.itemsize, values.strides
    between = (strides[0] // item if len(strides) > 1 else ONE_ROW) if row is None else row
    return Entry(values.__array_interface__["data"][0], between, strides[-1] // item if strides else 1)


class Layout:
    """A kernel's arrays for given sizes: every role of an array, by the name it belongs to, has a place in the table of
    slots. What the kernel does not touch is missing, as are weights that are not in `read`. `saved` are the values that
    training keeps for the backward pass, side by side in the rows of one block, unless they are computed again."""

    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        slots: Slots,
        dtype: np.dtype,
        lanes: int,
        saved: Iterable[int],
        backward: Plan | None = None,
        read: Collection[str] | None = None,
    ):
        self.graph, self.sizes, self.slots, self.dtype, self.lanes = graph, sizes, slots, dtype, lanes
        self.shapes = shapes(graph, sizes)
        inputs, states, keys = [i.name for i in graph.inputs], [s.name for s in graph.states], list(self.shapes)
        self.inputs, self.d_inputs = self._places("input", inputs), self._places("dinput", inputs)
        self.starts, self.histories = self._places("start", states), self._places("history", states)
        self.carried = self._places("state", states)  # states without a history: begin as the start, end as the last
        self.d_histories, self.cotangents = self._places("d", states), self._places("ct", states)
        read = keys if read is None else [key for key in keys if key in read]
        self.weights, self.vectors = self._places("weight", read), self._places("vector", keys)
        plan = backward or Plan((), [], {}, {})
        self.d_weights = self._places("dweight", dict.fromkeys(g.key for g in plan.gradients))
        self.sunk = {p.stores[0].access.name for p in plan.products}  # inputs whose gradient is made after the loop
        self.packed = WORDS * slots.packed
        self.saved: list[tuple[int, int]] = []  # (place, bytes from the beginning of a row of the block)
        self.saved_width = 0
        self._lay_saved(saved)
        self.keeps = bool(self.saved) and backward is None  # does the kernel write what the backward pass reads?

    def _places(self, kind: str, names: Iterable[str]) -> dict[str, int]:
        """The word of a table at which the address of each array stands."""
        return {n: WORDS * self.slots[f"{kind}:{n}"] for n in names if f"{kind}:{n}" in self.slots}

    def _lay_saved(self, saved: Iterable[int]) -> None:
        for node in saved:
            for place in self._places("saved", [str(node)]).values():
                self.saved.append((place, self.saved_width * self.dtype.itemsize))
            self.saved_width += self.width(self.graph.nodes[node].width)

    def width(self, symbol: str) -> int:
        return size(self.sizes, symbol)

    @lazy
    def contiguous(self) -> list[tuple[int, int]]:
        """Places of the caller's arrays, and elements between their rows, if these follow one another."""
        found: list[tuple[int | None, int]] = [(place, self.saved_width) for place, _ in self.saved]
        for spec in self.graph.inputs:
            width = self.width(spec.width)
            found += [(self.inputs.get(spec.name), ONE_ROW if spec.per == "call" else width)]
            found += [(self.d_inputs.get(spec.name), width)]
        for state in self.graph.states:
            roles = (self.starts, self.histories, self.carried, self.d_histories, self.cotangents)
            found += [(role.get(state.name), self.width(state.width)) for role in roles]
        for key, shape in self.shapes.items():
            row = shape[-1] if len(shape) > 1 else 1
            found += [(self.vectors.get(key), ONE_ROW), (self.weights.get(key), row), (self.d_weights.get(key), row)]
        return [(place, row) for place, row in found if place is not None]

    def fixed(self, needs: Needs, memory: Memory, batch: int, rows: int) -> array[int]:
        """A table with all that stays from call to call, for `rows` rows of all steps together, `batch` of the first:
        working memory, constants, the starts that the cell gives itself. Valid while `memory.version` stays."""
        sizes = list(self._sizes(needs, batch, rows))
        for name, elements, _ in sizes:
            memory.buffer(name, elements)  # which may grow, and move
        key = (self, *((name, row) for name, _, row in sizes))
        version, table = memory.tables.get(key, (None, None))
        if table is None or version != memory.version:
            table = self._table(sizes, memory)
            memory.tables[key] = memory.version, table
        return table[:]

    def _table(self, sizes: Iterable[tuple[str, int, int]], memory: Memory) -> array[int]:
        """A table as the rows of these buffers lie, however many there are."""
        table = array("q", bytes(8 * WORDS * len(self.slots)))
        buffers = [(name, entry(memory.buffers[name], row)) for name, _, row in sizes]
        for name, values in (*buffers, *self._constants(memory)):
            at = WORDS * self.slots[name]
            table[at], table[at + 1], table[at + 2] = values
        return table

    def _sizes(self, needs: Needs, batch: int, rows: int) -> Iterator[tuple[str, int, int]]:
        """Working memory: name, elements, and elements between its rows."""
        yield "scratch", needs.scratch * needs.threads, ONE_ROW
        yield "sums", needs.sums, ONE_ROW
        # A row ends in a spare vector: no power of two lies between rows, and whole vectors can be read.
        stride = needs.gathered + self.lanes
        yield "gathered", stride * needs.chunk_rows if needs.gathered else 0, stride
        for name, width in needs.hoisted.items():
            yield name, width * rows, width
        for name, symbol in self.slots.local.items():
            kind = name.partition(":")[0]
            if kind == "saved" and self.saved:
                continue
            stride = -(-self.width(symbol) // self.lanes) * self.lanes + self.lanes
            count = batch if kind == "value" else needs.chunk_rows
            yield name, stride * max(count, 1), stride

    def _constants(self, memory: Memory) -> Iterator[tuple[str, Entry]]:
        yield "ones", entry(memory.constant(1.0, (1,)), ONE_ROW)
        for state in self.graph.states:
            for kind, value in (("start", state.start), ("d", 0.0)):
                if f"{kind}:{state.name}" in self.slots:
                    values = memory.constant(value, (1, self.width(state.width)))
                    yield f"{kind}:{state.name}", entry(values, ONE_ROW)
        for name in self.slots:
            if name.startswith("units:"):
                yield name, entry(memory.constant(self.width(name.partition(":")[2]), (1,)), ONE_ROW)


class Frame(ABC):
    """The table of slots of one prepared call: store addresses at the places that `layout` names, then run. Arrays are
    contiguous unless `lay` says otherwise.

    Nothing is checked: what lies behind an address must be of the program's type and of the shape that
    `Program.forward` asks for. Hold `shared.lock` from the first address that is stored to the end of `run`.
    """

    shared: Shared  # ask for its lock anew each time: a forked child has another
    panels: Panels  # one object for all calls that pack the weights in the same way
    packed_size: int  # in elements
    differ: Callable[[int], object]  # compares arrays: see backends/llvm/drivers.py for its table
    nbytes: int

    def __init__(self, layout: Layout, table: array[int]):
        self.layout, self.table = layout, table
        for place, row in layout.contiguous:
            table[place + 1], table[place + 2] = row, 1

    @abstractmethod
    def run(self, packed: bool = False) -> bool:
        """Run; `packed`: the panels that the table names hold the weights already. False, and nothing has run, if
        threads were missing: make a frame for one thread."""

    def put(self, place: int | None, values: Entry) -> None:
        if place is not None:
            self.table[place], self.table[place + 1], self.table[place + 2] = values

    def lay(self, place: int | None, row: int, column: int = 1) -> None:
        """Elements between the rows, and between the columns, of an array."""
        if place is not None:
            self.table[place + 1], self.table[place + 2] = row, column


class Pair(Protocol):
    """Two calls of one thread each, in memory of their own, that two threads run at the same time. Both have the same
    `shared`."""

    @property
    def calls(self) -> Sequence[Frame]: ...

    def run(self) -> bool:
        """As `Frame.run`, of both."""
        ...
