"""The derivative: every cell against numbers, random cells too, and what the simplified graph looks like."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from expecttest import assert_expected_inline
from hypothesis import given, settings

import gatework
from cases import Case, case
from gatework import (
    cell,
    cells,
    exp,
    hard_sigmoid,
    log,
    log_sigmoid,
    maximum,
    minimum,
    relu,
    softplus,
    stop,
    tanh,
    where,
)
from gatework.backends.reference import run, run_backward
from gatework.compiler.derive import RULES, derive
from gatework.compiler.ir import Graph
from gatework.compiler.ops import ELEMENTWISE, REDUCTIONS
from gatework.compiler.show import text
from numeric import central, complex_step, directions, slope
from random_cells import random_cells

# Complex arithmetic has no order and no infinity: these are checked by differences.
NOT_ANALYTIC = {
    "gru_d": "relu and where",
    "indrnn": "relu",
    "rnn_relu": "relu",
    "slstm": "maximum",
    "slstm_exp": "maximum",
}
# A switch is not a number that can be moved; what is stopped has a slope but no gradient.
NOT_DIFFERENTIATED = {"mask", "mean"}


def loss(made: Case, arrays: dict, reverse: bool) -> complex:
    """sum(d_history * history) + sum(d_final * final), of all that can be differentiated at once."""
    inputs = {k: arrays.get(f"input {k}", v) for k, v in made.inputs.items()}
    start = {k: arrays[f"start {k}"] for k in made.start}
    weights = {k: arrays[f"weight {k}"] for k in made.weights}
    result = run(made.graph, made.sizes, inputs, start, weights, made.lengths, reverse)
    total = sum((made.d_history[k] * v).sum() for k, v in result.history.items())
    return total + sum((made.d_final[k] * v).sum() for k, v in result.final.items())


def check_gradients(made: Case, analytic: bool, reverse: bool, rtol: float) -> None:
    arrays = {f"input {k}": v for k, v in made.inputs.items() if isinstance(v, np.ndarray)}
    arrays |= {f"start {k}": v for k, v in made.start.items()} | {f"weight {k}": v for k, v in made.weights.items()}
    found = run_backward(*made.call, made.d_history, made.d_final, made.lengths, reverse)
    gradients = {f"input {k}": v for k, v in found.inputs.items()} | {f"start {k}": v for k, v in found.start.items()}
    gradients |= {f"weight {k}": v for k, v in found.weights.items()}
    assert set(gradients) == set(arrays)
    direction = directions(arrays)
    for name in arrays:
        if name.split()[1] in NOT_DIFFERENTIATED or not arrays[name].size:
            continue
        number = complex_step if analytic else central
        want = number(lambda moved: loss(made, moved, reverse), arrays, direction, name)
        got = slope(gradients, direction, name)
        # Against the sum of magnitudes: along a random direction the terms may cancel.
        size = np.abs(gradients[name] * direction[name]).sum() + 1e-3
        assert abs(got - want) <= rtol * size, f"{made.graph.name} d {name}: {got}, by numbers {want}"


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", cells.names())
def test_gradients_of_every_cell(name: str, reverse: bool) -> None:
    analytic = name not in NOT_ANALYTIC
    check_gradients(case(cells.get(name).graph), analytic, reverse, 1e-12 if analytic else 1e-7)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(random_cells())
def test_gradients_of_random_cells(drawn) -> None:
    """A kink within the step of a difference would be a false alarm, and `stop` has a slope: torch is the judge."""
    graph, differentiable = drawn.graph, case(drawn.graph, T=3)

    def tensor(value):
        return torch.tensor(value, requires_grad=True) if isinstance(value, np.ndarray) else value

    tables = [{k: tensor(v) for k, v in t.items()} for t in (differentiable.inputs, differentiable.start)]
    weights = {k: tensor(v) for k, v in differentiable.weights.items()}
    result = run(graph, differentiable.sizes, *tables, weights, differentiable.lengths)
    total = sum((torch.tensor(differentiable.d_history[k]) * v).sum() for k, v in result.history.items())
    total.backward()
    found = run_backward(*differentiable.call, differentiable.d_history, None, differentiable.lengths)
    for theirs, ours in zip((*tables, weights), (found.inputs, found.start, found.weights), strict=True):
        for key, value in ours.items():
            grad = theirs[key].grad
            want = np.zeros_like(value) if grad is None else grad.numpy()
            np.testing.assert_allclose(value, want, rtol=1e-9, atol=1e-10, err_msg=key)


def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check above fails for a rule that is wrong by one part in a thousand."""
    monkeypatch.setitem(RULES, "tanh", lambda g, y, a: (g * (1.0 - 1.001 * y * y),))
    with pytest.raises(AssertionError, match="d "):
        check_gradients(case(cells.get("lstm").graph), True, False, 1e-12)


# Where a function has no slope, it has the derivative that its docstring names.
KINKS = {
    "abs": (lambda x: gatework.abs(x), 0.0, 0.0),
    "relu": (lambda x: relu(x), 0.0, 0.0),
    "maximum, the first stopped": (lambda x: maximum(stop(x), x), 0.5, 1.0),
    "maximum, the second stopped": (lambda x: maximum(x, stop(x)), 0.5, 0.0),
    "minimum, the first stopped": (lambda x: minimum(stop(x), x), 0.5, 1.0),
    "minimum, the second stopped": (lambda x: minimum(x, stop(x)), 0.5, 0.0),
    "max over equal units": (lambda x: x * 0 + gatework.max(x), 0.5, 1.0),
    "softplus": (lambda x: softplus(x), 0.0, 0.5),
    "log_sigmoid": (lambda x: log_sigmoid(x), 0.0, 0.5),
    "hard_sigmoid, its upper end": (lambda x: hard_sigmoid(x), 3.0, 0.0),
    "where, its condition": (lambda x: where(x > 0, x, 0.1 * x), 0.0, 0.1),
}


