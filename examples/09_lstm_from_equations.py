"""A two-layer LSTM from its equations: squared error, Adam, the loss every hundred steps, then it goes on alone.

The tutorial program writes each gate, each derivative and the Adam update by hand. Its output gate stands inside the
tanh, h = tanh(c * o), its second layer reads x in the place of the first layer's h, and its test windows are among
those it learned from. Here the equations are the published ones, once, and the derivative comes from them; the layers
are stacked by `num_layers=2`; and what is predicted comes after everything that was learned.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before the first import of keras

import keras
import numpy as np
import torch
from torch import nn

import gatework
import gatework.keras
from gatework import cell, sigmoid, tanh


@cell
def lstm(x, h, c, W):
    """Gers, Schmidhuber & Cummins 2000. W.f(h, x) is W h + U x + b, with its own W, U and b."""
    f = sigmoid(W.f(h, x))
    i = sigmoid(W.i(h, x))
    g = tanh(W.g(h, x))
    o = sigmoid(W.o(h, x))
    c = f * c + i * g
    return o * tanh(c), c


# A series whose next value needs more than the last one: two waves of different lengths.
L, STEPS, AHEAD = 24, 200, 30
time = np.arange(400)
series = (np.sin(time / 5) + 0.5 * np.sin(time / 2.3)).astype(np.float32)
known, future = series[:-AHEAD], series[-AHEAD:]
windows = np.lib.stride_tricks.sliding_window_view(known, L + 1)[::6]
x, y = windows[:, :L, None], windows[:, L:]  # (n, L, 1) and (n, 1)
last_value = float(np.square(windows[:, L] - windows[:, L - 1]).mean())
repeated = float(np.square(future - known[-1]).mean())
print(f"squared error of repeating the last value: {last_value:.3f} one step ahead, {repeated:.3f} over {AHEAD} steps")


def alone(model) -> float:
    """Squared error over the unknown future, each prediction being the next input."""
    seen = list(known[-L:])
    for _ in range(AHEAD):
        seen.append(float(model(np.array(seen[-L:], np.float32)[None, :, None])))
    return float(np.square(np.array(seen[L:]) - future).mean())


# With torch: any cell is a layer.
class Model(nn.Module):
    def __init__(self, kind: object):
        super().__init__()
        self.recurrent = gatework.Recurrent(kind, 1, 32, num_layers=2, batch_first=True)
        self.output = nn.Linear(32, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.recurrent(x)[0][:, -1])


torch.manual_seed(0)
for name, kind in {"LSTM": lstm, "RNN, tanh": "rnn", "RNN, sigmoid": "rnn_sigmoid"}.items():
    model = Model(kind)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for step in range(1, STEPS + 1):
        loss = nn.functional.mse_loss(model(torch.from_numpy(x)), torch.from_numpy(y))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 100 == 0:
            print(f"torch, {name}, step {step}: loss {loss.item():.5f}")
    with torch.no_grad():
        error = alone(lambda window, m=model: m(torch.from_numpy(window)))
    print(f"torch, {name}: squared error {error:.3f} over the {AHEAD} steps after the series")
    assert name != "LSTM" or (loss.item() < last_value / 5 and error < repeated / 2)


# As a Keras program: the same layers, stacked by return_sequences.
keras.utils.set_random_seed(0)
kinds = {
    "LSTM": lambda **more: gatework.keras.LSTM(32, **more),
    "RNN, tanh": lambda **more: gatework.keras.SimpleRNN(32, **more),
    "RNN, sigmoid": lambda **more: gatework.keras.SimpleRNN(32, activation="sigmoid", **more),
}
for name, kind in kinds.items():
    model = keras.Sequential([keras.layers.Input((L, 1)), kind(return_sequences=True), kind(), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse")
    for step in range(1, STEPS + 1):
        loss = float(model.train_on_batch(x, y))
        if step % 100 == 0:
            print(f"keras, {name}, step {step}: loss {loss:.5f}")
    error = alone(lambda window, m=model: m(window).detach())
    print(f"keras, {name}: squared error {error:.3f} over the {AHEAD} steps after the series")
    assert name != "LSTM" or (loss < last_value / 5 and error < repeated / 2)
