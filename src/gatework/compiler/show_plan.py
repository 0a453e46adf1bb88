"""A plan as lines of text: what each stage multiplies, computes and stores, and what is left for after the loop."""

from __future__ import annotations

from dataclasses import replace

from gatework.compiler.plan import Access, Accumulation, Plan, Stage


def plan_text(plan: Plan) -> str:
    """One block a stage; `%3` is a node, `history:c[prev]` an array and how its rows are found.

    `plan_text(plan_forward(lstm.graph, train=True))` -> "stage 0 over H\\n  products ..."
    """
    lines: list[str] = []
    for i, stage in enumerate(plan.stages):
        kind = "rows, reduced over" if stage.rows else "over"
        lines += [f"stage {i}: {kind} {stage.width}", *_stage_lines(stage, plan)]
    outside = replace(plan, homes=plan.homes | plan.chunks)
    for stage in plan.products:
        lines += [f"after the loop: over {stage.width}", *_stage_lines(stage, outside)]
    lines += [f"gradient {_gradient(g)}" for g in plan.gradients]
    return "\n".join(lines) + "\n"


def _stage_lines(stage: Stage, plan: Plan) -> list[str]:
    lines = [f"  column {column} = %{dot}" + _bias(plan, dot) for column, dot in enumerate(stage.dots)]
    for operand in dict.fromkeys(t.operand for t in stage.terms):
        terms = [t for t in stage.terms if t.operand == operand]
        parts = [f"{t.weight.map}.{t.weight.slot}{chr(39) * t.weight.transposed} -> {t.column}" for t in terms]
        lines.append(f"  {_access(plan.homes[operand])} times {', '.join(parts)}")
    for index in stage.body:
        node = plan.nodes[index]
        args = ", ".join(_value(plan, stage, a) for a in node.args)
        lines.append(f"  %{index} = {node.op}({args})" + (f"  ({node.name})" if node.name else ""))
    for store in stage.stores:
        lines.append(f"  {_access(store.access)} {'+=' if store.add else '='} {_value(plan, stage, store.node)}")
    return lines


def _bias(plan: Plan, dot: int) -> str:
    bias = plan.nodes[dot].attr.bias
    return f" from {bias}.bias" if bias else ""


def _value(plan: Plan, stage: Stage, index: int) -> str:
    """A node made in this stage by its number; any other by where it is read."""
    node = plan.nodes[index]
    if node.op == "const":
        return f"{node.attr:g}"
    if index in stage.body or index in stage.dots:
        return f"%{index}"
    return _access(plan.homes[index])


def _access(access: Access) -> str:
    return f"{access.array}[{access.mode}]"


def _gradient(g: Accumulation) -> str:
    return f"{g.key} += {_access(g.ct)}" + (f" outer {_access(g.operand)}" if g.operand else "")
