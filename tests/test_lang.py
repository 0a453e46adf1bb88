"""The language: what a function becomes, and the errors that show the line."""

from __future__ import annotations

import cProfile
import importlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from expecttest import assert_expected_inline

import gatework
from compare import assert_close
from gatework import (
    cell,
    exp,
    gelu,
    hard_sigmoid,
    log_sigmoid,
    maximum,
    mean,
    minimum,
    relu,
    sigmoid,
    softmax,
    softplus,
    stop,
    tanh,
    where,
)  # fmt: skip
from gatework.backends import reference
from gatework.compiler import lang, ops
from gatework.compiler.lang import Cell
from gatework.compiler.show import text
from gatework.errors import CellError, OptionError

# -- what comes out -------------------------------------------------------------------------------------------------


def test_the_lstm_as_a_graph() -> None:
    assert_expected_inline(
        text(gatework.cells.get("lstm").graph),
        """\
cell lstm
  input x : I per step
  state h : H
  state c : H
  map f(h : H, x : I) : H
  map i(h : H, x : I) : H
  map g(h : H, x : I) : H
  map o(h : H, x : I) : H
  %0 = input(x) : I
  %1 = state(h) : H
  %2 = state(c) : H
  %3 = f.0 %1 + f.1 %0 + f.bias : H
  %4 f = sigmoid(%3) : H
  %5 = i.0 %1 + i.1 %0 + i.bias : H
  %6 i = sigmoid(%5) : H
  %7 = g.0 %1 + g.1 %0 + g.bias : H
  %8 g = tanh(%7) : H
  %9 = o.0 %1 + o.1 %0 + o.bias : H
  %10 o = sigmoid(%9) : H
  %11 = mul(%4, %2) : H
  %12 = mul(%6, %8) : H
  %13 c = add(%11, %12) : H
  %14 = tanh(%13) : H
  %15 h = mul(%10, %14) : H
  h <- %15
  c <- %13
""",
    )


def test_options_and_folding() -> None:
    @cell(
        width={"h": "P", "t": "1"}, start={"m": -math.inf}, init={"p": 0.5}, per={"static": "sequence", "rate": "call"}
    )
    def odd(x, t, static, rate, h, m, W):
        a = W.a(h, x * 1 + 0, bias=False) - (-W.b(static, width="H"))
        b = (W.p * m) * rate + 2 * 3 * t
        b = tanh(a + b)
        return W.out(b), maximum(m, b)

    assert_expected_inline(
        text(odd.graph),
        """\
cell odd
  input x : I per step
  input t : 1 per step
  input static : static per sequence
  input rate : 1 per call
  state h : P
  state m : H from -inf
  map a(h : P, 1 : I) : H without bias
  map b(static : static) : H
  map out(b : H) : P
  vector p : H from 0.5
  %0 = input(x) : I
  %1 = input(t) : 1
  %2 = input(static) : static
  %3 = input(rate) : 1
  %4 = state(h) : P
  %5 = state(m) : H
  %6 = a.0 %4 + a.1 %0 : H
  %7 = b.0 %2 + b.bias : H
  %8 a = add(%6, %7) : H
  %9 = vector(p) : H
  %10 = mul(%9, %5) : H
  %11 = mul(%10, %3) : H
  %12 = 6 : 1
  %13 = mul(%12, %1) : 1
  %14 b' = add(%11, %13) : H
  %15 = add(%8, %14) : H
  %16 b = tanh(%15) : H
  %17 h = out.0 %16 + out.bias : P
  %18 m = maximum(%5, %16) : H
  h <- %17
  m <- %18
""",
    )


def test_a_map_called_twice_is_one_map() -> None:
    @cell
    def twice(x, h, W):
        return tanh(W.f(h, x) + W.f(tanh(h), x) + W.f(h, x))

    dots = [n for n in twice.graph.nodes if n.op == "dot"]
    assert len(twice.graph.maps) == 1
    assert len(dots) == 2, "the first and the third call are the same value"


def test_widths_are_found_through_elementwise_use() -> None:
    @cell(width={"last": "I"})
    def decays(x, gap, h, last, W):
        fade = exp(-relu(W.fade(gap)))
        return tanh(W.h(h, x * fade)), fade * last + W.shift

    found = {m.name: m.width for m in decays.graph.maps} | {v.name: v.width for v in decays.graph.vectors}
    assert found == {"fade": "I", "h": "H", "shift": "I"}
    assert decays.graph.input("gap").width == "gap"


