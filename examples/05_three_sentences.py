"""Three sentences, three labels: tokens, padding, LSTM(32), softmax; with torch, then as a Keras program.

The tutorial program feeds padded integer ids straight into the LSTM, which expects a vector at each step: it stops with
a shape error, or, reshaped to (B, T, 1), learns from the size of arbitrary numbers. An embedding between the two makes
each id a vector of its own. Its Tokenizer is gone from Keras 3; `gatework.data.codecs.words.Words` takes its place.
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
from gatework.data.codecs import Words

SENTENCES = ["I love this film", "the film was not good at all", "it runs for two hours"]
LABELS = np.array([0, 1, 2])  # positive, negative, neutral
STEPS = 60

tokenizer = Words()
tokens = tokenizer.fit_encode(SENTENCES)  # a list of ids for each sentence; 0 is free for padding
padded = keras.utils.pad_sequences(list(tokens), padding="post")  # (3, 7)
print(f"{len(tokenizer)} ids; {SENTENCES[0]!r} is {padded[0].tolist()}")
first_loss = float(np.log(3))  # of guessing


# With torch: the layer is told the lengths, so that the padding is never read.
class Classifier(nn.Module):
    def __init__(self, recurrent: nn.Module):
        super().__init__()
        self.embedding, self.recurrent, self.output = nn.Embedding(len(tokenizer), 16), recurrent, nn.Linear(32, 3)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        output, _ = self.recurrent(self.embedding(ids), lengths=lengths)
        return self.output(output[torch.arange(len(ids)), lengths - 1])  # the output of each last word


def trained(recurrent: nn.Module) -> tuple[float, int]:
    """The loss after some steps of Adam, and how many of the three labels are right."""
    model, ids = Classifier(recurrent), torch.from_numpy(padded).long()
    lengths, labels = torch.from_numpy(tokens.lengths), torch.from_numpy(LABELS)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(STEPS):
        loss = nn.functional.cross_entropy(model(ids, lengths), labels)  # softmax inside
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return loss.item(), int((model(ids, lengths).argmax(1) == labels).sum())


torch.manual_seed(0)
layers = {
    "LSTM": gatework.LSTM(16, 32, batch_first=True),
    "RNN, tanh": gatework.RNN(16, 32, batch_first=True),
    "RNN, sigmoid": gatework.Recurrent("rnn_sigmoid", 16, 32, batch_first=True),
}
for name, layer in layers.items():
    loss, right = trained(layer)
    print(f"torch, {name}: loss {first_loss:.2f} -> {loss:.3f}, {right} of 3 right")
    assert loss < 0.2
    assert right == 3

# As a Keras program: mask_zero=True tells the layer where the padding is.
keras.utils.set_random_seed(0)
layers = {
    "LSTM": gatework.keras.LSTM(32),
    "RNN, tanh": gatework.keras.SimpleRNN(32),
    "RNN, sigmoid": gatework.keras.SimpleRNN(32, activation="sigmoid"),
}
for name, layer in layers.items():
    model = keras.Sequential(
        [
            keras.layers.Embedding(len(tokenizer), 16, mask_zero=True),
            layer,
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(padded, LABELS, epochs=STEPS, verbose=0)
    loss, accuracy = model.evaluate(padded, LABELS, verbose=0)
    print(f"keras, {name}: loss {first_loss:.2f} -> {loss:.3f}, {round(3 * accuracy)} of 3 right")
    assert loss < 0.3
    assert accuracy == 1
