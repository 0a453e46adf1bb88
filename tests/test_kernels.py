"""Compiled kernels against the reference: every cell, type and instruction set; shapes, layouts and wrappers, sampled.

float32 must come within 1e-5 of float64 arithmetic on the same numbers, relative to the largest value and scaled with
the square root of T; float64 within 1e-12 (compare.tolerance). What is not crossed fully is drawn by turns, so that
each value of each axis meets each instruction set and each type.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compare import assert_all_close
from gatework import cells
from gatework.backends.llvm.isa import ISAS
from gatework.compiler import lang as g
from gatework.compiler.pipeline import prepare
from gatework.runtime.llvm.compiled import Compiled
from gatework.runtime.rows import Rows
from kernel_check import HERE, LAYOUTS, Pair, Setting, check, same

DTYPES = ("float32", "float64")
# One product, two stages in a row, heads, a state narrower than the units, reductions, a state that a product reads.
SHAPED = ("lstm", "gru_reset_before", "slstm", "lstm_projected", "lstm_layer_norm", "lstm_peephole")
SHAPES = [
    {"H": 1}, {"I": 1}, {"B": 1}, {"T": 1}, {"T": 0}, {"B": 0}, {"H": 1, "I": 1, "B": 1, "T": 1},
    {"H": 17}, {"H": 33, "B": 7}, {"H": 64, "I": 16, "B": 13}, {"H": 3, "B": 40}, {"B": 25, "T": 3},
]  # fmt: skip
WRAPPERS: dict[str, dict[str, dict[str, Any]]] = {
    "layer_norm": {"layer_norm": {}},
    "layer_norm_parts": {"layer_norm": {"of": "parts"}},
    "dropout": {"recurrent_dropout": {}},
    "dropout_by_map": {"recurrent_dropout": {"per": "map"}},
    "zoneout": {"zoneout": {"states": ["h"]}},
    "clip": {"clip": {"limit": 0.7, "states": ["h"]}},
    "reset": {"reset": {}},
    "hold": {"hold": {}},
    "everything": {"recurrent_dropout": {}, "zoneout": {"states": ["h"]}, "hold": {}, "reset": {}},
}
turn = itertools.count()


def by_turns(**fixed: Any) -> Setting:
    """The next point on the axes that are not fixed, drawn so that no two axes go in step."""
    k = next(turn)
    draw = random.Random(k)
    free = {
        "isa": draw.choice(HERE), "dtype": draw.choice(DTYPES), "layout": draw.choice(LAYOUTS),
        "recompute": draw.random() < 0.3, "given_start": draw.random() < 0.7, "seed": k,
    }  # fmt: skip
    return Setting(**{**free, **fixed})


EACH = [(name, by_turns(isa=isa, dtype=d)) for name in cells.names() for isa in HERE for d in DTYPES]
EACH_SHAPE = [(name, by_turns(**shape)) for name in SHAPED for shape in SHAPES for _ in range(2)]
EACH_WRAPPER = [
    (name, wrapper, by_turns()) for name in ("lstm", "gru", "slstm", "gru_reset_before") for wrapper in WRAPPERS
]


@pytest.mark.parametrize(("name", "at"), EACH, ids=str)
def test_every_cell(name: str, at: Setting) -> None:
    check(cells.get(name).graph, at)


@pytest.mark.parametrize(("name", "at"), EACH_SHAPE, ids=str)
def test_shapes(name: str, at: Setting) -> None:
    few = at.H * at.B * at.T < 50  # one number alone has no larger one beside it: what 1 - z**2 loses, it shows
    check(cells.get(name).graph, at, loosen=10 if few else 1)


@pytest.mark.parametrize(("name", "wrapper", "at"), EACH_WRAPPER, ids=str)
def test_wrappers(name: str, wrapper: str, at: Setting) -> None:
    check(prepare(cells.get(name).graph, WRAPPERS[wrapper]), at)


def test_the_sample_meets_every_pair() -> None:
    settings = [at for _, at in EACH]
    assert {(at.isa, at.dtype, at.layout) for at in settings} == set(itertools.product(HERE, DTYPES, LAYOUTS))
    for field in ("recompute", "given_start"):
        assert {(at.isa, at.dtype, getattr(at, field)) for at in settings} >= set(
            itertools.product(HERE, DTYPES, (True, False))
        )


LARGE = [
    ("lstm", Setting(T=40, B=41, H=20, layout="ragged")),  # several chunks of steps on the way back
    ("lstm", Setting(T=40, B=41, H=20, layout="ragged reverse", recompute=True, dtype="float32")),
    ("gru_reset_before", Setting(T=30, B=50, H=20, layout="reverse", recompute=True)),
    ("gru", Setting(T=200, B=2, H=24, dtype="float32", isa=HERE[-1])),
    ("lstm", Setting(T=3, B=70, H=150, I=300)),  # several chunks of units and stretches of inputs
    ("lstm", Setting(T=3, B=2, H=150, I=300, dtype="float32")),
    ("slstm", Setting(T=3, B=9, H=150, I=20, isa=HERE[-1])),  # heads that no chunk ends with
    ("lstm_layer_norm", Setting(T=4, B=9, H=130, I=20, dtype="float32", isa=HERE[len(HERE) // 2])),
    ("rnn", Setting(T=5, B=600, H=9, I=3, dtype="float32")),
    ("lstm", Setting(T=5, B=7, H=8, I=512, layout="ragged", isa=HERE[-1])),  # 4 KiB from row to row
    ("rnn", Setting(T=3, B=4, H=512, I=8, layout="reverse", isa=HERE[-1])),
]


@pytest.mark.parametrize(("name", "at"), LARGE, ids=str)
def test_large(name: str, at: Setting) -> None:
    check(cells.get(name).graph, at)


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "slstm"])
def test_cut_in_two(name: str) -> None:
    """A law: a sequence run in two parts, states handed over, has the bits of the whole, and the gradients add up."""
    whole = Pair(cells.get(name).graph, Setting(T=9, B=4))
    done = whole.forward()
    parts, start, cut = [], whole.start, 5 * 4
    for piece in (slice(None, cut), slice(cut, None)):
        inputs = {k: v[piece] for k, v in whole.inputs.items()}
        rows = Rows.rectangle(len(inputs["x"]) // 4, 4)
        parts.append(whole.program.forward(rows, inputs, start, whole.weights, train=True))
        start = parts[-1].final
    for s in done.history:
        same(np.concatenate([p.history[s] for p in parts]), done.history[s], s)
    want = whole.backward(done)
    d_history = {s: whole.flat(v) for s, v in whole.made.d_history.items()}
    last = {s: v[cut:] for s, v in d_history.items()}
    second = whole.program.backward(parts[1], last, whole.casts(whole.made.d_final))
    first = whole.program.backward(parts[0], {s: v[:cut] for s, v in d_history.items()}, second.start)
    same(np.concatenate([first.inputs["x"], second.inputs["x"]]), want.inputs["x"], "x")
    assert_all_close({k: first.weights[k] + second.weights[k] for k in want.weights}, want.weights, 9)


@pytest.mark.parametrize("isa", HERE)
@pytest.mark.parametrize("name", ["lstm", "slstm_exp"])
def test_rows_do_not_see_each_other(name: str, isa: str) -> None:
    """A law: a row's bits do not depend on the rows beside it, nor on how many there are."""
    many = Pair(cells.get(name).graph, Setting(T=4, B=23, H=37, isa=isa, dtype="float32"))
    whole = many.forward().history["h"].reshape(4, 23, -1)
    for b in (0, 11, 22):
        inputs = {"x": np.ascontiguousarray(many.inputs["x"].reshape(4, 23, -1)[:, b])}
        start = {s: v[b : b + 1] for s, v in many.start.items()}
        alone = many.program.forward(Rows.rectangle(4, 1), inputs, start, many.weights)
        same(alone.history["h"], np.ascontiguousarray(whole[:, b]), f"row {b}")