def test_heads_block_what_is_made_from_states() -> None:
    @cell(heads=True)
    def headed(x, h, W):
        return tanh(W.f(x, h, sigmoid(x), x * W.p(h, width="I")))

    assert {m.name: m.blocked for m in headed.graph.maps} == {"f": (False, True, False, True), "p": (True,)}


def test_a_state_that_is_returned_but_not_read_is_legal() -> None:
    @cell
    def output_only(x, h, c, W):
        c = 0.5 * c + W.f(x)
        return tanh(c), c

    assert [s.name for s in output_only.graph.states] == ["h", "c"]


def test_names_of_rebound_variables() -> None:
    @cell
    def rebound(x, h, W):
        x = relu(x)
        z = W.z(h, x)
        z = sigmoid(z)
        h = z * h
        return tanh(h)

    named = {n.name: n.op for n in rebound.graph.nodes if n.name}
    assert named == {"x'": "maximum", "z'": "dot", "z": "sigmoid", "h'": "mul", "h": "tanh"}


def test_a_cell_inside_a_cell() -> None:
    lstm = gatework.cells.get("lstm")

    @cell
    def damped(x, h, c, W):
        h, c = lstm(x, h, c, W)
        return 0.5 * h, c

    assert isinstance(damped, Cell)
    assert [m.name for m in damped.graph.maps] == ["f", "i", "g", "o"]


def test_source_and_doc_are_kept() -> None:
    lstm = gatework.cells.get("lstm")
    assert "c = f * c + i * g" in lstm.source
    assert lstm.doc.startswith("Hochreiter & Schmidhuber")


# -- the functions --------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "relu": (relu, torch.relu),
    "softplus": (softplus, torch.nn.functional.softplus),
    "log_sigmoid": (log_sigmoid, torch.nn.functional.logsigmoid),
    "hard_sigmoid": (hard_sigmoid, lambda v: (v / 6 + 0.5).clamp(0, 1)),  # torch's own slope is 1/6 in single precision
    "gelu": (gelu, lambda v: torch.nn.functional.gelu(v, approximate="tanh")),
    "softmax": (softmax, lambda v: torch.softmax(v, -1)),
    "cube": (lambda v: v**3, lambda v: v**3),
    "root": (lambda v: (v * v + 1) ** 1.5, lambda v: (v * v + 1) ** 1.5),
    "inverse": (lambda v: (v * v + 1) ** -2, lambda v: (v * v + 1) ** -2),
    "real power": (lambda v: (v * v + 1) ** 0.3, lambda v: (v * v + 1) ** 0.3),
    "number to a power": (lambda v: 2.0 ** -abs(v), lambda v: 2.0 ** -abs(v)),
    "zeroth": (lambda v: v**0, lambda v: v**0),
    "compare": (lambda v: where(v >= 0.5, v, where(v < -1, 2 * v, minimum(v, 0.1))), None),
    "centre": (lambda v: v - mean(v) + gatework.max(v) + gatework.sum(v) + gatework.var(v), None),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_torchs_in_value_and_slope(name: str) -> None:
    """The points hold 0, both infinitesimal neighbours and arguments that overflow a careless formula."""
    ours, theirs = FUNCTIONS[name]
    theirs = theirs or {
        "compare": lambda v: torch.where(v >= 0.5, v, torch.where(v < -1, 2 * v, v.clamp(max=0.1))),
        "centre": lambda v: v - v.mean() + v.max() + v.sum() + v.var(correction=0),
    }[name]  # fmt: skip

    step = cell(width={"h": "I"})(lambda x, h, W: ours(x))
    points = [-1.5, -0.3, 0.0, 1e-9, 0.2, 4.0] + ([] if name in ("centre", "cube") else [-700.0, 700.0])
    x = np.array([[points]])
    arguments = (step.graph, {"I": len(points)}, {"x": x}, None, {})
    weighted = np.linspace(1, 2, len(points))[None, None]
    got = reference.run(*arguments).history["h"]
    slope = reference.run_backward(*arguments, {"h": weighted}).inputs["x"]
    v = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    want = theirs(v)
    (want * torch.tensor(weighted[0, 0])).sum().backward()
    if name in ("cube", "root", "inverse", "real power"):
        np.testing.assert_allclose(got[0, 0], want.detach().numpy(), rtol=1e-12)
    else:
        assert_close(got[0, 0], want)
    assert_close(slope[0, 0], v.grad)


