"""The plan of a backward step: cotangents through the stages, and what big products make of a chunk of steps."""

from __future__ import annotations

from collections import defaultdict

from gatework.compiler.ir import SCALAR, Backward, Builder
from gatework.compiler.plan import Access, Accumulation, Placement, Plan, Stage, Store, Term, leaf_homes


def plan_backward(backward: Backward, saved: tuple[int, ...], local: bool = False) -> Plan:
    """Stages of a backward step; saved values are read from whole-sequence arrays or (`local`) from a chunk's."""
    backward = _split_cotangents(backward)
    graph = backward.forward
    homes = leaf_homes(graph)
    homes |= {
        n: Access(f"history:{s.name}", "cur") for s, n in zip(graph.states, graph.news, strict=True) if n not in homes
    }
    homes |= {n: Access(f"saved:{n}", "local" if local else "cur") for n in saved if n not in homes}
    for i, node in enumerate(backward.nodes):
        if node.op in ("ct", "d"):
            homes[i] = Access(f"{node.op}:{node.attr}", "row" if node.op == "ct" else "cur")
        elif node.op == "units":
            homes[i] = Access(f"units:{node.attr}", "call")
    places = Placement(backward.nodes, homes)
    sunk, stores = _input_gradients(backward, places)
    stores += _wanted_operands(backward, places, sunk)
    stores += _state_gradients(backward)
    plan = places.finish(stores, late=tuple(f"ct:{s.name}" for s in graph.states))
    plan.products = [_product(plan, node, target) for node, target in sunk]
    operands = {term.operand for product in plan.products for term in product.terms}
    plan.chunks = {a: _chunk_access(plan, a) for a in operands if _chunk_access(plan, a) != plan.homes[a]}
    plan.gradients = _accumulations(backward, plan)
    plan.saved = saved
    return plan


def _split_cotangents(backward: Backward) -> Backward:
    """What reaches a new state is what the next step sends (kept in "ct") plus what the loss puts on this step
    ("d")."""
    builder = Builder()
    moved: list[int] = []
    for node in backward.nodes:
        index = builder.add(node.op, tuple(moved[a] for a in node.args), node.attr, node.width, node.name)
        if node.op == "ct":
            index = builder.add("add", (index, builder.add("d", (), node.attr, node.width)))
        moved.append(index)

    def new(index: int | None) -> int | None:
        return None if index is None else moved[index]

    d_states = [
        builder.add("const", (), 0.0, s.width) if d is None else moved[d]
        for s, d in zip(backward.forward.states, backward.d_states, strict=True)
    ]
    return Backward(
        backward.forward,
        tuple(builder.nodes),
        tuple(d_states),
        tuple(new(i) for i in backward.d_inputs),
        tuple(o._replace(ct=moved[o.ct], operand=moved[o.operand]) for o in backward.outers),
        tuple((name, moved[i]) for name, i in backward.biases),
        tuple((name, moved[i]) for name, i in backward.vectors),
    )


def _input_gradients(backward: Backward, places: Placement) -> tuple[list[tuple[int, str]], list[Store]]:
    """Gradients of inputs: pure products are left for after the loop, the rest is stored by the step."""
    uses: dict[int, int] = defaultdict(int)
    for node in backward.nodes:
        for arg in node.args:
            uses[arg] += 1
    for node in (*backward.d_states, *(i for _, i in backward.vectors), *(i for _, i in backward.biases)):
        uses[node if node is not None else -1] += 1
    sunk, stores = [], []
    for spec, node in zip(backward.forward.inputs, backward.d_inputs, strict=True):
        if node is None:
            continue
        if spec.per == "step" and backward.nodes[node].op == "dot" and not uses[node] and node not in places.homes:
            sunk.append((node, f"dinput:{spec.name}"))
        else:
            per_step = spec.per == "step"
            stores.append(Store(node, Access(f"dinput:{spec.name}", "cur" if per_step else "row"), add=not per_step))
    return sunk, stores


def _wanted_operands(backward: Backward, places: Placement, sunk: list[tuple[int, str]]) -> list[Store]:
    """What the big products after a chunk of steps read, and no array holds yet, goes into buffers of the chunk."""
    wanted = [i for o in backward.outers for i in (o.ct, o.operand)]
    wanted += [i for _, i in (*backward.biases, *backward.vectors)]
    wanted += [a for node, _ in sunk for a in backward.nodes[node].args]
    return [Store(i, Access(f"chunk:{i}", "local")) for i in dict.fromkeys(wanted) if i not in places.homes]


def _state_gradients(backward: Backward) -> list[Store]:
    stores = []
    for state, node in zip(backward.forward.states, backward.d_states, strict=True):
        if node is not None:
            stores.append(Store(node, Access(f"ct:{state.name}", "row")))
    return stores


def _chunk_access(plan: Plan, node: int) -> Access:
    """Where the products after a chunk read a node: its chunk buffer if it has one."""
    for stage in plan.stages:
        for store in stage.stores:
            if store.node == node and store.access.mode == "local":
                return store.access
    return plan.homes[node]


def _product(plan: Plan, node: int, target: str) -> Stage:
    """A stage for all rows of a chunk at once: an input's gradient, from what the steps left in the chunk's buffers."""
    dot = plan.nodes[node]
    terms = [Term(a, w, 0) for w, a in zip(dot.attr.weights, dot.args, strict=True)]
    plan.widths[target] = dot.width
    return Stage(dot.width, False, [node], terms, [], [Store(node, Access(target, "cur"))])


def _accumulations(backward: Backward, plan: Plan) -> list[Accumulation]:
    nodes = plan.nodes
    found = []
    for outer in backward.outers:
        key = f"{outer.weight.map}.{outer.weight.slot}"
        ct, operand = _chunk_access(plan, outer.ct), _chunk_access(plan, outer.operand)
        widths = nodes[outer.ct].width, nodes[outer.operand].width
        found.append(Accumulation(key, ct, widths[0], operand, widths[1]))
    for key, node in [*((f"{m}.bias", i) for m, i in backward.biases), *backward.vectors]:
        found.append(Accumulation(key, _chunk_access(plan, node), nodes[node].width, None, SCALAR))
    return found
