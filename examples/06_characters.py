"""Characters from one-hot windows: LSTM(128), softmax over the next one, categorical cross-entropy; then it writes.

The tutorial program slices overlapping windows of a text, each with the character after it. Two things are wrong there:
the sorted set of characters is built anew for generation, so ids may differ from those of training; and every next
character is the most likely one, which soon writes in circles. Here one table serves both, and characters are drawn
from the distribution. It also shows no number; here the loss on held-out text stands beside that of letter counts.
"""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")  # before the first import of keras

import keras
import numpy as np
import torch
from torch import nn
from torch.nn import functional

import gatework
import gatework.keras
from gatework.data.embedded import manual

T, STEPS, BATCH = 20, 120, 64
text = manual()[:20_000].lower()
symbols = sorted(set(text))
V = len(symbols)
ids = np.array([symbols.index(character) for character in text])
one_hot = np.eye(V, dtype=np.float32)
windows = np.lib.stride_tricks.sliding_window_view(ids, T + 1)
train, held_out = windows[:16_000], windows[16_100:]  # a gap, so that no window of one reaches into the other


def pair(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One-hot windows (B, T, V) and the one-hot characters after them (B, V)."""
    return one_hot[rows[:, :-1]], one_hot[rows[:, -1]]


counts = np.bincount(train[:, -1], minlength=V) + 1
guessing = float(-np.log(counts / counts.sum())[held_out[:, -1]].mean())
print(f"{V} symbols; letter counts alone: {guessing:.2f} nats per character")
batches = [pair(train[rows]) for rows in np.random.default_rng(0).integers(0, len(train), (STEPS, BATCH))]
test = pair(held_out[::10])


def written(probabilities, length: int = 40) -> str:
    """Text drawn character by character, each from the distribution after the last T."""
    random, found = np.random.default_rng(1), list(held_out[0, :-1])
    for _ in range(length):
        p = np.asarray(probabilities(one_hot[found[-T:]][None]), np.float64).ravel()
        found.append(random.choice(V, p=p / p.sum()))
    return "".join(symbols[i] for i in found[T:])


# With torch. A one-hot vector needs no embedding: the first matrix of the layer is one.
class Model(nn.Module):
    def __init__(self, recurrent: nn.Module):
        super().__init__()
        self.recurrent, self.output = recurrent, nn.Linear(128, V)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.recurrent(x)[0][:, -1])


torch.manual_seed(0)
layers = {
    "LSTM": gatework.LSTM(V, 128, batch_first=True),
    "RNN, tanh": gatework.RNN(V, 128, batch_first=True),
    "RNN, sigmoid": gatework.Recurrent("rnn_sigmoid", V, 128, batch_first=True),
}
for name, layer in layers.items():
    model = Model(layer)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for x, y in batches:
        loss = functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        value = functional.cross_entropy(model(torch.from_numpy(test[0])), torch.from_numpy(test[1])).item()
        sample = written(lambda x, m=model: torch.softmax(m(torch.from_numpy(x)), 1))
    print(f"torch, {name}: {value:.2f} nats per character; writes {sample!r}")
    assert name != "LSTM" or value < guessing - 0.1

# As a Keras program.
keras.utils.set_random_seed(0)
layers = {
    "LSTM": gatework.keras.LSTM(128),
    "RNN, tanh": gatework.keras.SimpleRNN(128),
    "RNN, sigmoid": gatework.keras.SimpleRNN(128, activation="sigmoid"),
}
for name, layer in layers.items():
    model = keras.Sequential([keras.layers.Input((T, V)), layer, keras.layers.Dense(V, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy")
    for x, y in batches:
        model.train_on_batch(x, y)
    value = model.evaluate(*test, batch_size=512, verbose=0)
    sample = written(lambda x, m=model: m(x).detach())
    print(f"keras, {name}: {value:.2f} nats per character; writes {sample!r}")
    assert name != "LSTM" or value < guessing - 0.1
