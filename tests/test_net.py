"""Nets: their operations against torch, their JSON, and what is refused."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from scipy.special import ndtr

from gatework import LSTM, Recurrent
from gatework.errors import FileFormatError, ShapeError
from gatework.layers.saving import entries
from gatework.networks.attention import AttentionLayer
from gatework.runtime.net import Bound, Builder, ops, run
from gatework.runtime.net.graph import decode
from gatework.runtime.net.stack import Stack

LENGTHS = np.array([5, 2, 0, 7])


def data(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def one(op: str, *arrays: np.ndarray, **settings: object) -> np.ndarray:
    """The value of a net of one operation, by way of its JSON."""
    b = Builder()
    names = [
        b.input(f"i{k}", ("A",) * a.ndim, "int64" if a.dtype.kind == "i" else "float32") for k, a in enumerate(arrays)
    ]
    b.output("y", getattr(b, op)(*names, **settings))
    net = decode(json.loads(json.dumps(b.net().encode())))
    return Bound(net, b.arrays, b.stacks)(**{f"i{k}": a for k, a in enumerate(arrays)})["y"]


def test_convolution_is_torchs_on_each_sequence_alone() -> None:
    x, weight, bias, lengths = data(7, 3, 3), data(5, 3, 3, seed=1), data(5, seed=2), np.array([5, 1, 7])
    found = one("conv", x, weight, bias, lengths)
    for row, length in enumerate(lengths):
        alone = torch.from_numpy(x[:length, row]).T[None]
        wanted = torch.nn.functional.conv1d(alone, *map(torch.from_numpy, (weight, bias)), padding=1)[0].T
        np.testing.assert_allclose(found[:length, row], wanted, rtol=1e-5, atol=1e-5)


def test_convolution_over_time_and_across_is_torchs_on_each_sequence_alone() -> None:
    x, weight, bias, lengths = data(7, 3, 6, 2), data(5, 2, 4, 3, seed=1), data(5, seed=2), np.array([5, 1, 7])
    x[5:, 0] = np.nan
    found = one("conv2d", x, weight, bias, lengths, strides=[3, 2], before=[2, 1])
    assert found.shape == (3, 3, 3, 5)
    for row, length in enumerate(lengths):
        alone = torch.from_numpy(x[:length, row]).permute(2, 0, 1)[None]
        alone = torch.nn.functional.pad(alone, (1, 1, 2, 1))
        wanted = torch.nn.functional.conv2d(alone, *map(torch.from_numpy, (weight, bias)), stride=(3, 2))[0]
        steps = int(one("shortened", lengths, stride=3)[row])
        assert steps == wanted.shape[1]
        np.testing.assert_allclose(found[:steps, row], wanted.permute(1, 2, 0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"strides": [0, 1], "before": [1, 1]}, "stride 0"),
        ({"strides": [1, -2], "before": [1, 1]}, "stride -2"),
        ({"strides": [1, 1], "before": [3, 1]}, "begin 3 and 1"),
        ({"strides": [1, 1], "before": [1, -1]}, "begin 1 and -1"),
    ],
)
def test_kernels_of_a_stranger_stay_where_they_can_read(how: dict, told: str) -> None:
    with pytest.raises(FileFormatError, match=told):
        one("conv2d", data(7, 3, 6, 2), data(5, 2, 3, 3), data(5), np.array([5, 1, 7]), **how)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gelu_is_x_by_the_normal_distribution(dtype: str) -> None:
    """Small numbers of the left tail, too, to their own last digits."""
    x = np.concatenate([np.linspace(-8, 8, 2_001), [-1e30, -20, 20, 1e30]]).astype(dtype)
    wanted = x.astype(np.float64) * ndtr(x.astype(np.float64))
    np.testing.assert_allclose(ops.gelu(x), wanted, rtol={"float32": 2e-5, "float64": 1e-13}[dtype], atol=1e-16)
    assert ops.gelu(x).dtype == dtype and np.isnan(ops.gelu(np.array([np.nan], dtype)))


def test_layers_are_normalised_as_torchs() -> None:
    x, weight, bias = data(7, 3, 5) * 4 + 1, data(5, seed=1), data(5, seed=2)
    wanted = torch.nn.functional.layer_norm(*map(torch.from_numpy, (x,)), (5,), *map(torch.from_numpy, (weight, bias)))
    np.testing.assert_allclose(one("layer_norm", x, weight, bias, epsilon=1e-5), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["mean", "max"])
def test_pooling_ignores_what_lies_beyond_the_ends(kind: str) -> None:
    x, lengths = data(7, 3, 2), np.array([5, 1, 7])
    spoiled = x.copy()
    for row, length in enumerate(lengths):
        spoiled[length:, row] = 1e30
    whole = [getattr(x[:length, row], kind)(0) for row, length in enumerate(lengths)]
    np.testing.assert_allclose(one("pool", spoiled, lengths, kind=kind), whole, rtol=1e-5)


def test_weights_over_time_are_a_softmax_of_each_sequence() -> None:
    scores, lengths = data(7, 3) * 50, np.array([5, 1, 7])
    found = one("time_softmax", scores, lengths)
    for row, length in enumerate(lengths):
        wanted = torch.from_numpy(scores[:length, row]).softmax(0)
        np.testing.assert_allclose(found[:length, row], wanted, rtol=1e-5, atol=1e-7)
        assert not found[length:, row].any()


def test_bags_are_torchs() -> None:
    table, ids, counts = data(9, 4), np.array([[1, 2, 0], [8, 0, 0], [0, 0, 0]]), np.array([2, 1, 0])
    bag = torch.nn.EmbeddingBag.from_pretrained(torch.from_numpy(table), mode="mean")
    wanted = bag(torch.tensor([1, 2, 8]), torch.tensor([0, 2, 3]))
    np.testing.assert_allclose(one("bag", table, ids, counts), wanted, rtol=1e-6)


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "mgu", "lstm_peephole"])
def test_recurrent_nodes_are_the_layers(cell: str, both: bool) -> None:
    torch.manual_seed(0)
    layer = Recurrent(cell, 3, 4, num_layers=2, bidirectional=both, learn_initial_state=True).eval()
    b, x = Builder(), data(7, 4, 3)
    y, last = b.recurrent(entries(layer), b.input("x", ("T", "B", 3)), b.input("lengths", ("B",), "int64"))
    b.output("y", y)
    for name, value in last.items():
        b.output(name, value)
    found = Bound(b.net(), b.arrays, b.stacks)(x=x, lengths=LENGTHS)
    with torch.no_grad():
        wanted, states = layer(torch.from_numpy(x), lengths=torch.from_numpy(LENGTHS))
    np.testing.assert_array_equal(found["y"], wanted.numpy())
    names = [s.name for s in layer.graph.states]
    for name, state in zip(names, states, strict=True):
        own = [found[f"{k}.{d}.{name}"] for k in range(2) for d in range(1 + both)]
        np.testing.assert_array_equal(np.stack(own), state.numpy())


def test_steps_of_a_net_are_the_whole() -> None:
    torch.manual_seed(0)
    layer, b = LSTM(3, 4, num_layers=2, learn_initial_state=True).eval(), Builder()
    b.output("y", b.step(entries(layer), b.input("x", ("B", 3))))
    net, x = Bound(b.net(), b.arrays, b.stacks), data(6, 2, 3)
    states, outputs = net.start(2), []
    for step in x:
        states = net(x=step, **states)
        outputs.append(states.pop("y"))
    with torch.no_grad():
        np.testing.assert_allclose(np.stack(outputs), layer(torch.from_numpy(x))[0], rtol=1e-5, atol=1e-6)


def test_threads_that_step_side_by_side_do_not_meet() -> None:
    """A stack packs its weights once for each thread; copies hold layers alone."""
    torch.manual_seed(0)
    stack = Stack([layer.with_weights("int8") for layer in entries(LSTM(5, 40, num_layers=2))])
    draw = np.random.default_rng(0)
    streams = [draw.standard_normal((200, 1, 5)).astype(np.float32) for _ in range(4)]

    def walk(own: np.ndarray, stack: Stack = stack) -> np.ndarray:
        states, found = [np.zeros((1, 40), np.float32)] * 4, []
        for x in own:
            output, *states = stack.step(x, *states)
            found.append(output)
        return np.stack(found)

    want = [walk(own) for own in streams]
    with ThreadPoolExecutor(4) as pool:
        for got, expected in zip(pool.map(walk, streams), want, strict=True):
            assert np.array_equal(got, expected)
    assert np.array_equal(walk(streams[0], pickle.loads(pickle.dumps(stack))), want[0])


def net_of(**changes: object) -> dict:
    b = Builder()
    b.output("y", b.tanh(b.input("x", ("B", 3))))
    return {**b.net().encode(), **changes}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (net_of(nodes=[["eval", ["x"], ["0.tanh"], {}]]), "no operation 'eval'"),
        (net_of(nodes=[["tanh", ["z"], ["0.tanh"], {}]]), "reads 'z'"),
        (net_of(nodes=[["tanh", ["x", "x"], ["0.tanh"], {}]]), "tanh"),
        (net_of(nodes=[["tanh", ["x"], ["x"], {}]]), "taken"),
        (net_of(nodes=[["softmax", ["x"], ["0.tanh"], {"axis": {"a": 1}}]]), "setting"),
        (net_of(outputs={"y": "z"}), "no value 'z'"),
        (net_of(inputs={"x": [["B", -3], "float32"]}), "width"),
        (net_of(inputs={"x": [["B", 3], "object"]}), "types"),
        (net_of(states={"x": [3]}), "damaged"),
        (net_of(states={"x": [(1 << 24) + 1, "0.tanh", 0.0]}), "wider than"),
        ({}, "described by"),
    ],
)
def test_a_net_of_a_stranger_is_refused(said: dict, told: str) -> None:
    with pytest.raises(FileFormatError, match=told):
        decode(said)


def test_a_net_cannot_ask_for_any_amount_of_memory() -> None:
    b = Builder()
    x = b.input("x", ("B", 3))
    for _ in range(40):
        x = b.concat(x, x)
    b.output("y", x)
    with pytest.raises(FileFormatError, match="more than"):
        Bound(b.net(), {}, [])(x=data(1_000, 3))


@pytest.mark.parametrize("kept", [False, True])
def test_what_a_call_holds_at_a_time_is_bounded(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chain holds two values at a time; one whose every value is read at its end holds them all."""
    monkeypatch.setattr(run, "MOST", 25)
    b = Builder()
    values = [b.input("x", ("A",))]
    for _ in range(50):
        values.append(b.tanh(values[-1]))
    b.output("y", b.concat(*values) if kept else values[-1])
    bound = Bound(b.net(), {}, [])
    if kept:
        with pytest.raises(FileFormatError, match="more than 25 numbers at a time, at its 'tanh'"):
            bound(x=data(10))
    else:
        assert bound(x=data(10))["y"].shape == (10,)


