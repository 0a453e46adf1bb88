"""gatework.keras against Keras' own layers: outputs, states, and every gradient, over a sample of its arguments."""

from __future__ import annotations

import gc
import itertools
import weakref
from typing import Any

import keras
import numpy as np
import pytest
import torch

import gatework.keras
from compare import assert_all_close
from gatework.errors import ShapeError
from gatework.keras import graphs
from gatework.keras.activations import ACTIVATIONS

KINDS = ("LSTM", "GRU", "SimpleRNN")
B, T, F, U = 4, 6, 5, 3
rng = np.random.default_rng(3)
X = rng.standard_normal((B, T, F)).astype("float32")
MASKS = {
    "none": None,
    "whole": np.ones((B, T), bool),
    "right": np.arange(T)[None, :] < np.array([4, 6, 0, 1])[:, None],
    "left": np.arange(T)[None, :] >= np.array([2, 0, 5, 6])[:, None],
    "holes": rng.random((B, T)) < 0.6,
    "nothing": np.zeros((B, T), bool),
}


def pair(kind: str, scale: float = 0.6, **arguments: Any) -> tuple[Any, Any]:
    """Keras' layer and ours with the same weights, biases not zero."""
    layers = getattr(keras.layers, kind)(U, **arguments), getattr(gatework.keras, kind)(U, **arguments)
    for layer in layers:
        layer.build(X.shape)
    values = np.random.default_rng(1)
    weights = [values.standard_normal(v.shape) * scale for v in layers[0].trainable_weights]
    for layer in layers:
        for variable, value in zip(layer.trainable_weights, weights, strict=True):
            variable.assign(value)
    return layers


def results(layer: Any, mask: Any, states: bool = False, training: bool = False) -> dict[str, torch.Tensor]:
    """All that a call gives, and the gradients of all that it was given."""
    dtype = layer.compute_dtype
    x = torch.tensor(X, dtype=getattr(torch, dtype), requires_grad=True)
    number = 2 if "LSTM" in type(layer).__name__ else 1
    start = [torch.tensor(np.full((B, U), 0.3 + k), dtype=x.dtype, requires_grad=True) for k in range(number)]
    given: dict[str, Any] = {"initial_state": start} if states else {}
    found = layer(x, mask=None if mask is None else torch.from_numpy(mask), training=training, **given)
    outputs = list(found) if isinstance(found, (tuple, list)) else [found]
    values = np.random.default_rng(2)
    loss = sum((o * torch.tensor(values.standard_normal(o.shape)).to(o)).sum() for o in outputs)
    leaves = [x, *(start if states else []), *(v.value for v in layer.trainable_weights)]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    named = {f"output {k}": o.detach() for k, o in enumerate(outputs)}
    zero = (torch.zeros_like(leaf) if g is None else g for g, leaf in zip(gradients, leaves, strict=True))
    return named | {f"gradient {k}": g for k, g in enumerate(zero)}


def compare(layers: tuple[Any, Any], **call: Any) -> None:
    want, got = (results(layer, **call) for layer in layers)
    assert_all_close(got, want, length=T, loosen=2.0)


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", KINDS)
def test_masks(kind: str, mask: str) -> None:
    """Every shape of mask, with every way to read the outputs, forwards and backwards."""
    for every, backwards, zeros in itertools.product((False, True), repeat=3):
        arguments = {"return_sequences": every, "go_backwards": backwards, "zero_output_for_mask": zeros}
        layers = pair(kind, return_state=True, use_cudnn=False, **arguments) if kind != "SimpleRNN" else pair(
            kind, return_state=True, **arguments)  # fmt: skip
        compare(layers, mask=MASKS[mask], states=every)


