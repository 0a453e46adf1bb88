"""Tones of Morse code, made here with their truth: strings of letters, of which nobody said when each comes."""

from __future__ import annotations

from gatework import Transcriber
from gatework.data.made import RATE, morse

LETTERS = "etianmso"  # short signs, few to tell apart: less than a minute is enough
clips = morse(800, letters=LETTERS)
samples, texts = [(clip.samples, RATE) for clip in clips], [clip.text for clip in clips]
plain = {
    "dropout": 0.0,
    "specaugment": 0.0,
    "speed": 0.0,
    "pitch": 0.0,
    "loudness": 0.0,
    "colouring": 0.0,
    "noise": 0.0,
}
small = {"hidden_size": 64, "layers": 1, "front_size": 64, "batch_size": 8, "learning_rate": 0.005, "epochs": 16}
model = Transcriber(test_share=0.1, **small, **plain).fit(samples, texts)
print(model.trained_.run.results()["verdict"])

new = morse(3, seed=1, letters=LETTERS)
for clip, best in zip(new, model.n_best([(clip.samples, RATE) for clip in new], 3), strict=True):
    print(f"{clip.text}: " + ", ".join(f"{text!r} ({score:.2f})" for text, score in best))
