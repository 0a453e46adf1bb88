"""A voice from recordings: tunes by two players, made here; new texts are played, and their notes are read again."""

from __future__ import annotations

import numpy as np

from gatework import Speaker
from gatework.data.made import NOTES, TUNE_RATE, tunes


def notes(samples: np.ndarray, count: int) -> str:
    """The note that is nearest to the loudest pitch of each of `count` equal parts."""
    found = ""
    for part in np.array_split(samples, count):
        power = np.abs(np.fft.rfft(part * np.hanning(len(part)), 8192))[: 8192 * 1000 // TUNE_RATE]
        pitch = power.argmax() * TUNE_RATE / 8192
        found += min(NOTES, key=lambda note: abs(np.log(NOTES[note] / pitch)))
    return found


learned = [{"audio": each.samples, "rate": TUNE_RATE, "text": each.text, "speaker": each.player} for each in tunes(200)]
sizes = {"mels": 40, "embedding_size": 16, "encoder_size": 24, "asking_size": 48, "hidden_size": 64, "bottleneck": 32}
model = Speaker(**sizes, finish=0, reduction=3, bottleneck_dropout=0.3, batch_size=8, epochs=40, learning_rate=0.006)
model.fit(learned)
print(model.trained_.run.results()["valid"])

for player in model.speakers_:
    texts = ["ace", "dg", "gad"]
    for text, samples in zip(texts, model.predict(texts, speaker=player), strict=True):
        print(f"{player}: {text} is played as {notes(samples, len(text))}, {len(samples) / model.rate_:.2f} seconds")
