"""The reference: lengths, values, kinds of inputs, second derivatives, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cases import case, sizes_of
from compare import assert_close
from gatework import abs as absolute
from gatework import cell, cells, log, max, maximum, minimum, sigmoid, sqrt, stop, tanh, var, where
from gatework.backends.reference import run, run_backward
from gatework.errors import ShapeError

LSTM = cells.get("lstm").graph


def test_every_named_value_is_given() -> None:
    made = case(LSTM)
    result = run(*made.call, made.lengths)
    assert set(result.values) == {"f", "i", "g", "o", "c", "h"}
    v = result.values
    before = np.concatenate([made.start["c"][None], result.history["c"][:-1]])
    for t, b in ((0, 0), (3, 0), (2, 1)):
        assert_close(v["c"][t, b], v["f"][t, b] * before[t, b] + v["i"][t, b] * v["g"][t, b])
        assert_close(v["h"][t, b], v["o"][t, b] * np.tanh(v["c"][t, b]))
    assert_close(v["h"], result.history["h"])
    assert not v["f"][3:, 1].any(), "zero after the row's end"


def test_inputs_per_sequence_and_per_call() -> None:
    @cell(per={"static": "sequence", "rate": "call"})
    def mixed(x, static, rate, h, W):
        return (1 - rate) * h + rate * tanh(W.f(h, x, static))

    made = case(mixed.graph)
    made.inputs["rate"] = 0.25
    got = run(*made.call).history["h"]
    h, w = made.start["h"], made.weights
    for t in range(5):
        a = h @ w["f.0"].T + made.inputs["x"][t] @ w["f.1"].T + made.inputs["static"] @ w["f.2"].T + w["f.bias"]
        h = 0.75 * h + 0.25 * np.tanh(a)
        assert_close(got[t], h, t + 1)
    found = run_backward(*made.call, made.d_history, None, made.lengths)
    assert set(found.inputs) == {"x", "static"}
    assert found.inputs["static"].shape == made.inputs["static"].shape
    assert not found.inputs["static"][2].any(), "a row without steps"
    assert not found.inputs["x"][3:, 1].any()


@pytest.mark.parametrize("reverse", [False, True])
def test_second_derivatives_through_torch(reverse: bool) -> None:
    made = case(cells.get("gru").graph, T=3, B=2)

    def final(x, h, f):
        weights = {k: torch.tensor(v) for k, v in made.weights.items()} | {"z.0": f}
        return run(made.graph, made.sizes, {"x": x}, {"h": h}, weights, [3, 2], reverse).final["h"]

    arguments = made.inputs["x"], made.start["h"], made.weights["z.0"]
    assert torch.autograd.gradgradcheck(final, [torch.tensor(a, requires_grad=True) for a in arguments])


def test_garbage_behind_a_rows_end_leaves_torchs_gradients_finite() -> None:
    """where(active, new, old) hides NaN forward, but 0 * NaN is NaN backward: padded inputs must not reach the step."""
    made = case(cells.get("minlstm").graph)
    x = torch.tensor(made.inputs["x"])
    x[3:, 1] = float("nan")
    x[:, 2] = float("inf")
    x.requires_grad_()
    weights = {k: torch.tensor(v, requires_grad=True) for k, v in made.weights.items()}
    history = run(made.graph, made.sizes, {"x": x}, None, weights, made.lengths).history["h"]
    history.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert all(torch.isfinite(w.grad).all() for w in weights.values())


def test_nan_and_infinity_are_not_hidden() -> None:
    """A NaN inside a sequence reaches the output through maximum, minimum and all the rest."""

    @cell(width={"h": "I"})
    def kinks(x, h, W):
        return maximum(x, 0.0) + minimum(0.0, x)

    x = np.array([np.nan, np.inf, -np.inf, -2.0])[None, None]
    got = run(kinks.graph, {"I": 4}, {"x": x}, None, {}).history["h"][0, 0]
    assert np.isnan(got[0])
    assert got[1:].tolist() == [np.inf, -np.inf, -2.0]


def test_torch_and_numpy_mean_the_same_operations() -> None:
    @cell
    def everything(x, h, W):
        a = W.f(h, x)
        b = where(a < 0.1, absolute(a), sqrt(absolute(a) + 1)) + log(absolute(a) + 0.5) + stop(a)
        c = sigmoid(b) * max(a) + var(b) + maximum(a, b) * minimum(a, 0.3) + where(a <= b, 1.0, 2.0)
        return tanh(c / 3)

    made = case(everything.graph)
    tables = [{k: torch.tensor(v) for k, v in t.items()} for t in (made.inputs, made.start, made.weights)]
    want = run(*made.call, made.lengths)
    assert_close(run(made.graph, made.sizes, *tables, made.lengths).history["h"], want.history["h"], 5)
    d = {k: torch.tensor(v) for k, v in made.d_history.items()}
    got = run_backward(made.graph, made.sizes, *tables, d, None, made.lengths)
    ours = run_backward(*made.call, made.d_history, None, made.lengths)
    for key, value in ours.weights.items():
        assert_close(got.weights[key], value, 5)


@pytest.mark.parametrize("lengths", [[5, 5], [5, 5, 6], [5, -1, 0]])
def test_lengths_that_do_not_fit(lengths: list[int]) -> None:
    made = case(LSTM)
    with pytest.raises(ShapeError, match="from 0 to T=5"):
        run(*made.call, lengths)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"inputs": {}}, r"\(T, B, width\)"),
        ({"inputs": {"x": np.ones((5, 3))}}, r"\(T, B, width\)"),
        ({"inputs": {"x": np.ones((5, 3, 7))}}, r"'x' has shape \(5, 3, 7\), expected \(5, 3, 3\)"),
        ({"start": {"c": np.ones((3, 9))}}, r"'c' has shape \(3, 9\), expected \(3, 4\)"),
        ({"weights": {}}, r"'f.0' of shape \(4, 4\) is missing"),
        ({"sizes": {"I": 3}}, "'H'"),
        ({"inputs": {"x": torch.ones(5, 3, 3)}}, "mixed"),
        ({"inputs": {"x": [[[1.0]]]}}, r"\(T, B, width\)"),
        ({"start": {"c": [[1.0]]}}, "list"),
    ],
)
def test_arrays_that_do_not_fit(change: dict, says: str) -> None:
    made = case(LSTM)
    arguments = {"sizes": sizes_of(LSTM), "inputs": made.inputs, "start": made.start, "weights": made.weights} | change
    with pytest.raises(ShapeError, match=says):
        run(LSTM, **arguments)