@pytest.mark.parametrize(
    "node",
    [
        ["recurrent", ["x"], ["y"], {"stack": 0}],
        ["recurrent", ["x", "x"], ["y"], {"stack": 0, "others": 1}],
        ["step", [], ["y"], {"stack": 0}],
        ["tanh", ["x"], ["y", "z"], {}],
    ],
)
def test_nodes_that_cannot_run_are_named(node: list) -> None:
    stacks = [entries(LSTM(3, 4))]
    net = decode(net_of(nodes=[node], outputs={"y": "y"}))
    with pytest.raises(ShapeError, match=f"{node[0]} of"):
        Bound(net, {}, stacks)(x=data(2, 3))


def test_shapes_that_do_not_fit_are_told() -> None:
    with pytest.raises(ShapeError, match="linear of"):
        one("linear", data(2, 3), data(4, 5))


# -- attention ------------------------------------------------------------------------------------------------


def test_weights_of_a_memory_are_a_softmax_of_what_is_there() -> None:
    """A memory of length 0 gives zeros, and no warning."""
    scores, lengths = data(4, 3, 7) * 50, np.array([5, 2, 0, 7])
    found = one("softmax_inside", scores, lengths)
    for row, length in enumerate(lengths):
        wanted = torch.from_numpy(scores[row, :, :length]).softmax(1)
        np.testing.assert_allclose(found[row, :, :length], wanted, rtol=1e-5, atol=1e-7)
        assert not found[row, :, length:].any()


