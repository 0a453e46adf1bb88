"""A cell's own machine code: the elementwise part of each stage, and its reductions over units.

for each row of the tile:
    for each vector of units of the chunk:
        load what the stage reads, take the products from `acc`, compute the body, store
"""

from __future__ import annotations

from gatework.compiler.ops import REDUCTIONS
from gatework.compiler.plan import Access, Plan, Stage, Store, loads_of

from .emit import Function, Value
from .isa import Isa
from .layout import EPILOGUE_ARGUMENTS, Slot
from .mathlib import Math


def epilogue(stage: Stage, plan: Plan, slots: dict[str, int], name: str, isa: Isa, scalar: str) -> Function:
    """The function that a driver calls with each tile of the stage (or, for reductions, with each block of rows)."""
    f = Function(name, EPILOGUE_ARGUMENTS, isa, scalar)
    arrays = _Arrays(f, slots)
    if stage.rows:
        _reductions(f, stage, plan, arrays)
    else:
        _elementwise(f, stage, plan, arrays)
    f.ret()
    return f


class _Arrays:
    """Base addresses of the arrays of a stage, at the tile's first row; read before the loops, once each."""

    def __init__(self, f: Function, slots: dict[str, int]):
        self.f, self.slots = f, slots
        self.known: dict[Access, tuple[Value, Value]] = {}
        self.later: dict[Access, Value] = {}

    def open(self, access: Access) -> None:
        if access not in self.known:
            base, stride = self.known[access] = self._base(access)
            if access.mode in ("cur", "local"):
                on = self.f.add(self.f.mul("%rows_on", stride), "%units_on")
                self.later[access] = self.f.at(base, on)

    def _base(self, access: Access) -> tuple[Value, Value]:
        f = self.f
        if access.mode == "prev":
            first = f.op("icmp ne i64 %first, 0")
            index = f.choose(first, self.slots[access.start], self.slots[access.array])
            row = f.choose(first, "%r0", f.add("%prev", "%r0"))
            return self._row(index, row)
        if access.mode in ("one", "call"):
            return self._row(self.slots[access.array], 0)[0], 0
        row: Value = "%r0"
        if access.mode in ("cur", "local"):
            row = f.add("%cur", row)
        if access.mode == "local":
            row = f.sub(row, "%base")
        return self._row(self.slots[access.array], row)

    def _row(self, index: Value, row: Value) -> tuple[Value, Value]:
        f = self.f
        slot = f.at("%slots", f.mul(index, int(Slot.WORDS)), "i64")
        pointer, stride = f.field(slot, Slot.pointer, "ptr"), f.field(slot, Slot.row)
        return f.at(pointer, f.mul(row, stride)), stride

    def address(self, access: Access, row: Value, unit: Value) -> Value:
        base, stride = self.known[access]
        return self.f.at(base, self.f.add(self.f.mul(row, stride), unit))

    def fetch(self, row: Value, unit: Value, written: set[Access]) -> None:
        """Ask for what the next call reads and writes of arrays with a row for each step (see ahead.py)."""
        for access, base in self.later.items():
            address = self.f.at(base, self.f.add(self.f.mul(row, self.known[access][1]), unit))
            self.f.fetch(address, write=access in written)


# ---- elementwise


def _elementwise(f: Function, stage: Stage, plan: Plan, arrays: _Arrays) -> None:
    for node in loads_of(stage, plan):
        arrays.open(plan.homes[node])
    for store in stage.stores:
        arrays.open(store.access)
    width = f.mul("%chunk", max(len(stage.dots), 1))
    with f.loop(0, "%n") as r:
        acc = f.at("%acc", f.mul(r, width))
        if f.isa.masks:
            with f.loop("%u0", "%u1", f.lanes) as u:
                _units(f, stage, plan, arrays, (r, u, acc), f.lane_mask(u, "%u1"))
        else:
            _with_and_without_mask(f, stage, plan, arrays, (r, acc))


def _with_and_without_mask(f: Function, stage: Stage, plan: Plan, arrays: _Arrays, at: tuple[Value, Value]) -> None:
    """Where masks are slow: whole vectors first, then what is left."""
    r, acc = at
    whole = f.mul(f.op(f"sdiv i64 {f.sub('%u1', '%u0')}, {f.lanes}"), f.lanes)
    end = f.add("%u0", whole)
    with f.loop("%u0", end, f.lanes) as u:
        _units(f, stage, plan, arrays, (r, u, acc), None)
    with f.when(f.cmp("slt", end, "%u1")):
        _units(f, stage, plan, arrays, (r, end, acc), f.lane_mask(end, "%u1"))


