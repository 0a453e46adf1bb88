"""gatework.keras.Recurrent: any cell as a Keras layer, against the reference and against Keras' loop over its step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

import gatework.keras
from compare import assert_all_close, assert_close
from gatework import cell, cells, sigmoid, tanh
from gatework.compiler import wrappers
from gatework.errors import OptionError

pytestmark = [pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")]

B, T, F, U = 4, 6, 5, 4
rng = np.random.default_rng(3)
X = torch.from_numpy(rng.standard_normal((B, T, F)).astype("float32"))
MASKS = {
    "none": None,
    "right": torch.from_numpy(np.arange(T)[None, :] < np.array([4, 6, 0, 1])[:, None]),
    "holes": torch.from_numpy(rng.random((B, T)) < 0.6),
}


@cell(start={"c": 0.5})
def own(x, h, c, W):
    f = sigmoid(W.f(h, x))
    c = f * c + (1 - f) * tanh(W.g(x))
    return W.p + c * tanh(W.o(h, x)), c


def layer_of(name: Any, **arguments: Any) -> Any:
    """A built layer with random weights, biases too."""
    layer = gatework.keras.Recurrent(name, U, **arguments)
    layer.build(X.shape)
    values = np.random.default_rng(1)
    for variable in layer.trainable_weights:
        variable.assign(values.standard_normal(variable.shape) * 0.5)
    return layer


def results(call: Any, layer: Any, mask: Any) -> dict[str, torch.Tensor]:
    """Outputs, states, and the gradients of input and weights."""
    x = X.clone().requires_grad_()
    found = call(x, mask)
    found = [f for f in found if f is not None]
    loss: Any = sum(
        (o * torch.from_numpy(np.random.default_rng(2).standard_normal(o.shape)).to(o)).sum() for o in found
    )
    leaves = [x, *(v.value for v in layer.trainable_weights)]
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    zero = [torch.zeros_like(leaf) if g is None else g for g, leaf in zip(gradients, leaves, strict=True)]
    return {f"result {k}": o.detach() for k, o in enumerate(found)} | {f"gradient {k}": g for k, g in enumerate(zero)}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", [own, "slstm", "lstm_peephole"], ids=str)
def test_the_kernel_gives_what_keras_loop_over_the_reference_gives(name: Any, mask: str) -> None:
    sizes = {"heads": 2} if name == "slstm" else {}
    for every, backwards, zeros in ((False, False, False), (True, True, False), (True, False, True)):
        layer = layer_of(name, sizes=sizes, return_state=True, return_sequences=every, go_backwards=backwards,
                         zero_output_for_mask=zeros)  # fmt: skip
        assert "Keras' own" not in layer.describe() and "float32" in layer.describe()
        plain = keras.layers.RNN(layer.cell, return_state=True, return_sequences=every, go_backwards=backwards,
                                 zero_output_for_mask=zeros)  # fmt: skip
        want, got = (results(lambda x, m, r=run: r(x, mask=m), layer, MASKS[mask]) for run in (plain, layer))
        assert_all_close(got, want, T, loosen=2.0)


def test_it_computes_what_gateworks_torch_layer_computes() -> None:
    layer = layer_of("mgu", return_sequences=True, use_bias=False)
    twin = gatework.keras.to_torch(layer)
    assert [v.name for v in layer.weights][:2] == ["weight_f_h", "weight_f_x"]
    assert_close(twin(X)[0], layer(X), T)


def test_every_weight_starts_with_numbers_of_its_own() -> None:
    """An initializer of Keras gives the same numbers at every call: the gates would stay equal for ever."""
    for initializer in ("glorot_uniform", keras.initializers.GlorotUniform(seed=3)):
        layer = gatework.keras.Recurrent("lstm", U, kernel_initializer=initializer)
        layer.build((None, None, F))
        kernels = {v.name: np.asarray(v.value.detach()) for v in layer.weights}
        assert not np.allclose(kernels["weight_f_x"], kernels["weight_i_x"])
        assert_close(kernels["weight_f_h"] @ kernels["weight_f_h"].T, np.eye(U, dtype="float32"), 4)
        assert not np.allclose(kernels["weight_f_h"], kernels["weight_i_h"])
    heads = gatework.keras.Recurrent("slstm", U, sizes={"heads": 2})
    heads.build((None, None, F))
    blocks = np.asarray(next(v for v in heads.weights if v.name == "weight_f_h").value.detach())
    assert blocks.shape == (2, 2, 2) and not np.allclose(blocks[0], blocks[1])
    start = gatework.keras.Recurrent("lstm_layer_norm", U)
    start.build((None, None, F))
    assert float(next(v for v in start.weights if "gain" in v.name).value.detach().min()) == 1.0


def test_stateful_layers_go_on_and_begin_anew_as_the_cell_says() -> None:
    layer, whole = layer_of(own, stateful=True, return_sequences=True), layer_of(own, return_sequences=True)
    want = whole(X)
    halves = torch.cat([layer(X[:, :3]), layer(X[:, 3:])], 1)
    assert_close(halves, want, T)
    layer.reset_state()
    assert_close(layer(X), want, T)
    start = [torch.full((B, U), 0.2), torch.full((B, U), 0.1)]
    assert not np.allclose(whole(X, initial_state=start).detach(), want.detach())


def test_dropout_draws_one_mask_a_call() -> None:
    """The same for every step; none in evaluation; the kernel's and the loop's are the same for a seed."""
    layer = layer_of("mgu", dropout=0.4, recurrent_dropout=0.5, seed=5, return_sequences=True)
    assert torch.equal(layer(X), layer(X))
    first, second = layer(X, training=True), layer(X, training=True)
    assert not torch.equal(first, second)
    slow = layer_of("mgu", dropout=0.4, recurrent_dropout=0.5, seed=5, return_sequences=True)
    units = torch.ones(B, T, U, dtype=torch.bool)  # a mask for each unit runs Keras' loop
    assert_close(slow(X, mask=units, training=True), first, T)
    assert not slow.cell.drops
    ones = gatework.keras.Recurrent("rnn", 50, dropout=0.5, kernel_initializer="ones", recurrent_initializer="zeros")
    values = torch.atanh(ones(torch.full((8, 3, 1), 0.1), training=True)[:, 0].double())
    assert set(np.round(values.detach().numpy(), 4)) <= {0.0, 0.2}


@pytest.mark.parametrize("bidirectional", [False, True])
def test_models_save_and_load_without_the_cells_function(bidirectional: bool, tmp_path: Path) -> None:
    layer = gatework.keras.Recurrent(own, U, dropout=0.1, kernel_regularizer="l2", name="mine")
    made: Any = keras.Sequential([
        keras.layers.Input((T, F)), keras.layers.Bidirectional(layer) if bidirectional else layer,
        keras.layers.Dense(2),
    ])  # fmt: skip
    made.compile(keras.optimizers.Adam(0.05), "mse")
    x, y = X.numpy(), np.ones((B, 2), "float32")
    history = made.fit(x, y, epochs=25, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]
    made.save(tmp_path / "own.keras")
    again: Any = keras.models.load_model(tmp_path / "own.keras")
    assert_close(again.predict(x, verbose=0).astype("float32"), made.predict(x, verbose=0), T)
    read = again.layers[0].forward_layer if bidirectional else again.layers[0]
    assert type(read) is gatework.keras.Recurrent and read.cell.graph == own.graph
    assert layer.get_config() == type(layer).from_config(layer.get_config()).get_config()


def test_symbolic_and_exported_calls() -> None:
    made = keras.Sequential([keras.layers.Input((T, F)), gatework.keras.Recurrent("mgu", U, return_sequences=True)])
    assert made.output_shape == (None, T, U)
    with torch.no_grad():
        exported = torch.export.export(made, (X,), strict=False)
        assert_close(exported.module()(X), made(X), T)


def test_narrow_types_and_float64() -> None:
    for dtype in ("mixed_bfloat16", "float64"):
        layer = layer_of("slstm", sizes={"heads": 2}, dtype=dtype)
        found = layer(X)
        assert str(found.dtype).removeprefix("torch.") == layer.compute_dtype
        want = layer_of("slstm", sizes={"heads": 2})(X)
        assert_close(found.float(), want, T, loosen=1 if dtype == "float64" else 3000)


def test_what_a_keras_layer_cannot_be_made_of() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"cell": "gru_d"}, "reads one input, but gru_d reads"),
        ({"cell": "lstm_projected"}, "needs a size for 'P'"),
        ({"cell": "mgu", "sizes": {"Q": 3}}, "no size 'Q'"),
        ({"cell": "mgu", "sizes": {"H": U + 1}}, r"H is units=\d, but sizes says"),
        ({"cell": "mgu", "dropout": 1.0}, "dropout is a rate from 0 to below 1"),
        ({"cell": "mgu", "dropout": "a"}, "dropout is a rate from 0 to below 1"),
    ]
    for arguments, said in wrong:
        with pytest.raises(OptionError, match=said):
            gatework.keras.Recurrent(units=U, **arguments)
    made = keras.Sequential([keras.layers.Input((T, F)), gatework.keras.Recurrent("mgu", U)])
    with pytest.raises(OptionError, match="Keras has no layer for the cell 'mgu'"):
        gatework.keras.to_keras(made)
    assert cells.get("mgu").graph == gatework.keras.from_keras(made).layers[0].cell.graph


def test_the_options_of_gateworks_torch_layer_act_and_are_saved(tmp_path: Path) -> None:
    options: Any = {"layer_norm": True, "zoneout": {"c": 0.5}, "learn_initial_state": True, "forget_bias": 2.0}
    layer = gatework.keras.Recurrent("lstm", U, return_sequences=True, recompute=True, **options)
    model = keras.Sequential([keras.Input((None, F)), layer])
    start = {v.name: v for v in layer.weights}
    assert float(start["f_shift"].value.detach().min()) == 2.0
    start["initial_h"].assign(np.full(U, 0.5, "float32"))
    plain = keras.layers.RNN(layer.cell, return_sequences=True)
    assert_close(layer(X), plain(X), T)
    assert_close(gatework.keras.to_torch(layer).eval()(X)[0], layer(X), T)
    layer(X, training=True).sum().backward()
    assert start["initial_h"].value.grad.abs().sum() > 0
    assert not torch.equal(layer(X, training=True), layer(X, training=True))
    model.save(tmp_path / "own.keras")
    assert_close(keras.models.load_model(tmp_path / "own.keras")(X), model(X), T)


@pytest.mark.parametrize("loop", ["kernel", "reference"])
def test_zoneout_keeps_states_in_training(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = gatework.keras.Recurrent("lstm", U, zoneout={"h": 1.0})
    monkeypatch.setattr(layer, "reason_of_form", lambda: "" if loop == "kernel" else "the test says so")
    assert not layer(X, training=True).any()
    assert not layer(X).any()


def test_keras_own_arguments_refuse_the_options_with_what_to_write() -> None:
    wrong: Any = {"zoneout": 0.1, "layer_norm": True}
    with pytest.raises(
        OptionError, match=r'write gatework.keras.Recurrent\("gru", units, zoneout=0.1, layer_norm=True'
    ):
        gatework.keras.GRU(U, **wrong)
    with pytest.raises(OptionError, match="learn_initial_state would do nothing"):
        gatework.keras.Recurrent("lstm", U, stateful=True, learn_initial_state=True)
    with pytest.raises(OptionError, match="give the layer the cell as it was, with zoneout"):
        gatework.keras.Recurrent(gatework.cells.get("mgu").wrapped("z", wrappers.zoneout), U)
    with pytest.raises(OptionError, match="forget_bias is a finite number"):
        gatework.keras.Recurrent("lstm", U, forget_bias=float("nan"))
    with pytest.raises(OptionError, match="rnn has no sigmoid gate"):
        gatework.keras.Recurrent("rnn", U, forget_bias=1.0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("name", "kind"), [("lstm", "LSTM"), ("gru", "GRU"), ("gru_reset_before", "GRU"),
                                            ("rnn_relu", "SimpleRNN")])  # fmt: skip
def test_a_cell_that_keras_has_becomes_keras_layer(name: str, kind: str, bias: bool) -> None:
    layer = layer_of(name, use_bias=bias, return_sequences=True, dropout=0.1)
    model = keras.Sequential([keras.Input((None, F)), keras.layers.Bidirectional(layer), keras.layers.Dense(2)])
    plain = gatework.keras.to_keras(model)
    made = plain.layers[0].forward_layer
    assert (
        type(made) is getattr(keras.layers, kind)
        and made.dropout == 0.1
        and made.name == model.layers[0].forward_layer.name
    )
    assert_close(plain(X), model(X), T)
    assert_close(gatework.keras.to_keras(layer)(X), layer(X), T)


def test_what_keras_lacks_is_refused_and_an_optimiser_told_of() -> None:
    for layer in (
        gatework.keras.Recurrent("lstm", U, zoneout=0.1),
        gatework.keras.Recurrent("gru", U, layer_norm=True),
    ):
        layer.build((None, None, F))
        with pytest.raises(OptionError, match=r"Keras has no layer for (zoneout|layer_norm) of 'recurrent"):
            gatework.keras.to_keras(layer)
    model = keras.Sequential([keras.Input((None, F)), gatework.keras.Recurrent("rnn", U)])
    model.compile("adam", "mse")
    model.train_on_batch(X.numpy(), np.zeros((B, U)))
    with pytest.warns(UserWarning, match="what the optimiser remembers does not fit"):
        gatework.keras.to_keras(model)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
def test_an_rnn_of_one_of_keras_cells_is_converted_and_stacks_are_left_with_a_warning(name: str) -> None:
    cell_of = getattr(keras.layers, f"{name}Cell")
    plain = keras.layers.RNN(cell_of(U, bias_initializer="normal", seed=1), return_sequences=True, go_backwards=True)
    model = keras.Sequential([keras.Input((None, F)), plain])
    found = gatework.keras.from_keras(model)
    assert type(found.layers[0]) is getattr(gatework.keras, name) and found.layers[0].name == plain.name
    assert_close(found(X), model(X), T)
    stack = keras.Sequential([keras.Input((None, F)), keras.layers.RNN([cell_of(U), cell_of(3)], name="two")])
    with pytest.warns(UserWarning, match="'two' stays as it is: write a layer for each of its cells"):
        assert_close(gatework.keras.from_keras(stack)(X), stack(X), T)
