"""Printed equations: golden texts, and that every cell prints."""

from __future__ import annotations

import re

import pytest
from expecttest import assert_expected_inline

from gatework import cell, cells, mean, sqrt, tanh, var, where
from gatework.compiler.ir import Graph, Input, Node, State
from gatework.compiler.latex import equations, latex
from gatework.compiler.wrappers import hold, zoneout


def test_the_lstm_as_text() -> None:
    assert_expected_inline(
        equations(cells.get("lstm").graph) + "\n",
        """\
f = σ(W_f·[h₋, x] + b_f)
i = σ(W_i·[h₋, x] + b_i)
g = tanh(W_g·[h₋, x] + b_g)
o = σ(W_o·[h₋, x] + b_o)
c = f⊙c₋ + i⊙g
h = o⊙tanh(c)
""",
    )


def test_the_gru_as_latex() -> None:
    assert_expected_inline(
        latex(cells.get("gru").graph) + "\n",
        """\
\\begin{aligned}
  r_{t} &= \\sigma\\left(W_{r}\\,[h_{t-1}; x_{t}] + b_{r}\\right) \\\\
  z_{t} &= \\sigma\\left(W_{z}\\,[h_{t-1}; x_{t}] + b_{z}\\right) \\\\
  n_{t} &= \\tanh\\left(W_{\\mathrm{nx}}\\,x_{t} + b_{\\mathrm{nx}} + r_{t} \\odot \\left(W_{\\mathrm{nh}}\\,h_{t-1} + b_{\\mathrm{nh}}\\right)\\right) \\\\
  h_{t} &= \\left(1 - z_{t}\\right) \\odot n_{t} + z_{t} \\odot h_{t-1}
\\end{aligned}
""",  # noqa: E501
    )


def test_brackets_stand_where_they_must() -> None:
    @cell
    def brackets(x, h, c, W):
        a = W.a(h) - (W.b(x) - c)
        b = a / (a * c) / (a - c)
        d = -(a + b) * (a - -b)
        return tanh(W.out(a * b)) * where(d < c, a, -c), d

    assert_expected_inline(
        equations(brackets.graph) + "\n",
        """\
a = W_a·h₋ + b_a - (W_b·x + b_b - c₋)
b = a/(a⊙c₋)/(a - c₋)
d = (-(a + b))⊙(a + b)
h = tanh(W_out·(a⊙b) + b_out)⊙where(d < c₋, a, -c₋)
c = d
""",
    )


def test_values_read_twice_get_a_name() -> None:
    @cell
    def normalised(x, h, W):
        return tanh((W.f(h, x) - mean(W.f(h, x))) / sqrt(var(W.f(h, x)) + 1e-5))

    assert_expected_inline(
        equations(normalised.graph) + "\n",
        """\
a1 = W_f·[h₋, x] + b_f
h = tanh((a1 - mean(a1))/sqrt(var(a1) + 1e-05))
""",
    )


def test_wrapped_cells_name_the_raw_value() -> None:
    assert_expected_inline(
        equations(hold(zoneout(cells.get("lstm").graph, ["c"]))) + "\n",
        """\
f = σ(W_f·[h₋, x] + b_f)
i = σ(W_i·[h₋, x] + b_i)
g = tanh(W_g·[h₋, x] + b_g)
o = σ(W_o·[h₋, x] + b_o)
c' = f⊙c₋ + i⊙g
h' = o⊙tanh(c')
c'' = zoneout_c⊙c₋ + (1 - zoneout_c)⊙c'
h = where(hold, h₋, h')
c = where(hold, c₋, c'')
""",
    )


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_prints_all_of_itself(name: str) -> None:
    """Every parameter, state and named value occurs, and brackets close."""
    graph = cells.get(name).graph
    text, tex = equations(graph), latex(graph)
    for made in graph.maps:
        assert f"W_{made.name}·" in text
    for word in [v.name for v in graph.vectors] + [n.name for n in graph.nodes if n.name]:
        assert word in text
    for opening, closing in ("()", "[]"):
        assert text.count(opening) == text.count(closing)
    assert tex.count("{") == tex.count("}")
    assert len(re.findall(r"\\left\b", tex)) == len(re.findall(r"\\right\b", tex))
    assert tex.count("&=") == len(text.splitlines())


def test_a_graph_that_doubles_does_not_explode() -> None:
    """x + x, two hundred times, would be 2 ** 200 letters if every value were written where it is used."""
    nodes = [Node("input", (), "x", "H"), Node("state", (), "h", "H"), Node("add", (0, 1), None, "H")]
    nodes += [Node("mul", (k, k), None, "H") for k in range(2, 202)]
    graph = Graph("doubling", tuple(nodes), (Input("x", "H"),), (State("h", "H"),), (), (), (len(nodes) - 1,))
    assert len(equations(graph)) < 20_000


def test_a_cell_shows_its_own_equations() -> None:
    """As text, as LaTeX, in a notebook; and its repr is one line."""

    @cell
    def own(x, h, W):
        return tanh(W.n(h, x) + W.p * h)

    assert own.equations() == equations(own.graph) == "h = tanh(W_n·[h₋, x] + b_n + p⊙h₋)"
    assert own.latex() == latex(own.graph)
    assert own._repr_latex_() == f"$$\n{own.latex()}\n$$"
    assert repr(own) == "<cell own: input x, state h, map n, vector p>"


def test_a_square_is_written_once() -> None:
    @cell
    def squared(x, h, W):
        return tanh(W.n(h, x)) ** 2 + (h - W.p) ** 2

    assert squared.equations() == "h = tanh(W_n·[h₋, x] + b_n)² + (h₋ - p)²"
    assert r"{\left(h_{t-1} - p\right)}^{2}" in squared.latex()