def _units(
    f: Function, stage: Stage, plan: Plan, arrays: _Arrays, at: tuple[Value, Value, Value], mask: str | None
) -> None:
    """One vector of units of one row."""
    row, unit, acc = at
    math = Math(f)
    values: dict[int, str] = {}
    for node in loads_of(stage, plan):
        values[node] = _load(f, plan, arrays, node, row, unit, mask)
    arrays.fetch(row, unit, {store.access for store in stage.stores})
    inside = f.sub(unit, "%u0")
    for column, dot in enumerate(stage.dots):
        values[dot] = f.load_vector(f.at(acc, f.add(f.mul("%chunk", column), inside)))
    for index in stage.body:
        node = plan.nodes[index]
        values[index] = getattr(math, node.op)(*(_value(math, plan, values, a) for a in node.args))
    for store in stage.stores:
        _store(f, plan, arrays, store, _value(math, plan, values, store.node), row, unit, mask)


def _value(math: Math, plan: Plan, values: dict[int, str], index: int) -> str:
    node = plan.nodes[index]
    return math.const(node.attr) if node.op == "const" else values[index]


def _load(f: Function, plan: Plan, arrays: _Arrays, node: int, row: Value, unit: Value, mask: str | None) -> str:
    access = plan.homes[node]
    if plan.nodes[node].width == "1":
        return f.splat(f.load(f.scalar, arrays.address(access, row, 0)))
    return f.load_masked(arrays.address(access, row, unit), mask)


def _store(
    f: Function, plan: Plan, arrays: _Arrays, store: Store, value: str, row: Value, unit: Value, mask: str | None
) -> None:
    address = arrays.address(store.access, row, unit)
    if store.add:
        value = f.op(f"fadd {f.vector} {f.load_masked(address, mask)}, {value}")
    f.store_masked(value, address, mask)


# ---- reductions over units


def _reductions(f: Function, stage: Stage, plan: Plan, arrays: _Arrays) -> None:
    for node in loads_of(stage, plan):
        arrays.open(plan.homes[node])
    for store in stage.stores:
        arrays.open(store.access)
    with f.loop(0, "%n") as r:
        means: dict[int, str] = {}
        for index in sorted(stage.body, key=lambda i: plan.nodes[i].op):
            node = plan.nodes[index]
            assert node.op in REDUCTIONS
            value = _reduce(f, plan, arrays, node.op, node.args[0], r, means)
            for store in (s for s in stage.stores if s.node == index):
                f.store(f.scalar, value, arrays.address(store.access, r, 0))


def _reduce(f: Function, plan: Plan, arrays: _Arrays, op: str, arg: int, row: Value, means: dict[int, str]) -> str:
    """One number from a row. Lanes add up separately, vector after vector, and then in a fixed tree."""
    count = f.op(f"sitofp i64 %u1 to {f.scalar}")
    if op == "max":
        return _tree(f, _over_units(f, plan, arrays, arg, row, "max", None), "max")
    if op == "sum":
        return _tree(f, _over_units(f, plan, arrays, arg, row, "sum", None), "sum")
    if arg not in means:
        total = _tree(f, _over_units(f, plan, arrays, arg, row, "sum", None), "sum")
        means[arg] = f.op(f"fdiv {f.scalar} {total}, {count}")
    if op == "mean":
        return means[arg]
    squares = _tree(f, _over_units(f, plan, arrays, arg, row, "var", f.splat(means[arg])), "sum")
    return f.op(f"fdiv {f.scalar} {squares}, {count}")


def _over_units(f: Function, plan: Plan, arrays: _Arrays, arg: int, row: Value, how: str, mean: str | None) -> str:
    math = Math(f)
    start = math.const(float("-inf") if how == "max" else 0.0)
    total = f.alloca(f.vector)
    f.store(f.vector, start, total)
    with f.loop(0, "%u1", f.lanes) as u:
        mask = f.lane_mask(u, "%u1")
        x = f.load_masked(arrays.address(plan.homes[arg], row, u), mask)
        so_far = f.load(f.vector, total)
        if mean is not None:
            x = math.sub(x, mean)
            x = math.mul(x, x)
        grown = math.maximum(so_far, x) if how == "max" else math.add(so_far, x)
        f.store(f.vector, f.op(f"select {f.mask} {mask}, {f.vector} {grown}, {f.vector} {so_far}"), total)
    return f.load(f.vector, total)


def _tree(f: Function, vector: str, how: str) -> str:
    """Fold the upper half of the lanes onto the lower until one is left."""
    lanes = f.lanes
    while lanes > 1:
        lanes //= 2
        upper = ", ".join(f"i32 {i + lanes if i < lanes else i}" for i in range(f.lanes))
        other = f.op(f"shufflevector {f.vector} {vector}, {f.vector} poison, <{f.lanes} x i32> <{upper}>")
        vector = Math(f).maximum(vector, other) if how == "max" else Math(f).add(vector, other)
    return f.op(f"extractelement {f.vector} {vector}, i64 0")