@pytest.mark.parametrize("number", [np.float32(0.25), np.float64(0.25), np.array(0.25)])
def test_numbers_of_numpy_are_numbers(number: Any) -> None:
    def of(a: Any) -> Cell:
        def same(x, h, W):
            return a * h + (a + tanh(W.f(h, x))) - (a - h) / (a / (2 + abs(h))) + a ** (a < h) * (a >= x_of(W, x))

        def x_of(W, x):
            return W.g(x)

        return cell(same)

    assert of(number).equations() == of(0.25).equations()


# -- what it refuses ------------------------------------------------------------------------------------------------


def if_on_a_symbol(x, h, W):
    if h > 0:
        h = -h
    return tanh(W.f(h, x))


def numpy_function(x, h, W):
    return np.tanh(W.f(h, x))


def torch_function(x, h, W):
    return torch.tanh(W.f(h, x))


def math_function(x, h, W):
    return math.tanh(W.f(h, x))


def array_operand(x, h, W):
    return np.ones(3) * h + W.f(x)


def wrong_widths(x, h, W):
    f = W.f(h, x)
    return f * h * x


def map_without_effect(x, h, W):
    f = sigmoid(W.f(h, x))  # noqa: F841
    g = tanh(W.g(h, x))
    return g * h


def vector_without_effect(x, h, W):
    peep = W.p * h  # noqa: F841
    return tanh(W.g(h, x))


def input_without_effect(x, h, W):
    return tanh(W.g(h))


def map_and_vector(x, h, W):
    return W.f(h, x) * W.f


def vector_and_map(x, h, W):
    return W.f * h + W.f(x)


def called_differently(x, h, W):
    return W.f(h, x) + W.f(h)


def called_with_other_widths(x, h, W):
    return W.f(h) + W.f(x)


def unknown_function(x, h, W):
    return sigmod(W.f(h, x))  # noqa: F821


def returns_a_number(x, h, W):
    W.f(h, x)
    return 1.0


def returns_too_many(x, h, W):
    return W.f(h, x), h, x, h


def no_input(x, h, W):
    return W.f(h, x), h


def scalar_state(x, h, W):
    return mean(W.f(h, x))


def wrong_state_width(x, h, W):
    return W.f(h) * 0 + x


def text_operand(x, h, W):
    return h + "1"


def map_of_a_number(x, h, W):
    return W.f(h, 2.0) * x


def matrix_product(x, h, W):
    return W.p @ h


def indexed(x, h, W):
    return W.f(x)[0] + h


def iterated(x, h, W):
    a, b = W.f(h, x)
    return a + b


def equality(x, h, W):
    return where(h == 0, W.f(x), h)


def assigned(x, h, W):
    W.f = 2
    return h


def called_namespace(x, h, W):
    return W(h, x)


def private(x, h, W):
    return h * W._p


def in_place(x, h, W):
    h[0] = 1
    return tanh(W.f(h, x))


def joined_conditions(x, h, W):
    return where((h > 0) & (h < 1), h, W.f(x))


def transposed(x, h, W):
    return h * h.T + W.f(x)


def method_of_a_value(x, h, W):
    return W.f(h, x).tanh()


def list_of_operands(x, h, W):
    return W.f([h, x])


def shifted(x, h, W):
    return tanh(W.f(h << 1, x))


def width_as_a_number(x, h, W):
    return tanh(W.f(h, x, width=3))


def bias_as_a_word(x, h, W):
    return tanh(W.f(h, x, bias="no"))


def torch_layer(x, h, W):
    return tanh(torch.nn.Linear(3, 3)(h))


def other_function(x, h, W):
    return gatework.silu(W.f(h, x))  # pyright: ignore[reportAttributeAccessIssue] (the test is that there is none)


def tensor_operand(x, h, W):
    return tanh(W.f(h, x)) + torch.ones(3)


def default_value(x, h, W, k=2.0):
    return k * tanh(W.f(h, x))


