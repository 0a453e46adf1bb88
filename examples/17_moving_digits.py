"""Films of digits that move, and what they show in words: "three left, seven up"; which frames each word looked at."""

from __future__ import annotations

import numpy as np

from gatework import Captioner
from gatework.data.made import moving_digits

films = moving_digits(600, seed=1, digits=1)
frames, captions = [film.frames for film in films], [film.caption for film in films]
model = Captioner(epochs=12, size=24, widths=(16, 32, 64), hidden_size=64, dropout=0.1, test_share=0.2)
model.fit(frames, captions)
print(model.trained_.run.results()["verdict"])

new = moving_digits(4, seed=2, digits=1)
shown = [film.frames for film in new]
for film, caption, looked in zip(new, model.predict(shown), model.looks(shown), strict=True):
    print(f"{caption} (true: {film.caption})")
    for unit, weights in zip(looked.units, looked.weights, strict=True):
        print(f"  {unit or '(end)':>8}  looked most at frame {int(np.argmax(weights)) + 1} of {len(weights)}")
