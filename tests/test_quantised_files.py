"""Saved layers whose matrices are bfloat16 or int8: what is written, what is read, and what is refused."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import load_file, save_file

import gatework
from gatework import runtime
from gatework.errors import FileFormatError, OptionError
from gatework.runtime import saved
from gatework.runtime.quantised import KINDS, Quantised, quantise
from test_layers_saved import LAYERS, B, I, T

NAMES = [name for name in LAYERS if name != "rnn"]  # float64
Tensors = dict[str, torch.Tensor]


def layers_of(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    made = LAYERS[name]()
    for parameter in made.parameters():
        torch.nn.init.uniform_(parameter, -0.8, 0.8)
    return made


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((T, B, I)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_written_and_made_when_loading_are_the_same(name: str, kind: str, tmp_path: Path, x: np.ndarray) -> None:
    layer = layers_of(name)
    gatework.save(layer, tmp_path / "full")
    gatework.save(layer, tmp_path / "small", weights=kind)
    one, two = runtime.load(tmp_path / "small"), runtime.load(tmp_path / "full", weights=kind)
    plain = runtime.load(tmp_path / "small", weights="float32")
    for got, want, full in zip(one.layers, two.layers, saved.read(tmp_path / "full"), strict=True):
        for d, weights in enumerate(got.weights):
            for key, value in weights.items():
                if full.weights[d][key].ndim > 1:
                    assert isinstance(value, Quantised) and value.kind == kind
                    assert np.array_equal(value.dense, want.weights[d][key].dense)
                    assert np.array_equal(value.values, quantise(full.weights[d][key], kind).values)
                else:
                    assert np.array_equal(value, full.weights[d][key])
    expected = plain.run(x)
    assert not any(isinstance(w, Quantised) for each in plain.layers for own in each.weights for w in own.values())
    assert np.array_equal(one.run(x), expected) and np.array_equal(two.run(x), expected)
    assert 0 < np.abs(expected - runtime.load(tmp_path / "full").run(x)).max() < 0.1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "both ways"])
def test_steps_go_on_as_sequences_do(name: str, kind: str, tmp_path: Path, x: np.ndarray) -> None:
    gatework.save(layers_of(name), tmp_path / "small", weights=kind)
    for streams in (1, B):
        runner = runtime.load(tmp_path / "small")
        want = runner.run(x[:, :streams])
        runner.reset()
        assert_allclose(np.stack([runner.step(row) for row in x[:, :streams]]), want, rtol=1e-4, atol=1e-5)
        for again in (pickle.loads(pickle.dumps(runner)), copy.deepcopy(runner)):
            assert np.array_equal(again.step(x[0, :streams]), copy.copy(runner).step(x[0, :streams]))


def test_a_runner_says_which_weights_ran(tmp_path: Path, x: np.ndarray) -> None:
    gatework.save(layers_of("stack"), tmp_path / "small", weights="int8")
    runner = runtime.load(tmp_path / "small")
    runner.step(x[0, :1])
    said = runner.describe().splitlines()
    assert [line.partition(" ")[0] for line in said] == ["gru", "lstm"]
    assert all("int8 weights" in line for line in said)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_steps_any_number_of_streams_to_the_same_bits(kind: str, tmp_path: Path, x: np.ndarray) -> None:
    gatework.save(layers_of("lstm"), tmp_path / "small", weights=kind)
    stepper = runtime.load(tmp_path / "small").stepper
    states = {name: np.tile(value, (B, 1)) for name, value in stepper.start().items()}
    together, _ = stepper.step(x[0], states)
    for b in range(B):
        alone, _ = stepper.step(x[0, b : b + 1], {name: value[b : b + 1] for name, value in states.items()})
        assert np.array_equal(alone[0], together[b])


def test_files_are_smaller_and_others_can_read_them(tmp_path: Path) -> None:
    layer = gatework.LSTM(64, 128)
    bytes_of = {}
    for kind in ("float32", *KINDS):
        gatework.save(layer, tmp_path / kind, weights=kind)
        bytes_of[kind] = sum(t.numel() * t.element_size() for t in load_file(tmp_path / kind).values())
    assert bytes_of["bf16"] < 0.51 * bytes_of["float32"] and bytes_of["int8"] < 0.27 * bytes_of["float32"]
    full, half = load_file(tmp_path / "float32"), load_file(tmp_path / "bf16")
    assert half["0.0/f.0"].dtype == torch.bfloat16 and half["0.0/f.bias"].dtype == torch.float32
    assert torch.equal(half["0.0/f.0"], full["0.0/f.0"].bfloat16())


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="weights='int4': choose one of float32, bf16, int8"):
        gatework.save(layers_of("lstm"), tmp_path / "a", weights="int4")
    with pytest.raises(OptionError, match="the layer's numbers are float64; weights='int8' is for float32"):
        gatework.save(layers_of("rnn"), tmp_path / "a", weights="int8")
    assert not (tmp_path / "a").exists()
    gatework.save(layers_of("rnn"), tmp_path / "double")
    gatework.save(layers_of("lstm"), tmp_path / "half", weights="bf16")
    for path, weights, words in (
        ("double", "bf16", "numbers are float64"),
        ("half", "int8", "the weights are bf16; made int8 they would be rounded twice"),
        ("half", "half", "weights='half': choose one of float32, bf16, int8"),
    ):
        with pytest.raises(OptionError, match=words):
            runtime.load(tmp_path / path, weights=weights)
    assert runtime.load(tmp_path / "half", weights="bf16").layers[0].weights[0]["f.0"].kind == "bf16"


def without(name: str) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.__delitem__(name)


def put(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], None]:
    return lambda tensors: tensors.__setitem__(name, change(tensors[name]))


FOREIGN = {
    "no scales": (without("0.0/f.0.scales"), r"int8 weights \(5, 5\) need scales \(5,\); got none"),
    "too few": (put("0.0/f.0.scales", lambda a: a[:3].clone()), r"need scales \(5,\); got float32 \(3,\)"),
    "of another type": (put("0.0/f.0.scales", lambda a: a.double()), "float64"),
    "not finite": (put("0.0/f.0.scales", lambda a: a / 0), "the scales of the weight '0.0/f.0' are not all finite"),
    "another shape": (put("0.0/f.0", lambda a: a[:, :3].clone()), r"is int8 \(5, 3\); the cell needs floats"),
    "bytes for a bias": (put("0.0/f.bias", lambda a: a.to(torch.int8)), r"'0.0/f.bias' is int8 \(5,\)"),
    "one matrix alone": (put("0.0/f.0", lambda a: a.float()), "these are mixed"),
    "16 bits that are no float": (put("0.0/f.0", lambda a: a.to(torch.uint16)), "does not write, U16"),
    "8 bits that are no integer": (put("0.0/f.0", lambda a: a.to(torch.float8_e4m3fn)), "does not write, F8_E4M3"),
    "scales of nothing": (lambda t: t.update({"0.0/x.scales": torch.ones(5)}), "of which its cells use"),
    "complex": (put("0.0/f.0", lambda a: a.to(torch.complex64)), "complex64"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_strangers(name: str, tmp_path: Path) -> None:
    gatework.save(layers_of("lstm"), tmp_path / "good", weights="int8")
    from safetensors import safe_open

    with safe_open(str(tmp_path / "good"), "pt") as file:
        metadata = file.metadata()
    tensors = load_file(tmp_path / "good")
    change, words = FOREIGN[name]
    change(tensors)
    save_file(tensors, tmp_path / "bad", metadata)
    with pytest.raises(FileFormatError, match=words):
        runtime.load(tmp_path / "bad")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_cut_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "small"
    gatework.save(layers_of("lstm"), path, weights=kind)
    whole = path.read_bytes()
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(FileFormatError):
            runtime.load(path)
