"""A graph as lines of text, for golden files and for eyes."""

from __future__ import annotations

from gatework.compiler.ir import Backward, Dot, Graph, Node


def text(graph: Graph | Backward) -> str:
    """One line a node, `%3 f = sigmoid(%2) : H`, then what becomes of them."""
    return forward_text(graph) if isinstance(graph, Graph) else backward_text(graph)


def forward_text(graph: Graph) -> str:
    lines = [f"cell {graph.name}"]
    lines += [f"  input {i.name} : {i.width} per {i.per}" for i in graph.inputs]
    lines += [f"  state {s.name} : {s.width}" + (f" from {s.start:g}" if s.start else "") for s in graph.states]
    for m in graph.maps:
        blocks = m.blocked or (False,) * len(m.operands)
        slots = zip(m.labels, m.operands, blocks, strict=True)
        operands = ", ".join(f"{label} : {width}{' in heads' if b else ''}" for label, width, b in slots)
        lines.append(f"  map {m.name}({operands}) : {m.width}" + ("" if m.bias else " without bias"))
    lines += [f"  vector {v.name} : {v.width}" + (f" from {v.start:g}" if v.start else "") for v in graph.vectors]
    lines += node_lines(graph.nodes)
    lines += [f"  {s.name} <- %{n}" for s, n in zip(graph.states, graph.news, strict=True)]
    return "\n".join(lines) + "\n"


def backward_text(backward: Backward) -> str:
    graph, known = backward.forward, len(backward.forward.nodes)
    lines = [f"backward of {graph.name}"]
    lines += node_lines(backward.nodes)[known:]
    lines += [f"  d {s.name} <- {at(i)}" for s, i in zip(graph.states, backward.d_states, strict=True)]
    lines += [f"  d {x.name} <- {at(i)}" for x, i in zip(graph.inputs, backward.d_inputs, strict=True)]
    lines += [f"  d {o.weight.map}.{o.weight.slot} += %{o.ct} outer %{o.operand}" for o in backward.outers]
    lines += [f"  d {name}.bias += %{i}" for name, i in backward.biases]
    lines += [f"  d {name} += %{i}" for name, i in backward.vectors]
    return "\n".join(lines) + "\n"


def at(index: int | None) -> str:
    return "0" if index is None else f"%{index}"


def node_lines(nodes: tuple[Node, ...]) -> list[str]:
    return [f"  %{i}{' ' + n.name if n.name else ''} = {expression(n)} : {n.width}" for i, n in enumerate(nodes)]


def expression(node: Node) -> str:
    if node.op == "const":
        return f"{node.attr:g}"
    if isinstance(node.attr, Dot):
        pairs = zip(node.attr.weights, node.args, strict=True)
        products = [f"{w.map}.{w.slot}{chr(39) * w.transposed} %{a}" for w, a in pairs]
        return " + ".join([*products, *([f"{node.attr.bias}.bias"] if node.attr.bias else [])])
    arguments = [str(node.attr)] if node.attr is not None else [f"%{a}" for a in node.args]
    return f"{node.op}({', '.join(arguments)})"
