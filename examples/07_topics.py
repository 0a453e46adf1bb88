"""Texts to topics: Embedding, LSTM(64), Dense softmax; with torch, as a Keras program, and as one line of gatework.

The tutorial program reports the accuracy on the rows it learned from. A model of this size knows those by heart; what
counts are rows it has not seen, beside what guessing the most frequent topic would give. It also reads its padding:
the last steps of most rows are zeros, through which the LSTM has to carry what it saw. A mask leaves them out.
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
from gatework.data.embedded import sentences

TOPICS = ("email", "logging", "unittest")
EPOCHS, BATCH = 4, 32
rows = sentences(TOPICS)  # sentences of Python's own documentation, with the library they are from
order = np.random.default_rng(0).permutation(len(rows))[:750]
texts = [rows[k]["text"] for k in order]
labels = np.array([TOPICS.index(rows[k]["library"]) for k in order])
train, test = slice(0, 500), slice(500, 750)

tokenizer = Words(min_count=2)
tokenizer.fit_encode(texts[train])  # the vocabulary is that of the training rows alone
encoded = tokenizer.encode(texts).truncate(30)
ids = keras.utils.pad_sequences(list(encoded), padding="post")
majority = float((labels[test] == np.bincount(labels[train]).argmax()).mean())
print(f"{len(tokenizer):,} ids, {ids.shape[1]} steps; the most frequent topic is right in {majority:.3f} of the rows")


# With torch.
class Classifier(nn.Module):
    def __init__(self, recurrent: nn.Module):
        super().__init__()
        self.embedding = nn.Embedding(len(tokenizer), 32)
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)  # as Keras starts it: rare words say little at first
        self.recurrent, self.output = recurrent, nn.Linear(64, len(TOPICS))

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        output, _ = self.recurrent(self.embedding(ids), lengths=lengths)
        return self.output(output[torch.arange(len(ids)), lengths - 1])


x, lengths, y = torch.from_numpy(ids).long(), torch.from_numpy(encoded.lengths), torch.from_numpy(labels)


def accuracy(recurrent: nn.Module) -> tuple[float, float]:
    """Of training and of test rows, after some epochs of Adam."""
    model = Classifier(recurrent)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(EPOCHS):
        for some in torch.randperm(500).split(BATCH):
            loss = nn.functional.cross_entropy(model(x[some], lengths[some]), y[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        right = model(x, lengths).argmax(1) == y
    return float(right[train].double().mean()), float(right[test].double().mean())


torch.manual_seed(0)
layers = {
    "LSTM": gatework.LSTM(32, 64, batch_first=True),
    "RNN, tanh": gatework.RNN(32, 64, batch_first=True),
    "RNN, sigmoid": gatework.Recurrent("rnn_sigmoid", 32, 64, batch_first=True),
}
for name, layer in layers.items():
    known, new = accuracy(layer)
    print(f"torch, {name}: accuracy {known:.3f} on training rows, {new:.3f} on new ones")
    assert name != "LSTM" or new > majority + 0.1

# As a Keras program.
keras.utils.set_random_seed(0)
layers = {
    "LSTM": gatework.keras.LSTM(64),
    "RNN, tanh": gatework.keras.SimpleRNN(64),
    "RNN, sigmoid": gatework.keras.SimpleRNN(64, activation="sigmoid"),
}
for name, layer in layers.items():
    model = keras.Sequential(
        [
            keras.layers.Embedding(len(tokenizer), 32, mask_zero=True),
            layer,
            keras.layers.Dense(len(TOPICS), activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(ids[train], labels[train], batch_size=BATCH, epochs=EPOCHS, verbose=0)
    known, new = (model.evaluate(ids[part], labels[part], verbose=0)[1] for part in (train, test))
    print(f"keras, {name}: accuracy {known:.3f} on training rows, {new:.3f} on new ones")
    assert name != "LSTM" or new > majority + 0.1

# And as the job `classify`, which tokenizes, holds rows out, reads both ways, and adds a linear model of n-grams.
job = gatework.TextClassifier(hidden_size=64, epochs=3).fit(texts[train], labels[train])
new = job.score(texts[test], labels[test])
print(f"gatework.TextClassifier: accuracy {new:.3f} on new rows")
assert new > majority + 0.2