def module_of_a_cell(x, h, c, W):
    from gatework.cells import lstm

    return lstm(x, h, c, W)  # pyright: ignore[reportCallIssue] (a module)


def idle_state(x, h, c, W):
    return tanh(W.f(h, x)), c


REFUSED = [
    (if_on_a_symbol, "if h > 0:", "gatework.where"),
    (numpy_function, "np.tanh(W.f(h, x))", "gatework.tanh"),
    (torch_function, "torch.tanh(W.f(h, x))", "gatework.tanh"),
    (math_function, "math.tanh(W.f(h, x))", "gatework.tanh"),
    (array_operand, "np.ones(3) * h", "numpy.multiply with an array: a cell calculates with numbers"),
    (joined_conditions, "(h > 0) & (h < 1)", "a * b for `and`"),
    (transposed, "h * h.T", "no .T: it is one vector of units"),
    (method_of_a_value, "W.f(h, x).tanh()", "write gatework.tanh(value)"),
    (list_of_operands, "W.f([h, x])", "W.f([<h, a value of the cell>, <x, a value of the cell>]): the operands"),
    (wrong_widths, "return f * h * x", "x has width I"),
    (map_without_effect, "f = sigmoid(W.f(h, x))", "W.f has no effect"),
    (vector_without_effect, "peep = W.p * h", "W.p has no effect"),
    (input_without_effect, "return tanh(W.g(h))", "input x has no effect"),
    (map_and_vector, "W.f(h, x) * W.f", "is a map"),
    (vector_and_map, "W.f * h + W.f(x)", "is a vector"),
    (called_differently, "W.f(h, x) + W.f(h)", "called differently before"),
    (called_with_other_widths, "W.f(h) + W.f(x)", "had H"),
    (unknown_function, "sigmod(W.f(h, x))", "sigmod"),
    (returns_a_number, "return 1.0", "1.0"),
    (returns_too_many, "return W.f(h, x), h, x, h", "4 values"),
    (no_input, None, "Write the inputs first"),
    (scalar_state, "return mean(W.f(h, x))", "one number for all units"),
    (wrong_state_width, "return W.f(h) * 0 + x", "width I"),
    (text_operand, 'h + "1"', "neither a value of the cell nor a number"),
    (map_of_a_number, "W.f(h, 2.0)", "operands of a map"),
    (matrix_product, "W.p @ h", "W.name(h, x)"),
    (indexed, "W.f(x)[0]", "cannot be indexed"),
    (iterated, "a, b = W.f(h, x)", "cannot be iterated"),
    (equality, "h == 0", "< <= > >="),
    (assigned, "W.f = 2", "cannot be assigned"),
    (called_namespace, "W(h, x)", "W.f(h, x)"),
    (private, "h * W._p", "underscore"),
    (in_place, "h[0] = 1", "cannot be changed in place: write a new value"),
    (shifted, "h << 1", "unsupported operand"),
    (width_as_a_number, "width=3", 'width="P", and a layer gives its number'),
    (bias_as_a_word, 'bias="no"', "bias is True or False"),
    (torch_layer, "Linear(3, 3)(h)", "a learned map is W.name(h, x)"),
    (other_function, "gatework.silu", "a cell has + - * / ** and abs, exp"),
    (tensor_operand, "torch.ones(3)", "Tensor of shape (3,) is neither a value of the cell nor a number: a learned"),
    (default_value, None, "as a variable before the function"),
    (module_of_a_cell, "lstm(x, h, c, W)", "from gatework.cells.lstm import lstm"),
    (idle_state, "return tanh(W.f(h, x)), c", "state c is returned as it was, and nothing reads it"),
]


