"""Sounds and pictures made here, with their truth: Morse code to hear, tunes to play, digits to read, digits that move.

For demos, examples and tests without a download. Each has a function that makes them in memory and one that writes them
as files beside a table: `write_morse("folder", 200)` gives folder/clips.csv and folder/0000.wav, ...
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gatework.runtime.saved import write_bytes

SIGNS = (
    *(".-", "-...", "-.-.", "-..", ".", "..-.", "--.", "....", "..", ".---", "-.-", ".-..", "--"),
    *("-.", "---", ".--.", "--.-", ".-.", "...", "-", "..-", "...-", ".--", "-..-", "-.--", "--.."),
)
MORSE = dict(zip("abcdefghijklmnopqrstuvwxyz", SIGNS, strict=True))
RATE = 8_000
LETTERS = "".join(MORSE)
SIZES = (2, 5)  # letters of a string
PER_LINE = (3, 6)  # digits of a line
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
NOTES = {"c": 523, "d": 587, "e": 659, "g": 784, "a": 880}  # hertz
PLAYERS = {"flute": (1.0, 0.0), "reed": (0.6, 0.4)}  # how loud a tone and its double are
TUNE_RATE = 4_000
WAYS = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}  # (down, right) at each step
SIZE, FRAMES = 24, 10  # points of a film's side, frames of a film


class Clip(NamedTuple):
    samples: np.ndarray  # float32 (n,)
    text: str


class Tune(NamedTuple):
    samples: np.ndarray  # float32 (n,), 4,000 a second
    text: str
    player: str


class Line(NamedTuple):
    picture: np.ndarray  # uint8 (H, W), dark on light
    text: str


class Film(NamedTuple):
    frames: np.ndarray  # uint8 (T, H, W), light on dark
    caption: str


def morse(count: int, seed: int = 0, letters: str = LETTERS) -> list[Clip]:
    """Strings of 2 to 5 of the letters as tones of Morse code, 8,000 samples a second, of different speed and pitch, in
    noise.

    Example: `morse(1)[0]` is a Clip of samples float32 (n,), from 0.3 to 4.2 seconds of them, and a text like "kqe".

    A dash is three dots long, the gap within a letter one, between letters three (ITU-R M.1677).
    """
    random = np.random.default_rng(seed)
    return [_clip(random, letters) for _ in range(count)]


def _clip(random: np.random.Generator, letters: str) -> Clip:
    text = "".join(random.choice(list(letters), random.integers(*SIZES, endpoint=True)))
    dot = int(RATE * random.uniform(0.03, 0.05))
    key = np.concatenate([np.zeros(3 * dot), *(_keyed(MORSE[letter], dot) for letter in text)])
    edge = np.hanning(dot // 4)  # a key that opens at once would click
    tone = np.sin(2 * np.pi * random.uniform(400, 900) / RATE * np.arange(len(key)) + random.uniform(0, 2 * np.pi))
    loud = random.uniform(0.1, 0.8)
    noise = random.normal(0, loud * random.uniform(0.01, 0.3), len(key))
    samples = loud * tone * np.convolve(key, edge / edge.sum(), "same") + noise
    return Clip(np.clip(samples, -1, 1).astype(np.float32), text)


def _keyed(signs: str, dot: int) -> np.ndarray:
    """1 where the key is down; a letter's gap follows it."""
    parts = [np.repeat([1.0, 0.0], [dot if sign == "." else 3 * dot, dot]) for sign in signs]
    return np.concatenate([*parts, np.zeros(2 * dot)])


def tunes(count: int, seed: int = 0) -> list[Tune]:
    """Tunes of 1 to 3 notes, an eighth of a second each, by two players of different sound: what a voice can learn.

    Example: `tunes(1)[0]` is a Tune of samples float32 (n,), a text like "ceg", and "flute" or "reed".
    """
    random = np.random.default_rng(seed)
    return [_tune(random, list(PLAYERS)[number % 2]) for number in range(count)]


def _tune(random: np.random.Generator, player: str) -> Tune:
    text = "".join(random.choice(list(NOTES), random.integers(1, 3, endpoint=True)))
    time = np.arange(int(TUNE_RATE * random.uniform(0.115, 0.135))) / TUNE_RATE
    shape = np.minimum(1, np.minimum(time, time[::-1]) / 0.01)  # a tone that begins at once would click
    tones = [
        shape
        * sum(loud * np.sin(2 * np.pi * times * NOTES[note] * time) for times, loud in enumerate(PLAYERS[player], 1))
        for note in text
    ]
    noise = random.normal(0, 0.003, len(text) * len(time))
    return Tune((0.5 * np.concatenate(tones) + noise).astype(np.float32), text, player)


def digit_lines(count: int, seed: int = 0) -> list[Line]:
    """Lines of 3 to 6 handwritten digits of scikit-learn, joined with gaps and overlaps, moved up and down, noisy.

    Example: `digit_lines(1)[0]` is a Line of a picture uint8 (32, W) and a text like "3071".
    """
    random = np.random.default_rng(seed)
    images, labels = _digits(2)
    return [_line(random, images, labels) for _ in range(count)]


