"""From a graph to stages: what is computed together, where every value lives, what is saved and what computed again.

A step runs as a list of *stages*. One stage makes, for one width of units, all products whose operands are ready, and
then the elementwise work that follows, on accumulators that never leave the core. A product of a value that was only
just computed needs that value for *all* units, so it starts a new stage; so does a reduction over units.

    Access         where a value can be read: an array and how its rows are found
    Term           one product, added to a column of a stage
    Store          a value written to an array
    Stage          terms by column, elementwise body, stores        (or reductions over units, `rows=True`)
    Accumulation   a weight gradient: products summed over all rows
    Plan           stages in order, arrays, products that may leave the loop, gradients to accumulate

How rows of an array are found at step s, for row r of the batch ("mode"):

    "cur"    offsets[s] + r                     a sequence
    "local"  the same, in a buffer of one chunk of steps
    "prev"   offsets[s-1] + r, at s = 0 the start array's row r
    "row"    r: one row for each sequence
    "one"    one row shared by all
    "call"   one number

An array's name is its kind and what it belongs to: "history:c". The runtime gives each a number (runtime/frame.py).

    input vector           what a step reads: an input, a parameter that is a vector
    history state          a state at all steps, or one carried from step to step in place
    start                  a state before the first step
    saved value chunk      nodes: kept by training for the backward pass, handed from stage to stage, kept for a chunk
    units                  how many units a width has
    ct d dinput            gradients: of a state as it runs backward, of a history, of an input
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gatework.compiler.ir import SCALAR, Backward, Graph, Node, Weight
from gatework.compiler.ops import ELEMENTWISE, REDUCTIONS

COST = {"sigmoid": 8, "tanh": 8, "exp": 8, "log": 12, "log1p": 12, "sqrt": 4, "div": 3}
RECOMPUTE_ELEMENTWISE = 8
RECOMPUTE_IN_STAGE = 4


class Access(NamedTuple):
    array: str
    mode: str

    @property
    def kind(self) -> str:
        return self.array.partition(":")[0]

    @property
    def name(self) -> str:
        """What the array belongs to: an input, a state, a parameter, a node."""
        return self.array.partition(":")[2]

    @property
    def start(self) -> str:
        """The array that holds a state before the first step."""
        return f"start:{self.name}"


class Term(NamedTuple):
    """One product: column `column` of the stage gains weight . operand."""

    operand: int
    weight: Weight
    column: int


class Store(NamedTuple):
    """Write a node to an array; `add` adds to what is there (gradients of what a whole sequence shares)."""

    node: int
    access: Access
    add: bool = False


@dataclass
class Stage:
    """Work on units of one width, or (`rows`) reductions over units, for all rows of a step."""

    width: str
    rows: bool = False
    dots: list[int] = field(default_factory=list)
    terms: list[Term] = field(default_factory=list)
    body: list[int] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)


class Accumulation(NamedTuple):
    """dWeight += ct (outer) operand, or (operand None) a sum of ct over rows; `key` names the parameter."""

    key: str
    ct: Access
    ct_width: str
    operand: Access | None
    operand_width: str


@dataclass
class Plan:
    """What a backend prints and a runtime feeds."""

    nodes: tuple[Node, ...]
    stages: list[Stage]
    homes: dict[int, Access]
    widths: dict[str, str]
    products: list[Stage] = field(default_factory=list)
    gradients: list[Accumulation] = field(default_factory=list)
    saved: tuple[int, ...] = ()
    chunks: dict[int, Access] = field(default_factory=dict)  # for products, where a home holds one step alone


def plan_forward(graph: Graph, train: bool, saved: tuple[int, ...] = ()) -> Plan:
    """Stages of a forward step. In training every state's history is kept, and `saved` nodes for the backward step;
    otherwise states that only elementwise work reads are updated in place."""
    places = Placement(graph.nodes, leaf_homes(graph))
    stores = [Store(n, Access(f"saved:{n}", "cur")) for n in saved]
    states = [Store(n, Access(f"history:{s.name}", "cur")) for s, n in zip(graph.states, graph.news, strict=True)]
    plan = places.finish(stores + states)
    if not train:
        _states_in_place(graph, plan)
    plan.saved = saved
    return plan


def plan_replay(graph: Graph, saved: tuple[int, ...]) -> Plan:
    """Stages that compute the saved values of a chunk of steps again, from the histories of the states."""
    plan = Placement(graph.nodes, leaf_homes(graph)).finish([Store(n, Access(f"saved:{n}", "local")) for n in saved])
    plan.saved = saved
    return plan


def choose_saved(backward: Backward) -> tuple[int, ...]:
    """Which forward values to keep for the backward step: those it reads that are dear to compute again."""
    graph = backward.forward
    count = len(graph.nodes)
    known = {i for i, n in enumerate(graph.nodes) if n.op in LEAF_OPS} | set(graph.news)
    roots = {a for n in backward.nodes[count:] for a in n.args if a < count}
    roots |= {o.operand for o in backward.outers if o.operand < count}
    roots |= {n for n in (*backward.d_states, *backward.d_inputs) if n is not None and n < count}
    saved: list[int] = []
    cost: list[float] = []
    for index, node in enumerate(graph.nodes):
        cost.append(0 if index in known else _cost(node, cost))
        if index in roots and cost[index] > RECOMPUTE_ELEMENTWISE:
            saved.append(index)
            cost[index] = 0
    return tuple(saved)


def _cost(node: Node, cost: list[float]) -> float:
    """Cost of computing a node, from that of the nodes before it; a product or a reduction is out of reach."""
    if node.op == "dot" or node.op in REDUCTIONS:
        return float("inf")
    return COST.get(node.op, 1) + sum(cost[a] for a in node.args)


LEAF_OPS = ("input", "state", "vector", "const", "units", "ct")


def leaf_homes(graph: Graph) -> dict[int, Access]:
    """Where the leaves of a forward graph are read."""
    homes: dict[int, Access] = {}
    for i, node in enumerate(graph.nodes):
        if node.op == "input":
            mode = {"step": "cur", "sequence": "row", "call": "call"}[graph.input(node.attr).per]
            homes[i] = Access(f"input:{node.attr}", mode)
        elif node.op == "state":
            homes[i] = Access(f"history:{node.attr}", "prev")
        elif node.op == "vector":
            homes[i] = Access(f"vector:{node.attr}", "one")
        elif node.op == "units":
            homes[i] = Access(f"units:{node.attr}", "call")
    return homes


class Placement:
    """Gives every node that is wanted a stage: what is stored as early as its operands are complete, all else as late
    as its first reader allows, so that little lies in memory between stages."""

    def __init__(self, nodes: tuple[Node, ...], homes: dict[int, Access]):
        self.nodes, self.homes = nodes, dict(homes)
        self.free = {i for i, n in enumerate(nodes) if n.op == "const"}
        self.early: list[int] = []
        self.cost: list[float] = []  # of computing a node again where it is read
        for index, node in enumerate(nodes):
            self.early.append(self._earliest(index))
            self.cost.append(0 if index in self.homes or index in self.free else _cost(node, self.cost))

    def _earliest(self, index: int) -> int:
        """The first level at which a node can be computed."""
        if index in self.homes or index in self.free:
            return 0
        args = self.nodes[index].args
        if self.whole(index):
            return max((0 if a in self.homes else self.early[a] + 1 for a in args), default=0)
        return max((self.early[a] for a in args), default=0)

    def whole(self, index: int) -> bool:
        """Does this node need its operands for all units?"""
        node = self.nodes[index]
        return index not in self.homes and (node.op == "dot" or node.op in REDUCTIONS)

    # ---- placing
    def finish(self, stores: list[Store], late: tuple[str, ...] = ()) -> Plan:
        last = self._latest_levels(stores)
        plan = Plan(self.nodes, [], dict(self.homes), {})
        self._spill(plan, stores, last)
        self._make_stages(plan, stores, last, late)
        return plan

    def _latest_levels(self, stores: list[Store]) -> dict[int, int]:
        """The stage level of each wanted node; whole-operand readers need theirs one level earlier."""
        late = {s.node: self.early[s.node] for s in stores}
        self.stored = {s.node for s in stores}
        for index in range(len(self.nodes) - 1, -1, -1):
            if index not in late or index in self.homes or index in self.free:
                continue
            before = 1 if self.whole(index) else 0
            for arg in self.nodes[index].args:
                limit = late[index] - before
                late[arg] = min(late.get(arg, limit), limit)
                if before and arg not in self.homes:
                    self.stored.add(arg)
        return late

    def _spill(self, plan: Plan, stores: list[Store], late: dict[int, int]) -> None:
        """Values that a later stage reads get a buffer, unless they are cheap to compute again there."""
        self.extra: list[Store] = []
        # A node's first store is its home: a chunk's buffer, not a running gradient that the next step overwrites.
        stored = {s.node: s.access for s in reversed(stores) if not s.add and s.node not in self.homes}
        readers = self._later_readers(late)
        for index in sorted(late):
            if index in self.homes or index in self.free:
                continue
            # One number a row (a reduction, a product of width 1) is made in a stage of its own and read by wider ones;
            # what elementwise work makes of it, each of them computes again.
            scalar = self.nodes[index].width == SCALAR
            shared = index in self.stored or (scalar and self.nodes[index].op == "dot")
            if self.nodes[index].op in REDUCTIONS or (shared and index not in stored):
                self._give_buffer(plan, index)
            elif index in stored:
                plan.homes[index] = stored[index]
            elif index in readers and not scalar and self.cost[index] > RECOMPUTE_IN_STAGE:
                self._give_buffer(plan, index)

    def _give_buffer(self, plan: Plan, index: int) -> None:
        access = Access(f"value:{index}", "row")
        plan.homes[index] = access
        self.extra.append(Store(index, access))

    def _later_readers(self, late: dict[int, int]) -> set[int]:
        """Nodes that an elementwise node of a later level reads."""
        found = set()
        for index in late:
            if index not in self.homes and self.nodes[index].op in ELEMENTWISE:
                found |= {a for a in self.nodes[index].args if late.get(a, late[index]) < late[index]}
        return found

    # ---- stages
    def _make_stages(self, plan: Plan, stores: list[Store], late: dict[int, int], held: tuple[str, ...]) -> None:
        table: dict[tuple[int, bool, str], Stage] = {}

        def stage_of(level: int, rows: bool, width: str) -> Stage:
            return table.setdefault((level, rows, width), Stage(width, rows))

        for index in sorted(late):
            if index in self.homes or not self.whole(index):
                continue
            node = self.nodes[index]
            if node.op == "dot":
                stage_of(late[index], False, node.width).dots.append(index)
            else:
                stage_of(late[index], True, self.nodes[node.args[0]].width).body.append(index)
        for store in [*self.extra, *stores]:
            node = self.nodes[store.node]
            if node.op in REDUCTIONS and store.node not in self.homes and store in self.extra:
                stage_of(late[store.node], True, self.nodes[node.args[0]].width).stores.append(store)
                continue
            stage_of(late[store.node], False, node.width).stores.append(store)
        order = sorted(table, key=lambda k: (k[0], not k[1], k[2]))
        plan.stages = [table[k] for k in order]
        self._fill(plan)
        _move_late_stores(plan, held)
        self._fill(plan)
        _describe_arrays(plan)

    def _fill(self, plan: Plan) -> None:
        """The elementwise body of each stage, from its stores down, and the terms of its products."""
        done: set[int] = set()
        for stage in plan.stages:
            if stage.rows:
                done |= set(stage.body)
                continue
            wanted: set[int] = set()
            for store in stage.stores:
                self._collect(store.node, stage, plan, done, wanted)
            stage.body = sorted(wanted)
            _order_columns(stage, self.nodes)
            done |= {s.node for s in stage.stores}

    def _collect(self, index: int, stage: Stage, plan: Plan, done: set[int], wanted: set[int]) -> None:
        """Add what must be computed here for node `index`: not what an array holds, a constant, or a product of this
        stage."""
        left = [index]
        while left:
            index = left.pop()
            if index in wanted or index in self.homes or index in self.free or index in stage.dots:
                continue
            if index in plan.homes and index in done:
                continue
            assert self.nodes[index].op in ELEMENTWISE, f"{self.nodes[index]} was not ready in its stage"
            wanted.add(index)
            left += self.nodes[index].args


def _order_columns(stage: Stage, nodes: tuple[Node, ...]) -> None:
    """Inputs before states, so that their products may leave the loop; columns so that each operand's lie together."""
    operands = list(dict.fromkeys(a for dot in stage.dots for a in nodes[dot].args))
    operands.sort(key=lambda a: (nodes[a].op != "input", a))
    place = {a: i for i, a in enumerate(operands)}
    stage.dots.sort(key=lambda d: sum(place[a] for a in nodes[d].args) / len(nodes[d].args))
    stage.terms = [
        Term(operand, weight, column)
        for operand in operands
        for column, dot in enumerate(stage.dots)
        for weight, a in zip(nodes[dot].attr.weights, nodes[dot].args, strict=True)
        if a == operand
    ]


