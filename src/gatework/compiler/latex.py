"""The equations of a cell, printed from its graph: as text with Unicode, and as LaTeX.

    f = σ(W_f·[h₋, x] + b_f)                 f_t = \\sigma\\left(W_f\\,[h_{t-1}; x_t] + b_f\\right)

A value that has a name gets an equation; one without is written where it is used. `h₋` is the state before the step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gatework.compiler.ir import Graph, Node
from gatework.compiler.ops import LEAVES, REDUCTIONS

GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "lambda", "mu", "nu", "sigma", "tau", "phi", "rho", "theta")
# How tightly an expression binds.
COMPARISON, SUM, PRODUCT, SIGN, ATOM = 0, 1, 2, 3, 4
LONG, LINE = 5, 40  # values in an expression


@dataclass(frozen=True)
class Style:
    """How one notation writes names and operations."""

    new: Callable[[str], str]
    old: Callable[[str], str]
    plain: Callable[[str], str]
    matrix: Callable[[str, list[str]], str]
    bias: Callable[[str], str]
    call: Callable[[str, list[str]], str]
    times: str
    square: Callable[[str], str]
    over: Callable[[str, str], str]
    group: Callable[[str], str]
    comparisons: dict[str, str]
    equals: str


def equations(graph: Graph) -> str:
    """The cell as text, one line an equation.

    >>> print(equations(rnn.graph))
    h = tanh(W_h·[h₋, x] + b_h)
    """
    return "\n".join(Printer(graph, TEXT).lines())


def latex(graph: Graph) -> str:
    """The cell as a LaTeX `aligned` environment, with time as an index."""
    lines = " \\\\\n".join("  " + line for line in Printer(graph, LATEX).lines())
    return f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"


class Printer:
    def __init__(self, graph: Graph, style: Style):
        self.graph, self.style = graph, style
        self.made: dict[int, tuple[str, int]] = {}
        self.readers = Counter(a for n in graph.nodes for a in n.args)
        self.weight: dict[int, int] = {}
        self.extra = 0

    def lines(self) -> list[str]:
        """One equation for each named value, and one for each new state that has another name or none."""
        s, lines = self.style, []
        for index, node in enumerate(self.graph.nodes):
            written = self.expression(node)
            worth = self.worth_a_name(index)
            name = node.name or (self.extra_name() if worth else "")
            if name:
                lines.append(s.new(name) + s.equals + written[0])
            self.made[index] = (s.new(name), ATOM) if name else written
        for state, new in zip(self.graph.states, self.graph.news, strict=True):
            if self.graph.nodes[new].name != state.name:
                lines.append(s.new(state.name) + s.equals + self.value(new)[0])
        return lines

    def worth_a_name(self, index: int) -> bool:
        """Whether a value without a name is written better apart: several read it, or it fills a line by itself."""
        node = self.graph.nodes[index]
        self.weight[index] = 1 if node.name else 1 + sum(self.weight[a] for a in node.args)
        long = node.op == "dot" or self.weight[index] > LONG
        shared = self.readers[index] > 1 and node.op not in LEAVES and long
        if not (shared or self.weight[index] > LINE):
            return False
        self.weight[index] = 1
        return True

    def extra_name(self) -> str:
        """a1, a2, ...: names that the cell does not use."""
        taken = {n.name for n in self.graph.nodes} | {leaf.name for leaf in (*self.graph.inputs, *self.graph.vectors)}
        self.extra += 1
        while f"a{self.extra}" in taken:
            self.extra += 1
        return f"a{self.extra}"

    def value(self, index: int) -> tuple[str, int]:
        """How a value is written where it is used, and how tightly that binds."""
        return self.made[index]

    def at_least(self, index: int, level: int) -> str:
        text, binds = self.value(index)
        return text if binds >= level else self.style.group(text)

    def expression(self, node: Node) -> tuple[str, int]:
        if node.op in LEAVES:
            return self.leaf(node), ATOM
        if node.op == "dot":
            return self.dot(node)
        return self.operation(node)

    def leaf(self, node: Node) -> str:
        if node.op == "const":
            return f"{node.attr:g}" if abs(node.attr) != float("inf") else self.style.plain("inf")
        if node.op == "input" and self.graph.input(node.attr).per == "step":
            return self.style.new(node.attr)
        return self.style.old(node.attr) if node.op == "state" else self.style.plain(node.attr)

    def dot(self, node: Node) -> tuple[str, int]:
        weights, bias = node.attr
        name = weights[0].map
        text = self.style.matrix(name, [self.value(a)[0] for a in node.args])
        if [w.slot for w in weights] != list(range(len(self.graph.map(name).operands))):
            parts = [
                self.style.matrix(f"{w.map},{w.slot}", [self.value(a)[0]])
                for w, a in zip(weights, node.args, strict=True)
            ]
            text = " + ".join(parts)
        plain = bias is None and len(weights) == 1
        return (text, PRODUCT) if plain else (text + (f" + {self.style.bias(bias)}" if bias else ""), SUM)

    def operation(self, node: Node) -> tuple[str, int]:
        s, args = self.style, node.args
        if node.op in ("add", "sub"):
            sign = " + " if node.op == "add" else " - "
            return self.at_least(args[0], SUM) + sign + self.at_least(
                args[1], SUM if node.op == "add" else PRODUCT
            ), SUM
        if node.op == "mul" and args[0] == args[1]:
            return s.square(self.at_least(args[0], ATOM)), ATOM
        if node.op == "mul":
            return self.at_least(args[0], PRODUCT) + s.times + self.at_least(args[1], PRODUCT), PRODUCT
        if node.op == "div":
            return s.over(self.at_least(args[0], PRODUCT), self.at_least(args[1], SIGN)), PRODUCT
        if node.op == "neg":
            return "-" + self.at_least(args[0], SIGN), SUM
        if node.op in s.comparisons:
            return self.at_least(args[0], SUM) + s.comparisons[node.op] + self.at_least(args[1], SUM), COMPARISON
        return s.call(node.op, [self.value(a)[0] for a in args]), ATOM


def text_call(op: str, args: list[str]) -> str:
    shown = {"sigmoid": "σ", "maximum": "max", "minimum": "min", "sum": "Σ", "max": "max over units "}.get(op, op)
    return f"{shown}({', '.join(args)})"


TEXT = Style(
    new=lambda name: name,
    old=lambda name: name + "₋",
    plain=lambda name: "∞" if name == "inf" else name,
    matrix=lambda name, operands: f"W_{name}·" + listed(operands, "(", ")", ", "),
    bias=lambda name: f"b_{name}",
    call=text_call,
    times="⊙",
    square=lambda a: f"{a}²",
    over=lambda a, b: f"{a}/{b}",
    group=lambda inner: f"({inner})",
    comparisons={"lt": " < ", "le": " ≤ "},
    equals=" = ",
)


def listed(operands: list[str], opening: str, closing: str, comma: str) -> str:
    """One operand plain, or in parentheses if it is an expression; several in brackets."""
    if len(operands) > 1:
        return f"[{comma.join(operands)}]"
    return opening + operands[0] + closing if set(operands[0]) & set(" ⊙/+") else operands[0]


def latex_name(name: str) -> str:
    """`x'` becomes \\tilde{x}; a word is set upright; a part after an underscore is an index."""
    base, primes = name.rstrip("'"), name.count("'")
    if primes:
        return "\\tilde{" + latex_name(base) + "}" + "'" * (primes - 1)
    if base in GREEK:
        return "\\" + base
    return base if len(base) == 1 else "\\mathrm{" + base.replace("_", "\\_") + "}"


def latex_at(name: str, index: str) -> str:
    return latex_name(name) + "_{" + index + "}"


LATEX_FUNCTIONS = {"sigmoid": "\\sigma", "tanh": "\\tanh", "exp": "\\exp", "log": "\\log", "maximum": "\\max"} | {
    "minimum": "\\min",
    "log1p": "\\operatorname{log1p}",
}


def latex_call(op: str, args: list[str]) -> str:
    if op == "sqrt":
        return "\\sqrt{" + args[0] + "}"
    if op == "abs":
        return "\\left|" + args[0] + "\\right|"
    if op == "where":
        return f"\\begin{{cases}}{args[1]} & \\text{{if }} {args[0]} \\\\ {args[2]} & \\text{{else}}\\end{{cases}}"
    name = LATEX_FUNCTIONS.get(op, "\\operatorname{" + op + "}" + ("_{\\text{units}}" if op in REDUCTIONS else ""))
    return f"{name}\\left({', '.join(args)}\\right)"


LATEX = Style(
    new=lambda name: latex_at(name, "t"),
    old=lambda name: latex_at(name, "t-1"),
    plain=lambda name: "\\infty" if name == "inf" else latex_name(name),
    matrix=lambda name, operands: f"W_{{{latex_index(name)}}}\\," + listed(operands, "\\left(", "\\right)", "; "),
    bias=lambda name: f"b_{{{latex_index(name)}}}",
    call=latex_call,
    times=" \\odot ",
    square=lambda a: f"{{{a}}}^{{2}}",
    over=lambda a, b: f"\\frac{{{a}}}{{{b}}}",
    group=lambda inner: f"\\left({inner}\\right)",
    comparisons={"lt": " < ", "le": " \\le "},
    equals=" &= ",
)


def latex_index(name: str) -> str:
    return name if len(name) == 1 else "\\mathrm{" + name.replace("_", "\\_") + "}"