def _line(random: np.random.Generator, images: np.ndarray, labels: np.ndarray) -> Line:
    chosen = random.integers(0, len(images), random.integers(*PER_LINE, endpoint=True))
    ground = np.zeros((32, 20 * len(chosen) + 8))
    right = 4
    for image in images[chosen]:
        top = int(random.integers(2, 14))
        inked = image[:, image.any(axis=0)]
        place = ground[top : top + len(image), right : right + inked.shape[1]]
        np.maximum(place, inked, out=place)
        right += inked.shape[1] + int(random.integers(-1, 5))
    ground = ground[:, : right + 4]
    noisy = 255 - 200 * ground + random.normal(0, 12, ground.shape)
    return Line(np.clip(noisy, 0, 255).astype(np.uint8), "".join(map(str, labels[chosen])))


def moving_digits(count: int, seed: int = 0, digits: int = 2) -> list[Film]:
    """Films of handwritten digits of scikit-learn that move, each its own way: "three left, seven up".

    Example: `moving_digits(1)[0]` is a Film of frames uint8 (10, 24, 24) and a caption; the digits' names are in
    ascending order. Paths are centred in the film, so that no single frame tells the direction.
    """
    random = np.random.default_rng(seed)
    images, labels = _digits(1)
    return [_film(random, images, labels, digits) for _ in range(count)]


def _film(random: np.random.Generator, images: np.ndarray, labels: np.ndarray, digits: int) -> Film:
    numbers = np.sort(random.choice(10, digits, replace=False))
    frames = np.zeros((FRAMES, SIZE, SIZE))
    names = []
    for number in numbers:
        image = images[random.choice(np.flatnonzero(labels == number))]
        way = str(random.choice(list(WAYS)))
        names.append(f"{NUMBERS[number]} {way}")
        _move(frames, image, np.array(WAYS[way]), random.integers(-5, 6, 2))
    return Film((255 * frames).round().astype(np.uint8), ", ".join(names))


def _move(frames: np.ndarray, image: np.ndarray, way: np.ndarray, offset: np.ndarray) -> None:
    """Draws a digit into each frame; in the middle of the film it is `offset` from the middle of the picture."""
    middle = (SIZE - len(image)) // 2 + offset * (way == 0)
    for number, frame in enumerate(frames):
        top, left = middle + way * (number - FRAMES // 2)
        ys, xs = np.arange(top, top + len(image)), np.arange(left, left + len(image))
        within = np.ix_(ys[(ys >= 0) & (ys < SIZE)], xs[(xs >= 0) & (xs < SIZE)])
        inked = image[np.ix_((ys >= 0) & (ys < SIZE), (xs >= 0) & (xs < SIZE))]
        frame[within] = np.maximum(frame[within], inked)


def _digits(times: int) -> tuple[np.ndarray, np.ndarray]:
    """The digits (n, 8 * times, 8 * times) from 0 to 1, and which they are; see `embedded.digits` for their source."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    grey = np.asarray(images).reshape(-1, 8, 8) / 16
    return grey.repeat(times, axis=1).repeat(times, axis=2), np.asarray(labels)


# -- as files ---------------------------------------------------------------------------------------------------


def write_morse(folder: str | Path, count: int, seed: int = 0, letters: str = LETTERS) -> Path:
    """Writes clips as wav files and `clips.csv` (file, text); gives the table's path."""
    from gatework.data.media.sounds import encoded

    files = ((encoded(clip.samples, RATE), clip.text) for clip in morse(count, seed, letters))
    return _write(Path(folder), "clips.csv", ("file", "text"), ".wav", files)


def write_tunes(folder: str | Path, count: int, seed: int = 0) -> Path:
    """Writes tunes as wav files and `tunes.csv` (file, text, player) beside them; gives the table's path."""
    from gatework.data.media.sounds import encoded

    files = ((encoded(each.samples, TUNE_RATE), each.text, each.player) for each in tunes(count, seed))
    return _write(Path(folder), "tunes.csv", ("file", "text", "player"), "_tune.wav", files)


def write_digit_lines(folder: str | Path, count: int, seed: int = 0) -> Path:
    """Writes lines as PNG files and `lines.csv` (file, text); gives the table's path."""
    files = ((_drawn([line.picture]), line.text) for line in digit_lines(count, seed))
    return _write(Path(folder), "lines.csv", ("file", "text"), ".png", files)


def write_moving_digits(folder: str | Path, count: int, seed: int = 0, digits: int = 2) -> Path:
    """Writes films as GIF files and `films.csv` (file, caption); gives the table's path."""
    files = ((_drawn(list(film.frames), "GIF"), film.caption) for film in moving_digits(count, seed, digits))
    return _write(Path(folder), "films.csv", ("file", "caption"), ".gif", files)


def _write(
    folder: Path, table: str, names: tuple[str, ...], end: str, files: Iterable[tuple[bytes, *tuple[str, ...]]]
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [names]
    for number, (data, *others) in enumerate(files):
        rows.append((f"{number:04}{end}", *others))
        write_bytes(data, folder / rows[-1][0])
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_bytes(text.getvalue().encode(), folder / table)
    return folder / table


def _drawn(frames: list[np.ndarray], form: str = "PNG") -> bytes:
    from gatework.data.media.pictures import image_of

    first, *others = map(image_of, frames)
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": others, "duration": 100} if others else {}
    first.save(buffer, form, **more)
    return buffer.getvalue()
