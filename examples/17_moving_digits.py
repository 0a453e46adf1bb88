"""Films of digits that move, and what they show in words: "three left", "two up"; which frames each word looked at."""

from __future__ import annotations

import numpy as np

from gatework import Captioner
from gatework.data.made import Film, moving_digits


def films(count: int, seed: int) -> list[Film]:
    """Films of one digit from zero to three, which moves left, right, up or down."""
    return [film for film in moving_digits(count, seed, digits=1) if film.caption.split()[0] in DIGITS]


DIGITS = ("zero", "one", "two", "three")
learned = films(3_000, seed=1)
model = Captioner(epochs=14, size=24, learning_rate=0.004, hidden_size=64, dropout=0.1, test_share=0.2)
model.fit([film.frames for film in learned], [film.caption for film in learned])
print(model.trained_.run.results()["verdict"])

new = films(10, seed=2)
shown = [film.frames for film in new]
for film, caption, looked in zip(new, model.predict(shown), model.looks(shown), strict=True):
    print(f"{caption} (true: {film.caption})")
    for unit, weights in zip(looked.units, looked.weights, strict=True):
        print(f"  {unit or '(end)':>8}  looked most at frame {int(np.argmax(weights)) + 1} of {len(weights)}")