def test_only_what_is_needed() -> None:
    pair = Pair(prepare(cells.get("lstm").graph, {"recurrent_dropout": {}}), Setting())
    done = pair.forward()
    full = pair.backward(done)
    none = pair.backward(done, need=())
    assert not none.inputs and not none.weights
    x, dropout = pair.backward(done, need={"x"}), pair.backward(done, need={"drop_h", "weights"})
    same(x.inputs["x"], full.inputs["x"], "x")
    assert not x.weights
    same(dropout.inputs["drop_h"], full.inputs["drop_h"], "drop_h")
    for key, values in dropout.weights.items():
        same(values, full.weights[key], key)


def test_missing_gradients_are_zero() -> None:
    pair = Pair(cells.get("lstm").graph, Setting())
    done, shape = pair.forward(), pair.inputs["x"].shape[0]
    zeros = {s: np.zeros((shape, 12)) for s in "hc"}, {s: np.zeros((5, 12)) for s in "hc"}
    one = {"h": pair.flat(pair.made.d_history["h"])}
    left_out = pair.program.backward(done, {**one, "c": None}, {})
    spelled_out = pair.program.backward(done, zeros[0] | one, zeros[1])
    for key in left_out.weights:
        same(left_out.weights[key], spelled_out.weights[key], key)
    same(left_out.inputs["x"], spelled_out.inputs["x"], "x")


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_order_does_not_matter(dtype: str) -> None:
    """Columns apart, rows apart, transposed, backwards, repeated, misaligned: the same numbers, the same bits."""
    pair = Pair(cells.get("lstm").graph, Setting(dtype=dtype))
    pair.start = {s: np.repeat(v[:1], 5, 0) for s, v in pair.start.items()}
    want, wanted = pair.forward(), pair.backward(pair.forward())
    pair.inputs = {"x": spread(pair.inputs["x"])}
    pair.start = {s: np.broadcast_to(v[0], v.shape) for s, v in pair.start.items()}
    pair.weights = {k: odd(k, v) for k, v in pair.weights.items()}
    got = pair.forward()
    for s in want.history:
        same(got.history[s], want.history[s], s)
        same(pair.forward(train=False).final[s], want.final[s], s)
    into = {k: odd(k, np.full_like(v, np.nan)) for k, v in pair.weights.items() if ".bias" not in k}
    found = pair.backward(got, into=into)
    for key, values in found.weights.items():
        assert key not in into or values is into[key]
        same(np.ascontiguousarray(values), wanted.weights[key], key)


