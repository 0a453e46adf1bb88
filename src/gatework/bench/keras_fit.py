"""A Keras classifier and its data; run as a program (with any Keras, without gatework) it prints seconds for one batch.

KERAS_BACKEND=jax python keras_fit.py '{"T": 100, "B": 32, "I": 128, "H": 128, "runs": 10}'
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

BATCHES, CLASSES = 8, 10


def data(T: int, B: int, I: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise: (8 B, T, I) and labels."""
    random = np.random.default_rng(0)
    return random.standard_normal((BATCHES * B, T, I), np.float32), random.integers(0, CLASSES, BATCHES * B)


def classifier(layer: keras.Layer, T: int, I: int) -> Any:
    """A recurrent layer and a softmax."""
    import keras

    model = keras.Sequential([keras.Input((T, I)), layer, keras.layers.Dense(CLASSES, activation="softmax")])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def main(T: int, B: int, I: int, H: int, runs: int) -> list[float]:
    """Seconds of `fit` for one batch, `runs` times, after two epochs that are not timed."""
    import keras

    x, y = data(T, B, I)
    model, times = classifier(keras.layers.LSTM(H), T, I), []
    for _ in range(2 + runs):
        began = time.perf_counter()
        model.fit(x, y, batch_size=B, verbose=0)
        times.append((time.perf_counter() - began) / BATCHES)
    return times[2:]


if __name__ == "__main__":
    print(json.dumps(main(**json.loads(sys.argv[1]))))