def loads_of(stage: Stage, plan: Plan) -> list[int]:
    """Nodes that a stage reads from arrays, in order."""
    if stage.rows:
        return sorted({plan.nodes[i].args[0] for i in stage.body})
    inside = set(stage.body) | set(stage.dots)
    read = {a for i in stage.body for a in plan.nodes[i].args} | {s.node for s in stage.stores}
    return sorted(i for i in read - inside if i in plan.homes)


def _move_late_stores(plan: Plan, held: tuple[str, ...]) -> None:
    """A store that would overwrite what a later stage still reads waits for that stage (its value stays at hand: it is
    computed again, or read from its buffer)."""
    for array in held:
        readers = [
            i for i, stage in enumerate(plan.stages) if any(plan.homes[n].array == array for n in _reads(stage, plan))
        ]
        if not readers:
            continue
        for i, stage in enumerate(plan.stages[: readers[-1]]):
            for store in [s for s in stage.stores if s.access.array == array]:
                stage.stores.remove(store)
                _store_last(plan, i, readers[-1], store)


def _reads(stage: Stage, plan: Plan) -> set[int]:
    return set(loads_of(stage, plan)) | {t.operand for t in stage.terms if t.operand in plan.homes}


def _store_last(plan: Plan, made: int, reader: int, store: Store) -> None:
    """Keep the value in a buffer where it is made; copy it after the last reader."""
    if plan.homes.get(store.node, store.access) == store.access:
        buffer = Access(f"value:{store.node}", "row")
        plan.homes[store.node] = buffer
        plan.stages[made].stores.append(Store(store.node, buffer))
    target = plan.stages[reader]
    width = plan.nodes[store.node].width
    if target.rows or target.width != width:
        target = Stage(width)
        plan.stages.insert(reader + 1, target)
    target.stores.append(store)


