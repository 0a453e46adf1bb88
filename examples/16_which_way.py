"""Which way does a digit move? No frame of these films tells: convolutions see where it is, an LSTM how it goes."""

from __future__ import annotations

from gatework import FilmClassifier
from gatework.data.made import moving_digits

films = moving_digits(500, digits=1)  # a handwritten digit, ten frames: "three left"
frames, ways = [film.frames for film in films], [film.caption.split()[-1] for film in films]
model = FilmClassifier(epochs=8, hidden_size=32, front_size=32, test_share=0.2, learning_rate=0.005)
model.fit(frames, ways)
print(model.trained_.run.results()["verdict"])

for film in moving_digits(3, seed=1, digits=1):
    print(f"{film.caption}: {model.predict([film.frames])[0]}")
