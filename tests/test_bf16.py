"""Programs whose products read bfloat16, against the reference in float64 that rounds operands in the same places.

A state that differs by a rounding of float32 may round to the next bfloat16, so what is allowed beyond float32's own
bounds is what the reference itself shows when its numbers are nudged that much (kernel_check.Pair.uncertainty). That
any number of threads gives the same bits is tested in test_threads.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gatework import cells, runtime
from gatework.backends.llvm import rounded
from gatework.backends.llvm.isa import ISAS
from gatework.compiler.lang import cell
from gatework.errors import OptionError
from gatework.runtime.llvm import cpu
from gatework.runtime.llvm.compiled import Compiled
from gatework.runtime.llvm.rounded import RoundedParts
from gatework.runtime.program import Program
from gatework.runtime.rows import Rows
from kernel_check import HERE, LAYOUTS, Pair, Setting, check, same

PAIRS = "avx512" in HERE and cpu.supported(rounded.pairs(ISAS["avx512"]))


def bf16(**fixed: Any) -> Setting:
    return Setting(**{"dtype": "float32", "precision": "bf16", "T": 3, **fixed})


EACH = [
    (name, bf16(isa=HERE[k % len(HERE)], layout=LAYOUTS[k % 4], recompute=k % 5 == 0, seed=k))
    for k, name in enumerate(cells.names())
]
LARGE = [
    ("lstm", bf16(T=40, B=41, H=21, layout="ragged")),  # several chunks of steps on the way back, odd ones too
    ("gru", bf16(T=30, B=31, H=20, layout="ragged reverse", recompute=True)),
    ("lstm", bf16(B=23, H=70, I=531)),  # several chunks of units, and stretches of an odd number of inputs
    ("lstm", bf16(B=9, H=150, I=301, isa=HERE[-1])),
    ("lstm_peephole", bf16(H=1, I=1, B=1)),
    ("lstm", bf16(B=9, H=64, I=32, layout="ragged")),  # operands that are multiplied as one
    ("gru_reset_before", bf16(B=9, H=64, I=32, isa=HERE[-1])),
]


@pytest.mark.parametrize(("name", "at"), [*EACH, *LARGE], ids=str)
def test_as_the_reference_that_rounds(name: str, at: Setting) -> None:
    check(cells.get(name).graph, at)


def test_the_comparison_sees_whether_operands_are_rounded() -> None:
    pair = Pair(cells.get("lstm").graph, bf16())
    pair.program = Compiled(pair.graph, pair.made.sizes, "float32", pair.program.isa)
    with pytest.raises(AssertionError, match="differs by"):
        pair.check_forward(pair.forward(), 1.0)
    with pytest.raises(AssertionError, match="differs by"):
        pair.check_backward(pair.backward(pair.forward()), 1.0)


@cell
def plain(x, h, W):
    """h = W x: with the identity as W, what products read of x."""
    return W.h(x)


NUMBERS = [0.0, 1.0, 1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8 - 2**-20, 3.3e38, 3.4e38, -3.4e38, 1e-37, 2 / 3]


@pytest.mark.parametrize("isa", HERE)
def test_operands_are_the_nearest_bfloat16(isa: str) -> None:
    """Ties go to the even one; what is too large is infinite. Each number has a row of its own, as 0 * infinity."""
    x = np.array([*NUMBERS, *np.random.default_rng(0).normal(size=22)], np.float32)
    program = Compiled(plain.graph, {"I": 3, "H": 2}, "float32", ISAS[isa], precision="bf16")
    weights = {"h.0": np.array([[0, 0, 1], [0, 0, 0]], np.float32), "h.bias": np.zeros(2, np.float32)}
    inputs = {"x": np.pad(x[:, None], ((0, 0), (2, 0)))}
    got = program.forward(Rows.rectangle(1, len(x)), inputs, {}, weights).history["h"][:, 0]
    same(got, torch.from_numpy(x).bfloat16().float().numpy(), isa)
    inputs["x"][5] = np.nan
    got = program.forward(Rows.rectangle(1, len(x)), inputs, {}, weights).history["h"]
    assert np.isnan(got[5]).all() and not np.isnan(np.delete(got, 5, 0)[:, 0]).any()


def panels(program: Compiled) -> int:
    """How many panels its weights are packed into."""
    return sum(len(parts.panels) for parts in program.parts.values())


def test_operands_that_are_multiplied_as_one_add_up_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(cells.get("lstm").graph, bf16(B=9, H=64, I=32))
    done = pair.forward()
    found, together = pair.backward(done), panels(pair.program)
    monkeypatch.setattr(RoundedParts, "_join", lambda self, pieces, plan: {piece: [piece] for piece in pieces})
    pair.program = Compiled(pair.graph, pair.made.sizes, "float32", pair.program.isa, precision="bf16")
    apart = pair.forward()
    for name, values in pair.backward(apart).weights.items():
        same(found.weights[name], values, name)
    same(done.history["h"], apart.history["h"], "h")
    assert panels(pair.program) > together


def test_no_sum_is_further_from_float32_than_its_bound() -> None:
    """A product of rounded operands is off by (1 + 1/256)^2 - 1 < 1/127; tanh makes no error larger. The way back
    through one step has two products: the gradient of the input is bounded by those of the cotangents."""
    sizes, rows, draw = {"I": 300, "H": 200}, Rows.rectangle(1, 40), np.random.default_rng(1)
    full, half = (runtime.program(cells.get("rnn").graph, sizes, precision=p) for p in (None, "bf16"))
    w = {k: np.float32(draw.normal(size=s) * 0.05) for k, s in full.shapes.items()}
    inputs, start = {"x": np.float32(draw.normal(size=(40, 300)))}, {"h": np.float32(draw.normal(size=(40, 200)))}
    a, b = (p.forward(rows, inputs, start, w, train=True) for p in (full, half))
    products = np.abs(start["h"]) @ np.abs(w["h.0"]).T + np.abs(inputs["x"]) @ np.abs(w["h.1"]).T
    off = np.abs(a.history["h"] - b.history["h"])
    assert off.max() > 0 and (off <= products / 127).all()
    d = np.float32(draw.normal(size=(40, 200)))
    b.history = a.history  # the same cotangents of the sums: what differs is the products
    da, db = (p.backward(done, {"h": d}, {}) for p, done in ((full, a), (half, b)))
    ct = np.abs(d * (1 - a.history["h"] ** 2))
    assert (np.abs(da.inputs["x"] - db.inputs["x"]) <= ct @ np.abs(w["h.1"]) / 127).all()
    assert (np.abs(da.weights["h.1"] - db.weights["h.1"]) <= ct.T @ np.abs(inputs["x"]) / 127).all()
    assert np.allclose(da.weights["h.bias"], db.weights["h.bias"], rtol=1e-5)  # no product: float32


def test_what_runs_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm, sizes = cells.get("lstm").graph, {"I": 3, "H": 4}
    x, weights = {"x": np.ones((2, 3), np.float32)}, {}

    def said(program: Program) -> str:
        weights.update({k: np.zeros(s, np.float32) for k, s in program.shapes.items()})
        program.forward(Rows.rectangle(1, 2), x, {}, weights)
        return program.describe()

    if PAIRS:
        assert said(runtime.program(lstm, sizes, precision="bf16")).endswith(", bf16 products")
        heads = runtime.program(cells.get("slstm").graph, {**sizes, "heads": 2}, precision="bf16")
        assert said(heads).endswith(", bf16 products, widened to float32 (heads)")
    monkeypatch.setenv("GATEWORK_ISA", HERE[-1])
    narrow = runtime.program(lstm, sizes, precision="bf16")
    assert said(narrow).endswith("bf16 products, widened to float32 (no AVX512-BF16)")
    assert narrow is not runtime.program(lstm, sizes) and "bf16" not in said(runtime.program(lstm, sizes))
    monkeypatch.setenv("GATEWORK_ISA", "reference")
    assert "float32, bf16 products (GATEWORK_ISA" in said(runtime.program(lstm, sizes, precision="bf16"))


def test_what_is_refused() -> None:
    graph, sizes = cells.get("lstm").graph, {"I": 3, "H": 4}
    with pytest.raises(OptionError, match="precision='half': choose 'bf16', or None"):
        runtime.program(graph, sizes, precision="half")
    with pytest.raises(OptionError, match="bf16 are a precision of float32 programs, not of float64"):
        runtime.program(graph, sizes, "float64", precision="bf16")


def test_steps_of_a_stream_have_the_bits_of_the_whole() -> None:
    pair = Pair(cells.get("gru").graph, bf16(B=2, H=35))
    whole = pair.forward(train=False).history["h"]
    stream = runtime.Stream(pair.program, pair.weights, batch=2)
    stream.state = pair.start
    for t in range(3):
        same(stream.step(pair.inputs["x"][2 * t : 2 * t + 2]), whole[2 * t : 2 * t + 2], f"step {t}")