CASES = [
    ("LSTM", {"use_bias": False}),
    ("LSTM", {"unit_forget_bias": False, "dropout": 0.4, "seed": 7}),
    ("LSTM", {"recurrent_dropout": 0.4, "seed": 7, "return_sequences": True}),
    ("LSTM", {"recurrent_dropout": 0.3, "dropout": 0.4, "seed": 7, "return_state": True, "go_backwards": True}),
    ("LSTM", {"dropout": 0.4, "seed": 7, "implementation": 1, "use_cudnn": False}),
    ("LSTM", {"dtype": "float64", "return_sequences": True}),
    ("LSTM", {"unroll": True, "return_sequences": True}),
    ("GRU", {"reset_after": False, "return_sequences": True}),
    ("GRU", {"reset_after": False, "use_bias": False}),
    ("GRU", {"reset_after": False, "recurrent_dropout": 0.4, "dropout": 0.3, "seed": 5}),
    ("GRU", {"use_bias": False, "return_sequences": True}),
    ("GRU", {"recurrent_dropout": 0.4, "dropout": 0.3, "seed": 5, "return_sequences": True}),
    ("GRU", {"dropout": 0.3, "seed": 5, "dtype": "float64"}),
    ("SimpleRNN", {"use_bias": False, "go_backwards": True}),
    ("SimpleRNN", {"dropout": 0.3, "recurrent_dropout": 0.4, "seed": 5, "return_sequences": True}),
    ("SimpleRNN", {"recurrent_dropout": 0.4, "seed": 5}),
]


@pytest.mark.parametrize(("kind", "arguments"), CASES, ids=lambda v: v if isinstance(v, str) else ",".join(v))
@pytest.mark.parametrize("mask", ["none", "holes"])
def test_arguments(kind: str, arguments: dict, mask: str) -> None:
    """The random numbers of dropout are Keras' too: the same seed gives the same results, call after call."""
    layers = pair(kind, **arguments)
    assert "Keras' own" not in layers[1].describe()
    if "dtype" in arguments and mask != "none":
        pytest.skip("with a mask, Keras' own loop rounds float64 to float32 on its way: see test_float64_with_a_mask")
    for training in (True, False, True):
        compare(layers, mask=MASKS[mask], training=training)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    """As activation and as recurrent activation, apart where both together run away to infinity within a few steps."""
    gate = "sigmoid" if name in ("log_softmax", "tanh_shrink") else name
    scale = 1.0 if name == "tanh_shrink" else 0.3  # x - tanh(x) of small numbers is rounding alone
    layers = pair("LSTM", scale, activation="tanh" if name == "exponential" else name, recurrent_activation=gate)
    assert "Keras' own" not in layers[1].describe()
    compare(layers, mask=MASKS["right"])
    compare(pair("GRU", scale, activation=name, recurrent_activation="hard_sigmoid", return_sequences=True), mask=None)
    compare(pair("SimpleRNN", scale, activation=name), mask=None)


@pytest.mark.parametrize("activation", [None, torch.tanh, keras.ops.sigmoid])
def test_activations_by_other_names(activation: Any) -> None:
    layers = pair("LSTM", 0.3, activation=activation, recurrent_activation=None)
    assert "Keras' own" not in layers[1].describe()
    compare(layers, mask=None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"activation": "gelu"}, "activation gelu"),
        ({"activation": lambda x: x * 0.5}, "activation <lambda>"),
        ({"recurrent_activation": keras.layers.ReLU(max_value=1.0)}, "recurrent_activation"),
        ({"dropout": 1.0}, "dropout=1"),
    ],
)
def test_what_no_kernel_can_do_runs_in_keras_and_says_so(arguments: dict, said: str) -> None:
    layers = pair("LSTM", **arguments)
    assert "Keras' own loop" in layers[1].describe() and said in layers[1].describe()
    compare(layers, mask=MASKS["right"], training=True)


def test_masks_of_other_forms() -> None:
    layers = pair("LSTM", return_sequences=True)
    mask = torch.from_numpy(MASKS["holes"])
    want = layers[0](X, mask=mask)
    for form in (mask.unsqueeze(-1), mask.float(), mask.numpy(), [mask]):
        assert_all_close({"": layers[1](X, mask=form)}, {"": want}, T)
    units = torch.from_numpy(np.random.default_rng(4).random((B, T, U)) < 0.5)
    assert_all_close({"": layers[1](X, mask=units)}, {"": layers[0](X, mask=units)}, T)
    one = mask[:1]
    assert_all_close({"": layers[1](X, mask=one)}, {"": layers[0](X, mask=one)}, T)