def _states_in_place(graph: Graph, plan: Plan) -> None:
    """States other than the output that no product or reduction reads, and no stage after their store, need no
    history."""
    for state, new in list(zip(graph.states, graph.news, strict=True))[1:]:
        name, array = f"history:{state.name}", f"state:{state.name}"
        storing = [i for i, s in enumerate(plan.stages) for t in s.stores if t.access.array == name]
        reading = [i for i, s in enumerate(plan.stages) for n in loads_of(s, plan) if plan.homes[n].array == name]
        whole = any(plan.homes.get(t.operand, Access("", "")).array == name for s in plan.stages for t in s.terms)
        rows = any(s.rows and plan.homes[n].array == name for s in plan.stages for n in loads_of(s, plan))
        if whole or rows or max(reading, default=0) > min(storing) or _aliased(graph, plan, state.name, new):
            continue
        plan.homes = {n: Access(array, "row") if a.array == name else a for n, a in plan.homes.items()}
        for stage in plan.stages:
            stage.stores = [
                t._replace(access=Access(array, "row")) if t.access.array == name else t for t in stage.stores
            ]
        plan.widths[array] = plan.widths.pop(name)


def _aliased(graph: Graph, plan: Plan, name: str, new: int) -> bool:
    """Is the old value also another state's new value? Then it must survive its own overwriting."""
    old = {i for i, n in enumerate(graph.nodes) if n.op == "state" and n.attr == name}
    return any(n in old for n in graph.news) or graph.news.count(new) > 1


def _describe_arrays(plan: Plan) -> None:
    for stage in plan.stages:
        for node in _reads(stage, plan):
            plan.widths[plan.homes[node].array] = plan.nodes[node].width
        for store in stage.stores:
            plan.widths[store.access.array] = plan.nodes[store.node].width
