"""Tones of Morse code, made here with their truth: strings of letters, of which nobody said when each comes."""

from __future__ import annotations

from gatework import Transcriber
from gatework.data.made import RATE, morse

LETTERS = "etianmso"  # the shortest signs; all 26 take some minutes
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
new_samples = [(clip.samples, RATE) for clip in new]
for clip, (best, *others), (word,) in zip(new, model.n_best(new_samples, 3), model.words(new_samples), strict=True):
    also = ", ".join(text for text, _ in others)
    print(f"{clip.text}: {best[0]} from {word.start:.2f} to {word.end:.2f} s ({word.confidence:.0%}); else {also}")