@pytest.mark.parametrize("kind", KINDS)
def test_stateful(kind: str) -> None:
    """States go from call to call until they are reset. The twin is Keras' stateless layer, given the states by hand:
    on the torch backend Keras' stateful LSTM and GRU cannot go back, as their states change under the tape."""
    plain = pair(kind, return_state=True)[0]
    layer = pair(kind, stateful=True)[1]
    states = None
    for number, mask in enumerate((None, MASKS["holes"], None, None)):
        if number == 3:
            layer.reset_state()
            states = None
        mask = None if mask is None else torch.from_numpy(mask)
        want, *states = plain(X, mask=mask, initial_state=states)
        states, got = [s.detach() for s in states], layer(X, mask=mask)
        assert_all_close({"": got}, {"": want}, T)
        assert_all_close(dict(enumerate(v.value for v in layer.states)), dict(enumerate(states)), T)
        found = [torch.autograd.grad((o**2).sum(), [v.value for v in la.trainable_weights])
                 for o, la in ((got, layer), (want, plain))]  # fmt: skip
        assert_all_close(dict(enumerate(found[0])), dict(enumerate(found[1])), T)
    with pytest.raises(ValueError, match="batch size"):
        layer(X[:2])


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float16", "bfloat16"])
def test_narrow_types_compute_in_float32(dtype: str) -> None:
    options = {"return_sequences": True, "recurrent_initializer": "glorot_uniform"}
    layer, exact = pair("LSTM", dtype=dtype, **options)[1], pair("LSTM", **options)[1]
    for variable, value in zip(exact.trainable_weights, layer.trainable_weights, strict=True):
        variable.assign(value.value.to(getattr(torch, layer.compute_dtype)).float())
    found, want = layer(X), exact(torch.tensor(X).to(getattr(torch, layer.compute_dtype)).float())
    assert str(found.dtype) == f"torch.{layer.compute_dtype}"
    assert_all_close({"": found.float()}, {"": want.to(found.dtype).float()}, loosen=1e3 if "b" in dtype else 1e2)


def test_float64_with_a_mask() -> None:
    """Against a loop in numpy: Keras' own loop rounds its input to float32 on the way."""
    layer = pair("SimpleRNN", dtype="float64")[1]
    kernel, recurrent, bias = (v.value.detach().numpy() for v in layer.trainable_weights)
    h, mask = np.zeros((B, U)), MASKS["holes"]
    for t in range(T):
        new = np.tanh(X[:, t].astype("float64") @ kernel + h @ recurrent + bias)
        h = np.where(mask[:, t, None], new, h)
    found = layer(torch.tensor(X, dtype=torch.float64), mask=torch.from_numpy(mask))
    assert_all_close({"": found}, {"": h}, T)


def test_second_derivatives() -> None:
    found = []
    for layer in pair("LSTM", return_sequences=True):
        x = torch.tensor(X, requires_grad=True)
        (gradient,) = torch.autograd.grad((layer(x) ** 2).sum(), x, create_graph=True)
        weights = [v.value for v in layer.trainable_weights]
        found.append(dict(enumerate(torch.autograd.grad((gradient**2).sum(), weights))))
    assert_all_close(found[1], found[0], T, loosen=5.0)


def test_one_sequence_and_one_step() -> None:
    for kind in KINDS:
        want, got = (layer(X[:1, :1]) for layer in pair(kind, return_sequences=True))
        assert_all_close({"": got}, {"": want})


@pytest.mark.parametrize("mask", [None, MASKS["holes"]], ids=["whole", "masked"])
def test_a_kernel_reads_no_further_than_what_it_is_given(mask: Any) -> None:
    """Inputs and states of other widths; one row of states serves all sequences, as in Keras."""
    theirs, ours = pair("LSTM")
    for odd in (X[..., : F - 1], np.concatenate([X, X], 2)):
        with pytest.raises(ShapeError, match=f"built for {F} features"):
            ours(odd, mask=mask)
    for shape, count in (((B, U + 1), 2), ((B, U - 1), 2), ((B - 1, U), 2), ((B, U), 1)):
        with pytest.raises(ShapeError, match=r"initial_state must be h \(4, 3\), c \(4, 3\); got"):
            ours(X, mask=mask, initial_state=[torch.ones(shape)] * count)
    row = [torch.full((1, U), 0.5), torch.linspace(-1, 1, U)[None]]
    torch.testing.assert_close(ours(X, mask=mask, initial_state=row), theirs(X, mask=mask, initial_state=row))


def test_kernels_go_with_their_layer() -> None:
    layer = gatework.keras.LSTM(17)
    layer(X)
    programs = [weakref.ref(p) for own in graphs._bindings[layer].values() for p in own._programs.values()]
    assert programs and all(p() is not None for p in programs)
    del layer
    gc.collect()  # the layer, whose end lets go of its kernels
    gc.collect()
    assert all(p() is None for p in programs)
