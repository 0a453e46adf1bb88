"""`gatework.verify` passes right cells and finds planted faults; `gatework.reference` is the definition, by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gatework
from compare import assert_close
from gatework import cells, stop, tanh, verification
from gatework.compiler.derive import RULES
from gatework.errors import OptionError, ShapeError
from gatework.runtime.interpreted import Interpreted
from gatework.verification import Case


@gatework.cell(per={"static": "sequence", "rate": "call"})
def mixed(x, static, rate, h, W):
    return (1 - rate) * h + rate * tanh(W.f(h, x, static)) + stop(h * h) * W.p


def test_a_right_cell_is_right() -> None:
    """All kinds of inputs, and a `stop`, whose slope must not count."""
    found = gatework.verify(mixed)
    assert found.ok
    assert set(found.derivative) == {"x", "static", "f.0", "f.1", "f.2", "f.bias", "p"}
    assert set(found.kernels) == {"float32", "float64"} and "gradient of static" in found.kernels["float32"]
    assert repr(found).startswith("mixed: right") and "mixed float32" in repr(found)


@pytest.mark.parametrize("name", ["slstm", "gru_d"])
def test_kinks_and_heads(name: str) -> None:
    assert gatework.verify(name, {"heads": 3} if name == "slstm" else None).ok


def test_a_wrong_derivative_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one part in ten thousand; reference and kernel agree on it, the differences do not."""
    monkeypatch.setitem(RULES, "tanh", lambda g, y, a: (g * (1.0 - 1.0001 * y * y),))

    @gatework.cell
    def leaky(x, h, W):
        return 0.875 * h + 0.125 * tanh(W.n(h, x))

    found = gatework.verify(leaky)
    assert not found.ok and found.derivative["n.1"] > 1e-6 and max(found.kernels["float64"].values()) < 1e-11
    assert repr(found).startswith("leaky: WRONG")


def test_a_wrong_kernel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    other = cells.get("rnn_sigmoid").graph
    monkeypatch.setattr(verification, "program", lambda graph, sizes, dtype: Interpreted(other, sizes, dtype))
    found = gatework.verify("rnn")
    assert not found.ok and found.kernels["float32"]["state h"] > 1e-3 and max(found.derivative.values()) < 1e-6


def test_not_a_number_is_not_right() -> None:
    assert not verification.Verification("x", {}, {"f": float("nan")}).ok
    assert np.isnan(verification.error(np.array([np.nan, 1.0]), np.ones(2)))
    assert verification.error(None, np.ones(2)) == 1.0


@pytest.mark.parametrize("way", ["inference", "saved", "stream"])
def test_every_way_of_running_is_tried(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that is in one way alone shows."""
    right = Case.other_ways

    def wrong(case: Case, made: Any) -> dict[str, np.ndarray]:
        found = right(case, made)
        assert set(found) == {"inference", "saved", "stream"}
        return found | {way: found[way] + 0.01}

    assert gatework.verify("gru").ok
    monkeypatch.setattr(Case, "other_ways", wrong)
    found = gatework.verify("gru")
    assert not found.ok and found.kernels["float64"][f"{way}, state h"] > 1e-3
    assert found.kernels["float64"]["state h"] < 1e-11


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(OptionError, match="mixed has no size 'heads'"):
        gatework.verify(mixed, {"heads": 2})
    with pytest.raises(OptionError, match="no input 'rat'; it has x, static, rate"):
        gatework.verify(mixed, inputs={"rat": 0.5})
    for odd in (np.ones((6, 3, 8)), [1.0, 2.0]):
        with pytest.raises(ShapeError, match=r"input x must have shape \(6, 3, 7\); got"):
            gatework.verify(mixed, inputs={"x": odd})


def test_the_reference_by_name() -> None:
    """With what a layer gives, it computes what the layer computes."""
    layer = gatework.Recurrent("gru", 3, 4)
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    found = gatework.reference("gru", layer.layer_sizes(0), {"x": x}, layer.weights(0), lengths=[5, 3])
    output, _ = layer(torch.from_numpy(x), lengths=[5, 3])
    assert_close(output, found.history["h"], 5)
    assert found.values["z"].shape == (5, 2, 4)
    assert not found.history["h"][3:, 1].any()


def test_equations_without_a_value_are_told() -> None:
    @gatework.cell
    def roots(x, h, W):
        root = gatework.log(W.n(h, x))
        return tanh(root)

    found = gatework.verify(roots)
    assert not found.ok
    assert "the equations give NaN themselves, first for root at step 1: give `inputs`" in repr(found)
    assert not gatework.verify(mixed).undefined
