"""Weights in bfloat16 and int8: how far they are from what they stand for, and steps that read them as they are.

The meaning of a step is the reference in float64 on the dense numbers, so that what is compared is arithmetic alone.
Sizes cross what the kernels are cut by: vectors, pairs and fours of inputs, the 256 inputs of a stretch, heads.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from gatework import cells, runtime
from gatework.backends.llvm import narrow
from gatework.backends.llvm.isa import ISAS
from gatework.errors import DataError, OptionError, ShapeError
from gatework.runtime import quantised
from gatework.runtime.interpreted import Interpreted
from gatework.runtime.llvm import compiled, cpu, stream
from gatework.runtime.llvm.narrow import Form, form_of
from gatework.runtime.llvm.pace import Pace
from gatework.runtime.quantised import KINDS, Quantised, dense, narrowed, quantise
from kernel_check import HERE, Pair, Setting, forward, same

# Any kind of tile: also the one of int8 that a processor with products of bytes leaves to others.
WAYS = [(isa, kind) for isa in HERE for kind in KINDS] + [("avx512", "widened")] * ("avx512" in HERE)
SHAPES = [{"H": 12, "I": 7}, {"H": 1, "I": 1}, {"H": 33, "I": 259}, {"H": 264, "I": 3}]


class Narrow(Pair):
    """A case whose matrices are quantised, on the program and, as dense float64, on the reference."""

    def __init__(self, name: str, kind: str, at: Setting):
        super().__init__(cells.get(name).graph, at)
        self.full, self.weights = self.weights, narrowed(self.weights, kind)
        self.made.weights = {key: np.float64(value) for key, value in dense(self.weights).items()}

    def steps_of(self, weights: dict[str, Any]) -> tuple[list[np.ndarray], runtime.Stream]:
        """All steps of a stream, and the stream after them."""
        rates = {i.name: self.inputs[i.name] for i in self.graph.inputs if i.per == "call"}
        stream = runtime.Stream(self.program, weights, self.at.B, rates)
        stream.state, found = self.start, []
        for t in range(self.at.T):
            step = slice(t * self.at.B, (t + 1) * self.at.B)
            for name, buffer in stream.inputs.items():
                buffer[...] = self.inputs[name][step] if name in self.steps else self.inputs[name]
            found.append(stream.step(next(iter(stream.inputs.values()))).copy())
        return found, stream

    def check_steps(self) -> list[np.ndarray]:
        found, stream = self.steps_of(self.weights)
        want, output = forward(self, self.made), self.graph.states[0].name
        self.close(np.concatenate(found), want[f"history of {output}"], f"history of {output}", 1.0, forward)
        for name, values in stream.state.items():
            self.close(values, want[f"final {name}"], f"final {name}", 1.0, forward)
        return found


def setting(isa: str, B: int = 1, **sizes: int) -> Setting:
    return Setting(**{"T": 3, "B": B, "dtype": "float32", "isa": isa, **sizes})


def use(way: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of weights of a way."""
    if way == "widened":
        monkeypatch.setattr(compiled, "form_of", lambda kind, isa: Form("int8", narrow.widened(isa, "int8")))
        return "int8"
    return way


# ---- what the numbers are


def numbers() -> np.ndarray:
    """Of every size, with ties, zeros and rows of one kind only."""
    draw = np.random.default_rng(0)
    found = draw.normal(size=(40, 33)) * 10.0 ** draw.integers(-30, 30, (40, 33))
    found[0], found[1], found[2] = 0.0, 1.0, np.arange(33) / 2
    return found.astype(np.float32)


def test_bf16_is_the_nearest_and_within_its_bound() -> None:
    values = numbers()
    got = quantise(values, "bf16")
    assert np.array_equal(got.dense, torch.from_numpy(values).bfloat16().float().numpy())
    assert (np.abs(got.dense - values) <= np.abs(values) / 256).all()
    assert got.values.nbytes * 2 == values.nbytes


def test_int8_is_within_half_a_scale() -> None:
    values = numbers()
    got = quantise(values, "int8")
    bound = np.maximum(got.scales, np.finfo(np.float32).tiny)[:, None] / 2 * (1 + 1e-4)  # 127 steps, rounded in float32
    assert (np.abs(got.dense - np.float64(values)) <= bound).all()
    assert np.abs(got.values[1:]).max(1).min() == 127 and not got.values[0].any() and got.scales[0] == 1
    flipped = quantise(-values, "int8")
    assert np.array_equal(flipped.values, -got.values) and np.array_equal(flipped.scales, got.scales)


def test_each_head_and_unit_has_its_own_scale() -> None:
    values = np.float32([[[1, 2], [4, 8]], [[100, 0], [0, -1]]])
    got = quantise(values, "int8")
    assert got.scales.shape == (2, 2)
    assert np.allclose(got.scales * 127, [[2, 8], [100, 1]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3.4e38])