def spread(values: np.ndarray) -> np.ndarray:
    """The same values, every second row and column of a larger array."""
    room = np.full([2 * n for n in values.shape], np.nan, values.dtype)
    room[::2, ::2] = values
    return room[::2, ::2]


def odd(key: str, values: np.ndarray) -> np.ndarray:
    """The same values, stored in an order that depends on the key."""
    if values.ndim == 1:
        return values[::-1].copy()[::-1]
    return np.asfortranarray(values) if key[0] in "fi" else spread(values)


def test_misaligned_arrays() -> None:
    pair = Pair(cells.get("lstm").graph, Setting(dtype="float32"))
    want = pair.forward().history["h"]
    raw = np.zeros(pair.inputs["x"].nbytes + 1, np.uint8)
    moved = raw[1:].view(np.float32).reshape(pair.inputs["x"].shape)
    moved[...] = pair.inputs["x"]
    record = np.zeros(12, [("before", "i2"), ("bias", "f4")])
    record["bias"] = pair.weights["f.bias"]
    pair.inputs, pair.weights["f.bias"] = {"x": moved}, record["bias"]
    same(pair.forward().history["h"], want, "h")


def test_weights_that_change_are_packed_again() -> None:
    """Also where another layout of rows ran in between, with `same_weights` promised since then."""
    pair = Pair(cells.get("rnn").graph, Setting(T=3, B=4))
    two = Rows.rectangle(1, 2)

    def step(**options: Any) -> np.ndarray:
        inputs = {"x": pair.inputs["x"][:2]}
        start = {"h": pair.start["h"][:2]}
        return pair.program.forward(two, inputs, start, pair.weights, **options).history["h"]

    before = step()
    pair.weights = {k: v * 0.5 for k, v in pair.weights.items()}
    pair.forward(train=False)
    after = step(same_weights=True)
    assert not np.array_equal(after, before)
    same(after, step(), "h")
    same(after, step(same_weights=True), "h")