def test_rows_are_grouped_by_the_second_axis_of_another() -> None:
    x = data(6, 2)
    np.testing.assert_array_equal(one("grouped", x, data(5, 3, 4)), x.reshape(3, 2, 2))


@pytest.mark.parametrize("score", ["dot", "general", "additive"])
def test_attention_in_a_net_is_the_layers(score: str) -> None:
    torch.manual_seed(0)
    layer, b = AttentionLayer(4, 4, score).eval(), Builder()
    values, lengths = b.input("values", ("S", "B", 4)), b.input("lengths", ("B",), "int64")
    found = layer.in_net(b, b.input("states", ("B", "P", 4)), *layer.memory_in_net(b, values), lengths)
    for name, value in zip(("looked", "weights"), found, strict=True):
        b.output(name, value)
    states, memory = data(3, 2, 4), data(5, 3, 4, seed=1)
    counts = np.array([5, 0, 2])
    got = Bound(b.net(), b.arrays, b.stacks)(states=states, values=memory, lengths=counts)
    with torch.no_grad():
        told = layer.memory(torch.from_numpy(memory).transpose(0, 1), torch.from_numpy(counts))
        looked, weights = layer(torch.from_numpy(states), told)
    np.testing.assert_allclose(got["looked"], looked, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["weights"], weights, rtol=1e-5, atol=1e-6)