@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_no_kind_holds_are_refused(bad: float, kind: str) -> None:
    with pytest.raises(DataError, match=f"too large for {kind}; keep float32"):
        quantise(np.float32([[1.0, bad]]), kind)


def test_what_does_not_fit_together_is_refused() -> None:
    whole = np.zeros((2, 3), np.int8)
    for values, scales, words in (
        (whole, None, r"int8 weights \(2, 3\) need scales \(2,\); got none"),
        (whole, np.ones(3, np.float32), r"need scales \(2,\); got float32 \(3,\)"),
        (whole, np.ones(2), r"got float64"),
        (whole.astype(np.uint16), np.ones(2, np.float32), "bf16 weights .* need scales none"),
        (whole.astype(np.int16), None, "uint16 or int8 matrices"),
        (whole[0], np.float32(1), "uint16 or int8 matrices"),
    ):
        with pytest.raises(ShapeError, match=words):
            Quantised(values, scales)
    with pytest.raises(OptionError, match="weights='int4': choose one of bf16, int8"):
        quantise(np.ones((2, 2), np.float32), "int4")
    weights = {"a.0": quantise(np.ones((2, 2), np.float32), "int8"), "a.1": np.ones((2, 2), np.float32)}
    with pytest.raises(ShapeError, match="these are mixed"):
        quantised.kind_of(weights)
    with pytest.raises(OptionError, match="rounded twice: begin with float32"):
        narrowed({"a.0": weights["a.0"]}, "bf16")


@pytest.mark.parametrize("kind", KINDS)
def test_copies_hold_the_few_bytes_alone(kind: str) -> None:
    made = quantise(numbers(), kind)
    want = made.dense
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made), copy.deepcopy(made)):
        assert "dense" not in vars(again) and np.array_equal(again.dense, want)


# ---- steps