def test_empty_gradients_are_zero() -> None:
    for at in (Setting(T=0), Setting(B=0), Setting(layout="ragged", T=0, B=3)):
        pair = Pair(cells.get("gru").graph, at)
        found = pair.backward(pair.forward())
        assert all(not v.any() for v in found.weights.values())
        assert_all_close(found.start, pair.made.d_final)


def test_extreme_numbers() -> None:
    """Saturated gates, infinities and NaN go where arithmetic sends them, as in the reference."""
    at = Setting(T=3, B=4, H=20, dtype="float32")
    pair = Pair(cells.get("lstm").graph, at)
    pair.inputs["x"][0] = 3e38
    pair.inputs["x"][1] = np.inf
    pair.inputs["x"][2] = np.nan
    done = pair.forward()
    from gatework.backends import reference

    inputs = {"x": pair.inputs["x"].astype(np.float64).reshape(3, 4, -1)}
    with np.errstate(all="ignore"):
        want = reference.run(*pair.made.call[:2], inputs, *pair.made.call[3:]).history["h"].reshape(12, -1)
    assert np.isnan(done.history["h"][2]).all()
    assert (np.isnan(done.history["h"]) == np.isnan(want)).all()
    assert np.isfinite(done.history["h"][3]).all()


def test_the_interpreter_gives_the_same_numbers() -> None:
    """`runtime.program` may give either; both take the same rows."""
    from gatework.runtime.interpreted import Interpreted

    for layout in LAYOUTS:
        pair = Pair(cells.get("gru_d").graph, Setting(layout=layout))
        slow: Any = Interpreted(pair.graph, pair.made.sizes, "float64")
        pair.check()
        pair.program = slow
        pair.check()


def test_programs_of_other_sizes_share_code() -> None:
    """Machine code knows no sizes: the second program finds it in the cache, and is right."""
    graph = cells.get("mgu").graph
    for H in (4, 19):
        check(graph, replace(Setting(), H=H, seed=H))
    programs = [Compiled(graph, {"I": 3, "H": H}, "float32", ISAS[HERE[0]]) for H in (4, 19)]
    assert len({tuple(p.inference.slots) for p in programs}) == 1


NUMBERS: dict[str, Any] = {
    "a map of a mean": lambda x, h, W: 0.7 * h + 0.3 * g.tanh(W.m(x, g.mean(h))),
    "a map of a spread": lambda x, h, W: 0.7 * h + 0.3 * g.tanh(W.m(x, g.var(x))),
    "a map of a largest value": lambda x, h, W: 0.7 * h + 0.3 * g.tanh(W.m(g.max(h), x)),
    "a map of a sum alone": lambda x, h, W: g.tanh(W.m(h, x) + W.s(g.sum(h))),
    "a map of a map of a mean": lambda x, h, W: g.tanh(W.m(h) + W.s(g.tanh(W.f(g.mean(x), x, width="1")))),
    "one gate for all units": lambda x, h, W: h + g.sigmoid(W.f(h, x, width="1")) * (W.n(x) - h),
    "the other side of one gate": lambda x, h, W: (1 - g.sigmoid(W.f(h, x, width="1"))) * g.tanh(W.n(h, x)),
    "one number in a sum": lambda x, h, W: g.tanh(W.f(x, width="1") + W.n(h)),
    "one number alone": lambda x, h, W: 0.9 * h + W.f(x, width="1"),
    "one gate and many": lambda x, h, W: g.sigmoid(W.f(h, width="1")) * g.sigmoid(W.u(x)) * h + g.tanh(W.n(x)),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("H", [1, 4, 19])
@pytest.mark.parametrize("recompute", [False, True])
def test_maps_of_one_number_and_to_one_number(name: str, H: int, recompute: bool) -> None:
    """A reduction that a map reads, and a map of width 1, stand alone between wider stages, forward and backward."""
    made = g.cell(NUMBERS[name], name="numbers")
    check(made.graph, Setting(H=H, I=3, recompute=recompute, layout="ragged"))