@pytest.mark.parametrize(("function", "line", "says"), REFUSED, ids=[f.__name__ for f, _, _ in REFUSED])
def test_refusals_show_the_line(function, line: str | None, says: str) -> None:
    with pytest.raises(CellError) as caught:
        cell(function)
    message = str(caught.value)
    assert says in message
    if line is not None:
        assert line in message
        assert f"in {function.__name__}" in message
        assert "test_lang.py:" in message


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"width": {"q": "P"}}, "'q'"),
        ({"start": {"x": 1.0}}, "start names 'x'"),
        ({"init": {"q": 1.0}}, "init names 'q'"),
        ({"per": {"h": "call"}}, "per names 'h'"),
        ({"per": {"x": "epoch"}}, "per step"),
        ({"init": {"f": 1.0}}, 'W.f(..., bias=False) + W.f_bias and init={"f_bias": 1.0}'),
        ({"init": {"f": "orthogonal"}}, "init gives a number"),
        ({"start": {"h": "a"}}, "start gives a number"),
        ({"width": "P"}, 'as in width={"h": "P"}'),
        ({"heads": 4}, 'sizes={"heads": 4}'),
        ({"name": 3}, "not 3"),
    ],
)
def test_options_that_name_nothing_are_refused(options: dict, says: str) -> None:
    with pytest.raises(CellError) as caught:
        cell(**options)(lambda x, h, W: tanh(W.f(h, x)))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "function",
    [lambda x, W: x, lambda x, *h, W=0: x, lambda x, h, W=None: W.f(h, x), print, 3, stop],
    ids=list("abcdef"),
)
def test_what_is_not_a_step_is_refused(function) -> None:
    with pytest.raises(CellError):
        cell(function)


def test_a_value_of_another_cell_is_refused() -> None:
    stolen = []

    @cell
    def first(x, h, W):
        stolen.append(h)
        return tanh(W.f(h, x))

    with pytest.raises(CellError, match="another cell"):
        cell(lambda x, h, W: stolen[-1] + W.f(h, x))


def test_cells_are_defined_the_same_under_a_profiler() -> None:
    plain = gatework.cells.get("lstm")
    profiler = cProfile.Profile()
    profiler.enable()
    again = cell(plain.function)
    profiler.disable()
    assert again.graph == plain.graph
    names = {getattr(s.code, "co_name", "") for s in profiler.getstats()}
    assert "check_parameters" in names, "the profiler goes on after the trace"


def test_no_profile_hook_is_left_behind() -> None:
    before = sys.getprofile()
    with pytest.raises(CellError):
        cell(if_on_a_symbol)
    assert sys.getprofile() is before


def test_a_reloaded_module_shows_its_new_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "edited_cells.py"
    opening = "from gatework import cell, tanh\n\n\n@cell\ndef edited(x, h, W):\n"
    path.write_text(opening + "    return tanh(W.f(h, x) @ h)\n", encoding="utf-8")
    with pytest.raises(CellError, match=r"return tanh\(W.f\(h, x\) @ h\)"):
        importlib.import_module("edited_cells")
    path.write_text(opening + "    return tanh(W.longer(h, x) @ h)\n", encoding="utf-8")
    importlib.invalidate_caches()
    with pytest.raises(CellError, match=r"return tanh\(W.longer\(h, x\) @ h\)"):
        importlib.import_module("edited_cells")


def test_a_value_says_its_name_when_it_is_printed(capsys: pytest.CaptureFixture) -> None:
    @cell
    def printing(x, h, W):
        f = sigmoid(W.f(h, x))
        print(h, f, W.g, tanh(f))
        return f * h

    assert capsys.readouterr().out.splitlines()[-1] == (
        "<h, a value of the cell> <f, a value of the cell> <W.g, a parameter> <tanh(...), a value of the cell>"
    )


def test_the_messages_list_every_function_of_cells() -> None:
    assert sorted(ops.FUNCTIONS) == sorted(set(lang.__all__) - {"Cell", "cell"})
    page = (Path(__file__).parents[1] / "docs" / "cells-language.md").read_text(encoding="utf-8")
    rows = [
        line.split("|")[1].strip(" `").split() for line in page.splitlines() if line.startswith("| `s") and " " in line
    ]
    assert set(ops.FUNCTIONS) - {"stop"} == {name for row in rows for name in row if name in ops.FUNCTIONS} - {"stop"}


def test_a_wrapper_without_its_options_is_refused_with_an_example() -> None:
    from gatework.compiler.wrappers import clip

    lstm = gatework.cells.get("lstm")
    with pytest.raises(
        OptionError, match=r"wrapped\('mild', clip, \.\.\.\): missing a required argument: 'limit'; as in"
    ):
        lstm.wrapped("mild", clip)
    with pytest.raises(CellError, match="'not a name'"):
        lstm.wrapped("not a name", clip, limit=1.0)