@pytest.mark.parametrize(("isa", "way"), WAYS)
@pytest.mark.parametrize("name", cells.names())
def test_every_cell_steps(name: str, isa: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for B in (1, 3):
        Narrow(name, use(way, monkeypatch), setting(isa, B)).check_steps()


@pytest.mark.parametrize(("isa", "way"), WAYS)
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "slstm", "lstm_projected"])
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_every_shape(name: str, isa: str, way: str, sizes: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    Narrow(name, use(way, monkeypatch), setting(isa, **sizes)).check_steps()


@pytest.mark.parametrize("isa", HERE)
@pytest.mark.parametrize("B", [1, 2, 3])
def test_bf16_has_the_bits_of_its_dense_numbers(isa: str, B: int) -> None:
    at = Narrow("lstm", "bf16", setting(isa, B, H=40, I=27))
    for got, want in zip(at.steps_of(at.weights)[0], at.steps_of(dense(at.weights))[0], strict=True):
        same(got, want, isa)


@pytest.mark.parametrize(("isa", "way"), WAYS)
@pytest.mark.parametrize("name", ["lstm", "slstm", "gru"])
def test_a_row_has_the_same_bits_with_any_others(
    name: str, isa: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Narrow(name, use(way, monkeypatch), setting(isa, 7, H=36, I=20))
    together = np.stack(at.steps_of(at.weights)[0])
    for b in range(7):
        stream = runtime.Stream(at.program, at.weights)
        stream.state = {key: value[b : b + 1] for key, value in at.start.items()}
        alone = [stream.step(at.inputs["x"][t * 7 + b][None]).copy() for t in range(3)]
        same(np.stack(alone)[:, 0], together[:, b], f"row {b}")


class Together(Pace):
    """Every step with the team, however long it takes."""

    def __init__(self) -> None:
        super().__init__()
        self.together = True

    def took(self, seconds: float) -> bool:
        return False


@pytest.mark.parametrize(("isa", "way"), WAYS)
@pytest.mark.parametrize(("name", "sizes"), [("lstm", {"H": 176, "I": 520}), ("slstm", {"H": 384, "I": 270})])
def test_threads_change_no_bit(name: str, sizes: dict, isa: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at = Narrow(name, use(way, monkeypatch), setting(isa, **sizes))
    monkeypatch.setattr(stream, "Pace", Together)
    found = {}
    for threads in (1, 2, 3):
        runtime.set_threads(threads)
        try:
            found[threads] = np.stack(at.steps_of(at.weights)[0])
        finally:
            runtime.set_threads(None)
        assert f"{threads} thread" in at.program.describe() and "weights" in at.program.describe()
    same(found[2], found[1], "two threads")
    same(found[3], found[1], "three threads")


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_read_the_dense_numbers(kind: str) -> None:
    at = Narrow("lstm", kind, setting(HERE[0], 3))
    done = at.forward()
    at.check_forward(done, 1.0)
    slow: Any = Interpreted(at.graph, at.made.sizes, "float32")
    at.check_forward(slow.forward(at.rows, at.inputs, at.start, at.weights), 1.0)
    steps = np.concatenate(at.steps_of(at.weights)[0])
    at.close(steps, np.float64(done.history["h"]), "history of h", 1.0, forward)


@pytest.mark.parametrize(("isa", "way"), WAYS)
def test_large_and_small_inputs(isa: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros, numbers near the ends of float32, and inputs of very unequal size."""
    at = Narrow("rnn", use(way, monkeypatch), setting(isa, I=300))
    stream, weight = runtime.Stream(at.program, at.weights), dense(at.weights)["h.1"]
    zero = {"h": np.zeros((1, 12), np.float32)}
    draw = np.random.default_rng(0).normal(size=(1, 300))
    for size in (0.0, 1e-38, 1e-20, 1e-5, 1e5):
        x = np.float32(draw * size)
        stream.state = zero
        want = np.tanh(np.float64(x) @ weight.T.astype(np.float64) + np.float64(at.weights["h.bias"]))
        np.testing.assert_allclose(stream.step(x), want, rtol=1e-5, atol=1e-5 * min(1, size) + 1e-7)
    uneven = np.float32(draw * np.where(np.arange(300) % 7, 1e-3, 1.0))
    stream.state = zero
    want = np.tanh(np.float64(uneven) @ weight.T.astype(np.float64) + np.float64(at.weights["h.bias"]))
    np.testing.assert_allclose(stream.step(uneven), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(("isa", "way"), WAYS)
def test_what_is_not_finite_is_not_hidden(bad: float, isa: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of NaN in, NaN out, and only there; an infinity saturates, or is NaN where inputs become digits."""
    at = Narrow("rnn", use(way, monkeypatch), setting(isa, 2, I=40))
    stream, x = runtime.Stream(at.program, at.weights, 2), np.ones((2, 40), np.float32)
    clean = stream.step(x).copy()
    stream.reset()
    x[1, 5] = bad
    got = stream.step(x)
    same(got[0], clean[0], "the other row")
    assert np.isnan(got[1]).all() if np.isnan(bad) else (np.isnan(got[1]) | (np.abs(got[1]) == 1)).all()


@pytest.mark.parametrize(("isa", "way"), WAYS)
@pytest.mark.parametrize("fault", ["scale of another row", "scale of another head", "a weight", "an input left out"])
def test_faults_are_caught(fault: str, isa: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at = Narrow("slstm", use(way, monkeypatch), setting(isa))
    at.check_steps()
    planted, key = copy.deepcopy(at.weights), "z.0"
    if planted[key].scales is None and "scale" in fault:
        pytest.skip("bf16 has no scales")
    if fault == "scale of another row":
        planted[key].scales[0, [0, 1]] = planted[key].scales[0, [1, 0]]
    elif fault == "scale of another head":
        planted[key].scales[[0, 1]] = planted[key].scales[[1, 0]]
    elif fault == "a weight":
        planted[key].values[1, 2, 3] ^= 8 if way == "bf16" else 3
    else:
        planted[key].values[:, :, -1] = 0
    at.weights = planted
    with pytest.raises(AssertionError):
        at.check_steps()


def test_a_stream_follows_its_weights() -> None:
    at = Narrow("lstm", "int8", setting(HERE[0]))
    want = at.steps_of(at.weights)[0]
    stream = runtime.Stream(at.program, at.full)
    for weights in (at.weights, narrowed(at.full, "bf16"), at.weights):
        stream.bind(weights)
    stream.state = at.start
    same(stream.step(at.inputs["x"][:1]), want[0], "bound again")


def test_wrong_weights_are_named() -> None:
    at = Narrow("lstm", "int8", setting(HERE[0]))
    wrong = at.weights | {"f.0": quantise(np.ones((12, 11), np.float32), "int8")}
    for call in (lambda: runtime.Stream(at.program, wrong), lambda: at.program.forward(at.rows, at.inputs, {}, wrong)):
        with pytest.raises(ShapeError, match=r"weight 'f.0' is int8 \(12, 11\); it must be float32 \(12, 12\)"):
            call()
    double = Pair(cells.get("lstm").graph, Setting(B=1))
    with pytest.raises(ShapeError, match=r"it must be float64 .* of which float32 may be quantised"):
        runtime.Stream(double.program, narrowed(double.weights, "int8"))


def test_describe_says_which_weights_ran() -> None:
    at = Narrow("lstm", "bf16", setting(HERE[0]))
    at.steps_of(at.weights)
    assert at.program.describe().endswith("bf16 weights")
    at.steps_of(dense(at.weights))
    assert "weights" not in at.program.describe()


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_for_every_instruction_set_compile(kind: str) -> None:
    """Also for processors that are not here."""
    for isa in ISAS.values():
        if isa.triple != "x86_64" or cpu.supported(isa):
            form = form_of(kind, isa)
            assert cpu.compile_object(narrow.library(form.name, form.isa), form.isa)
