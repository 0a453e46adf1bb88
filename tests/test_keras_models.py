"""gatework.keras in models: files both ways, converters, wrappers, training."""

from __future__ import annotations

import functools
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

import gatework.keras
from compare import assert_close
from gatework.errors import OptionError
from sources import PACKAGE

# h5py, which Keras writes weights with, and Keras' variables are not ready for numpy's newest rules.
pytestmark = [pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")]

B, T, F, WORDS = 6, 5, 4, 20
rng = np.random.default_rng(0)
IDS = rng.integers(1, WORDS, (B, T)) * (np.arange(T)[None, :] < rng.integers(1, T + 1, B)[:, None])
LABELS = rng.integers(0, 3, B)


def model(layers: Any, **first: Any) -> Any:
    """An embedding with a mask, a bidirectional LSTM, a GRU, a SimpleRNN; compiled."""
    made = keras.Sequential(
        [
            keras.layers.Input((T,), dtype="int32"),
            keras.layers.Embedding(WORDS, F, mask_zero=True),
            keras.layers.Bidirectional(layers.LSTM(3, return_sequences=True, **first)),
            layers.GRU(4, return_sequences=True, kernel_regularizer="l2"),
            layers.SimpleRNN(3, recurrent_constraint=keras.constraints.MaxNorm(1.0)),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    made.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def predicted(found: Any) -> np.ndarray:
    return np.asarray(found.predict(IDS, verbose=0))


def kinds(found: Any) -> set[str]:
    """Which modules the recurrent layers come from."""
    return {type(la).__module__.split(".")[0] for la in found._flatten_layers() if isinstance(la, keras.layers.RNN)}


@pytest.mark.parametrize("writer", ["keras", "gatework"])
def test_weights_files_load_both_ways(writer: str, tmp_path: Path) -> None:
    first, second = model(keras.layers), model(gatework.keras)
    source, target = (first, second) if writer == "keras" else (second, first)
    source.save_weights(tmp_path / "model.weights.h5")
    target.load_weights(tmp_path / "model.weights.h5")
    assert_close(predicted(target).astype("float32"), predicted(source), T)


def test_files_of_keras_load_as_ours_and_ours_as_files_of_keras(tmp_path: Path) -> None:
    plain = model(keras.layers)
    plain.fit(IDS, LABELS, epochs=1, verbose=0)
    plain.save(tmp_path / "plain.keras")
    own = gatework.keras.load_model(tmp_path / "plain.keras")
    assert kinds(plain) == {"keras"} and kinds(own) == {"gatework"}
    assert_close(predicted(own), predicted(plain), T)
    gatework.keras.to_keras(own).save(tmp_path / "back.keras")
    back = keras.models.load_model(tmp_path / "back.keras")
    assert kinds(back) == {"keras"}
    assert_close(predicted(back), predicted(plain), T)


def test_our_own_files_load_as_they_are(tmp_path: Path) -> None:
    own = model(gatework.keras, dropout=0.2)
    own.fit(IDS, LABELS, epochs=1, verbose=0)
    own.save(tmp_path / "own.keras")
    again = keras.models.load_model(tmp_path / "own.keras")
    assert kinds(again) == {"gatework"}
    assert_close(predicted(again), predicted(own), T)


def test_plain_keras_reads_what_to_keras_wrote_without_gatework(tmp_path: Path) -> None:
    own = model(gatework.keras)
    gatework.keras.to_keras(own).save(tmp_path / "model.keras")
    code = (
        "import sys, numpy, keras; m = keras.models.load_model(sys.argv[1]); assert 'gatework' not in sys.modules; "
        "print(*m.predict(numpy.array(eval(sys.argv[2])), verbose=0).ravel().tolist())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "model.keras"), str(IDS.tolist())]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert_close(np.array(printed.split(), "float32").reshape(B, 3), predicted(own), T)


def test_conversion_keeps_weights_optimiser_and_random_state() -> None:
    """So that training goes on, as if nothing had happened, in either."""
    plain = model(keras.layers, dropout=0.3, recurrent_dropout=0.3, seed=5)
    plain.fit(IDS, LABELS, epochs=2, verbose=0, shuffle=False)
    own = gatework.keras.from_keras(plain)
    back = gatework.keras.to_keras(own)
    histories = [m.fit(IDS, LABELS, epochs=3, verbose=0, shuffle=False).history["loss"] for m in (plain, own, back)]
    for history in histories[1:]:
        assert_close(np.array(history, "float32"), np.array(histories[0]), 100)
    for a, b in zip(plain.get_weights(), own.get_weights(), strict=True):
        assert_close(b, a, 100)


def test_fit_learns() -> None:
    own = model(gatework.keras)
    history = own.fit(IDS, LABELS, epochs=60, verbose=0).history["loss"]
    assert history[-1] < 0.6 * history[0]
    assert np.linalg.norm(own.layers[3].cell.recurrent_kernel.value.detach().numpy(), axis=0).max() <= 1.0 + 1e-6


@pytest.mark.paths
def test_fit_with_jit_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile cuts its graph at our loop; the results are those of the eager model. (What torch makes of the
    graphs takes a minute and is not ours: only the tracing runs.) It finds nothing to complain about in our code."""
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    losses = []
    for jit in (False, True):
        keras.utils.set_random_seed(3)
        made = keras.Sequential([gatework.keras.LSTM(4), keras.layers.Dense(1)])
        made.compile("sgd", "mse", jit_compile=jit)
        x, y = np.random.default_rng(1).random((8, T, F), "float32"), np.ones((8, 1), "float32")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            losses.append(made.fit(x, y, epochs=3, verbose=0, shuffle=False).history["loss"])
        assert not [w for w in caught if w.filename.startswith(str(PACKAGE)) or "gatework." in str(w.message)]
    assert_close(np.array(losses[1], "float32"), np.array(losses[0]), 10)


@pytest.mark.parametrize("merge", ["concat", "sum", "ave", "mul", None])
@pytest.mark.parametrize("every", [False, True])
def test_bidirectional(merge: str | None, every: bool) -> None:
    x = torch.from_numpy(rng.standard_normal((B, T, F)).astype("float32"))
    found = []
    for layers in (keras.layers, gatework.keras):
        wrapped = keras.layers.Bidirectional(
            layers.LSTM(3, return_sequences=every, return_state=True), merge_mode=merge
        )
        wrapped.build(x.shape)
        if found:
            wrapped.set_weights(found[0][0].get_weights())
        found.append((wrapped, [wrapped(x), wrapped(x, mask=torch.from_numpy(IDS > 0))]))
    assert type(found[1][0].backward_layer) is gatework.keras.LSTM
    for want, got in zip(found[0][1], found[1][1], strict=True):
        for a, b in zip(want, got, strict=True):
            assert_close(b, a, T)


def test_functional_models_and_layers_convert() -> None:
    x = keras.Input((T, F))
    h, *states = gatework.keras.LSTM(3, return_sequences=True, return_state=True)(x)
    own = keras.Model(x, gatework.keras.LSTM(3, name="decoder")(h, initial_state=states))
    plain = gatework.keras.to_keras(own)
    values = rng.random((B, T, F), "float32")
    assert kinds(plain) == {"keras"}
    assert_close(np.asarray(plain.predict(values, verbose=0)), np.asarray(own.predict(values, verbose=0)), T)
    layer = gatework.keras.from_keras(keras.layers.GRU(3, name="alone"))
    assert type(layer) is gatework.keras.GRU and layer.name == "alone"


@pytest.mark.parametrize("reset_after", [False, True])
def test_layers_as_torch_modules_and_as_streams(reset_after: bool, tmp_path: Path) -> None:
    x = torch.from_numpy(rng.standard_normal((B, T, F)).astype("float32"))
    for layers in (keras.layers, gatework.keras):
        layer = layers.GRU(3, activation="softsign", reset_after=reset_after, bias_initializer="normal",
                           return_sequences=True)  # fmt: skip
        want = layer(x)
        module = gatework.keras.to_torch(layer)
        assert_close(module(x)[0], want, T)
    gatework.save(module, tmp_path / "step.safetensors")
    stream = gatework.runtime.load(tmp_path / "step.safetensors")
    for t in range(T):
        assert_close(stream.step(x[:, t].numpy()), want[:, t], T)


@pytest.mark.parametrize(
    "layer", [keras.layers.LSTM(2), gatework.keras.LSTM(2, activation="gelu"), keras.layers.Dense(2)]
)
def test_what_cannot_be_a_torch_module(layer: Any) -> None:
    with pytest.raises(OptionError, match=r"build the layer first|activation gelu|Dense is not a recurrent layer"):
        gatework.keras.to_torch(layer)


class Inside(keras.Model):
    def __init__(self, **options: Any):
        super().__init__(**options)
        self.lstm = gatework.keras.LSTM(3, name="hidden")

    def call(self, x: Any) -> Any:
        return self.lstm(x)

    def get_config(self) -> dict:
        return {"name": self.name}


def test_a_layer_out_of_reach_is_named() -> None:
    keras.saving.register_keras_serializable("tests")(Inside)
    with pytest.raises(OptionError, match=r"'hidden'.*change the import"):
        gatework.keras.to_keras(Inside())


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_configurations_round_trip(kind: str) -> None:
    arguments = {
        "dropout": 0.1, "recurrent_dropout": 0.2, "return_sequences": True, "go_backwards": True, "unroll": True,
        "kernel_regularizer": "l2", "bias_constraint": "non_neg", "activation": "relu", "zero_output_for_mask": True,
    }  # fmt: skip
    layer = getattr(gatework.keras, kind)(3, **arguments)
    assert layer.get_config() == type(layer).from_config(layer.get_config()).get_config()
    plain = getattr(keras.layers, kind)(3, **arguments, name=layer.name)
    assert plain.get_config().keys() == layer.get_config().keys()
    assert gatework.keras.to_keras(layer).get_config() == plain.get_config()


@pytest.mark.parametrize("use_cudnn", ["auto", True, False])
def test_use_cudnn_and_unroll_make_no_difference(use_cudnn: Any) -> None:
    x = torch.from_numpy(rng.standard_normal((B, T, F)).astype("float32"))
    found = []
    for unroll in (False, True):
        layer = gatework.keras.GRU(3, use_cudnn=use_cudnn, unroll=unroll, kernel_initializer="ones",
                                   recurrent_initializer="ones")  # fmt: skip
        found.append(layer(x, mask=torch.from_numpy(IDS > 0)))
    assert torch.equal(*found)


def test_symbolic_and_exported_calls_run_keras_own_loop() -> None:
    layer = gatework.keras.LSTM(3)
    made = keras.Sequential([keras.layers.Input((T, F)), layer])
    assert made.output_shape == (None, 3)
    x = torch.from_numpy(rng.random((2, T, F), "float32"))
    with torch.no_grad():
        exported = torch.export.export(made, (x,), strict=False)
        assert_close(exported.module()(x), made(x), T)


@pytest.mark.parametrize("backend", ["numpy", "tensorflow"])
def test_another_backend_is_refused(backend: str) -> None:
    command = [sys.executable, "-c", "import gatework; gatework.keras"]
    environment = {"PATH": "", "KERAS_BACKEND": backend}
    printed = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert printed.returncode and "OptionError" in printed.stderr
    assert "KERAS_BACKEND=torch" in printed.stderr and backend in printed.stderr
