"""Steps whose states the caller keeps: the same bits as a runner of one stream, whoever else is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gatework
from gatework import runtime
from gatework.errors import DataError, OptionError, ShapeError

I, STEPS = 3, 4
LAYERS = {
    "lstm": lambda: gatework.LSTM(I, 16, 2),
    "gru": lambda: gatework.GRU(I, 5),
    "double": lambda: gatework.RNN(I, 4, dtype=torch.float64),
    "learned start": lambda: gatework.LSTM(I, 6, learn_initial_state=True, peephole=True),
    "slstm": lambda: gatework.Recurrent("slstm", I, 6, sizes={"heads": 2}),
    "stack": lambda: nn.Sequential(gatework.GRU(I, 5), gatework.LSTM(5, 6)),
}


def saved(name: str, folder: Path) -> Path:
    torch.manual_seed(1)
    layer = LAYERS[name]()
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    gatework.save(layer, folder / "layer.safetensors")
    return folder / "layer.safetensors"


def begun(stepper: Any, count: int) -> dict[str, np.ndarray]:
    return {name: np.tile(start, (count, 1)) for name, start in stepper.start().items()}


@pytest.mark.parametrize("forced", ["", "reference"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_row_has_the_bits_of_a_runner_alone(
    name: str, forced: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forced:
        monkeypatch.setenv("GATEWORK_ISA", forced)
    path, rng = saved(name, tmp_path), np.random.default_rng(0)
    stepper = runtime.load(path).stepper
    x = rng.standard_normal((STEPS, 64, I)).astype(stepper.dtype)
    alone = [runtime.load(path) for _ in range(64)]
    expected = np.stack([np.concatenate([alone[b].step(row[b : b + 1]) for b in range(64)]) for row in x])
    states = begun(stepper, 64)
    assert {n: v.shape for n, v in states.items()} == {n: (64, w) for n, w in stepper.widths.items()}
    for t, count in enumerate((64, 64, 64, 8)):  # at last only the first eight go on
        output, states = stepper.step(x[t, :count], {n: v[:count] for n, v in states.items()})
        assert (output == expected[t, :count]).all()
        assert output.dtype == stepper.dtype


def test_no_rows_are_no_error(tmp_path: Path) -> None:
    stepper = runtime.load(saved("lstm", tmp_path)).stepper
    output, states = stepper.step(np.zeros((0, I)), begun(stepper, 0))
    assert output.shape == (0, 16) and states["1.c"].shape == (0, 16)


@pytest.mark.parametrize(
    ("row", "error", "text"),
    [
        ([1, 2], ShapeError, r"row of 3 numbers; got the shape \(2,\)"),
        (1.0, ShapeError, r"the shape \(\)"),
        ([[1, 2, 3]], ShapeError, r"the shape \(1, 3\)"),
        ([[1], [2, 3]], ShapeError, "unequal length"),
        (["a", 1, 2], DataError, "row of 3 numbers"),
        ([True, False, True], DataError, "row of 3 numbers"),
        ([None, 1, 2], DataError, "row of 3 numbers"),
        ({"x": 1}, DataError, "row of 3 numbers"),
        ("abc", DataError, "row of 3 numbers"),
        ([1, float("nan"), 2], DataError, "number 2 of a step's input is no finite float32: nan"),
        ([1e39, 0, 0], DataError, r"number 1 .* 1e\+39"),
        ([10**400, 0, 0], DataError, "larger than any float"),
        ([0, -(10**40), 0], DataError, "number 2 .* no finite float32"),
        ([3.402823466385289e38, 0, 0], DataError, "number 1 .* no finite float32"),
    ],
)
def test_a_bad_input_is_told(row: object, error: type[Exception], text: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=text):
        runtime.load(saved("lstm", tmp_path)).stepper.read(row)


def test_whole_numbers_of_any_size_that_fit_are_numbers(tmp_path: Path) -> None:
    read = runtime.load(saved("lstm", tmp_path)).stepper.read
    assert read([10**30, -5, 2**63]).tolist() == np.float32([1e30, -5, 2.0**63]).tolist()


def test_both_directions_make_no_single_steps(tmp_path: Path) -> None:
    gatework.save(gatework.LSTM(I, 4, bidirectional=True), tmp_path / "layer.safetensors")
    with pytest.raises(OptionError, match="both directions"):
        _ = runtime.load(tmp_path / "layer.safetensors").stepper