@pytest.mark.parametrize("name", KINKS)
def test_derivatives_where_there_is_no_slope(name: str) -> None:
    function, at, slope_there = KINKS[name]

    @cell(width={"x": "H"})
    def kink(x, h, W):
        return function(x)

    x, ones = np.full((1, 1, 2), at), np.ones((1, 1, 2))
    found = run_backward(kink.graph, {"H": 2}, {"x": x}, {"h": np.zeros((1, 2))}, {}, {"h": ones}, {})
    np.testing.assert_allclose(found.inputs["x"], slope_there, rtol=1e-12, err_msg=name)


def test_there_is_a_rule_for_every_operation() -> None:
    assert set(RULES) == {*ELEMENTWISE, *REDUCTIONS}


def test_the_backward_step_of_the_rnn() -> None:
    assert_expected_inline(
        text(derive(cells.get("rnn").graph)),
        """\
backward of rnn
  %4 = ct(h) : H
  %5 = mul(%3, %3) : H
  %6 = 1 : 1
  %7 = sub(%6, %5) : H
  %8 = mul(%4, %7) : H
  %9 = h.0' %8 : H
  %10 = h.1' %8 : I
  d h <- %9
  d x <- %10
  d h.0 += %8 outer %1
  d h.1 += %8 outer %0
  d h.bias += %8
""",
    )


def test_the_backward_step_of_the_reset_before_gru() -> None:
    """Three products reach h; two of them are ready together and make one dot, with the elementwise terms added."""
    assert_expected_inline(
        text(derive(cells.get("gru_reset_before").graph)),
        """\
backward of gru_reset_before
  %14 = ct(h) : H
  %15 = mul(%14, %1) : H
  %16 = mul(%14, %5) : H
  %17 = mul(%14, %8) : H
  %18 = mul(%14, %10) : H
  %19 = mul(%8, %8) : H
  %20 = sub(%9, %19) : H
  %21 = mul(%18, %20) : H
  %22 = n.0' %21 : H
  %23 = mul(%22, %1) : H
  %24 = mul(%22, %3) : H
  %25 = sub(%15, %17) : H
  %26 = mul(%5, %10) : H
  %27 = mul(%25, %26) : H
  %28 = sub(%9, %3) : H
  %29 = mul(%3, %28) : H
  %30 = mul(%23, %29) : H
  %31 = r.0' %30 + z.0' %27 : H
  %32 = add(%31, %16) : H
  %33 = add(%32, %24) : H
  %34 = r.1' %30 + z.1' %27 + n.1' %21 : I
  d h <- %33
  d x <- %34
  d n.0 += %21 outer %6
  d n.1 += %21 outer %0
  d z.0 += %27 outer %1
  d z.1 += %27 outer %0
  d r.0 += %30 outer %1
  d r.1 += %30 outer %0
  d n.bias += %21
  d z.bias += %27
  d r.bias += %30
""",
    )


def test_no_dead_or_repeated_work() -> None:
    for name in cells.names():
        backward = derive(cells.get(name).graph)
        known = len(backward.forward.nodes)
        assert backward.nodes[:known] == backward.forward.nodes
        keys = [n.key() for n in backward.nodes]
        assert len(set(keys)) == len(keys), f"{name} computes a value twice"
        ends = {
            *backward.d_states,
            *backward.d_inputs,
            *(o.ct for o in backward.outers),
            *(i for _, i in backward.biases),
        }
        read = {a for n in backward.nodes[known:] for a in n.args} | ends | {i for _, i in backward.vectors}
        dead = [i for i in range(known, len(backward.nodes)) if i not in read]
        assert not dead, f"{name}: nothing reads {dead}"


def test_each_state_gets_at_most_one_product() -> None:
    for name in cells.names():
        backward = derive(cells.get(name).graph)
        for node in backward.nodes[len(backward.forward.nodes) :]:
            if node.op == "add":
                assert sum(backward.nodes[a].op == "dot" for a in node.args) < 2, f"{name} adds two products"


def test_what_is_zero_by_structure_is_none() -> None:
    @cell(per={"rate": "call"})
    def quiet(x, gap, rate, h, c, W):
        return tanh(W.f(stop(h), x)) * rate, stop(c) * 0.5 + stop(W.q) * stop(gap)

    backward = derive(quiet.graph)
    assert backward.d_states == (None, None)
    assert backward.d_inputs[0] is not None
    assert backward.d_inputs[1:] == (None, None)
    assert backward.vectors == ()
    made = case(quiet.graph)
    found = run_backward(*made.call, made.d_history)
    assert not found.inputs["gap"].any()
    assert not found.weights["q"].any()


def test_a_gradient_that_all_units_share_is_spread() -> None:
    """sum and mean hand one number to all units; a map and a state need it as a vector."""
    from gatework import mean
    from gatework import sum as over_units

    @cell(width={"h": "1", "c": "H"})
    def pooled(x, h, c, W):
        return over_units(W.f(x, c, width="H")) + mean(c) * 0.5 + mean(h), tanh(W.g(x) * h)

    check_gradients(case(pooled.graph), True, False, 1e-12)


def test_numbers_beyond_the_logarithm_are_left_to_the_backend() -> None:
    made = cell(lambda x, h, W: tanh(W.f(h, x)) * (log(0.0 * W.p) + exp(1000 * W.p)))
    assert isinstance(made.graph, Graph)
