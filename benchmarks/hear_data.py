"""Public recordings and digits as tables of files for `hear.py`: wav and png files beside clips.csv, parts apart.

Each function writes the parts of one measure into a folder and gives their tables. Test data stem from takes, speakers
or people that no training file has.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gatework.data.media import sounds

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TEST_TAKES = 5  # takes 0 to 4 of each digit and speaker
RATE = 8_000
STRINGS = {"train": 3_000, "test": 300}
LINES = {"train": 12_000, "test": 1_000}
LENGTHS = (3, 7)  # digits of a string or line
WORDS = 200  # of the list from which lines with context are drawn


class Take(NamedTuple):
    """One spoken digit."""

    path: Path
    digit: int
    speaker: str
    number: int


def takes(data: Path) -> list[Take]:
    found = []
    for path in sorted((data / "fsdd" / "recordings").glob("*.wav")):
        digit, speaker, number = path.stem.split("_")
        found.append(Take(path, int(digit), speaker, int(number)))
    return found


def table(folder: Path, name: str, rows: Iterable[Sequence[object]], header: Sequence[str]) -> Path:
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return folder / f"{name}.csv"


def singles(data: Path, folder: Path, test: Callable[[Take], bool]) -> tuple[Path, Path]:
    """Training and test tables of single digits, in place; `test` says which takes are of the test."""
    header = ("file", "words", "speaker")
    parts: dict[bool, list[Sequence[object]]] = {False: [], True: []}
    for take in takes(data):
        parts[test(take)].append((take.path.resolve(), NAMES[take.digit], take.speaker))
    return table(folder, "train", parts[False], header), table(folder, "test", parts[True], header)


def official(take: Take) -> bool:
    """Takes 0 to 4 are the test."""
    return take.number < TEST_TAKES


def strings(data: Path, folder: Path) -> tuple[Path, Path]:
    """Strings of 3 to 7 digits of one speaker each, joined with gaps of 20 to 300 ms over low noise."""
    every, found = takes(data), []
    for part, count in STRINGS.items():
        draw = np.random.default_rng([len(part), count])
        own = [take for take in every if official(take) == (part == "test")]
        rows = []
        for number in range(count):
            speaker = SPEAKERS[number % len(SPEAKERS)]
            pool = [take for take in own if take.speaker == speaker]
            chosen = [pool[place] for place in draw.integers(0, len(pool), draw.integers(*LENGTHS, endpoint=True))]
            name = f"{part}_{number:04}.wav"
            sounds.write(folder / name, joined([take.path for take in chosen], draw), RATE)
            rows.append((name, " ".join(NAMES[take.digit] for take in chosen), speaker))
        found.append(table(folder, part, rows, ("file", "words", "speaker")))
    return found[0], found[1]


def joined(paths: Sequence[Path], draw: np.random.Generator) -> np.ndarray:
    """Recordings one after another; noise of 1/10,000 to 1/1,000 of full scale lies under all of it."""
    parts = [gap(draw)]
    for path in paths:
        parts += [sounds.load(path, RATE), gap(draw)]
    samples = np.concatenate(parts)
    level = 10 ** draw.uniform(-4, -3)
    return (samples + level * draw.standard_normal(len(samples))).astype(np.float32)


def gap(draw: np.random.Generator) -> np.ndarray:
    return np.zeros(int(RATE * draw.uniform(0.02, 0.3)), np.float32)


def yesno(data: Path, folder: Path) -> tuple[Path, Path]:
    """30 and 30 recordings: the odd and the even ones of the sorted names, as sorted halves differ in their first
    word."""
    paths = sorted((data / "yesno").glob("*.wav"))
    rows = [(path.resolve(), " ".join(("no", "yes")[int(each)] for each in path.stem.split("_"))) for path in paths]
    train, test = (table(folder, name, rows[k::2], ("file", "words")) for name, k in (("train", 0), ("test", 1)))
    return train, test


# -- lines of handwritten digits ------------------------------------------------------------------------------


def mnist(data: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (n, 28, 28) from 0 to 1 and labels (n,) of "train" or "t10k"."""
    read = lambda kind: gzip.decompress((data / "mnist" / f"{part}-{kind}-ubyte.gz").read_bytes())  # noqa: E731
    images = np.frombuffer(read("images-idx3")[16:], np.uint8).reshape(-1, 28, 28)
    return images / np.float32(255), np.frombuffer(read("labels-idx1")[8:], np.uint8)


def lines(data: Path, folder: Path, contents: Callable[[np.random.Generator], Sequence[int]]) -> tuple[Path, Path]:
    """Pictures of lines, train of MNIST's training part, test of its test part; `contents` draws a line's digits."""
    from PIL import Image

    found = []
    for part, file in (("train", "train"), ("test", "t10k")):
        images, labels = mnist(data, file)
        of_digit = [np.flatnonzero(labels == digit) for digit in range(10)]
        draw, rows = np.random.default_rng([len(part), 7]), []
        for number in range(LINES[part]):
            digits = contents(draw)
            chosen = [images[draw.choice(of_digit[digit])] for digit in digits]
            name = f"{part}_{number:05}.png"
            Image.fromarray(line(chosen, draw)).save(folder / name)
            rows.append((name, "".join(map(str, digits))))
        found.append(table(folder, part, rows, ("file", "text")))
    return found[0], found[1]


def line(chosen: Sequence[np.ndarray], draw: np.random.Generator) -> np.ndarray:
    """uint8 (36, W): digits without their margins, gaps and overlaps of at most 4 points and a third of the narrower
    digit, moved up and down by at most 4, noise of deviation 0.15."""
    inked = [image[:, image.any(0)] for image in chosen]
    ground, right = np.zeros((36, 30 * len(inked) + 8), np.float32), 4
    for place, image in enumerate(inked):
        if place:
            narrow = min(image.shape[1], inked[place - 1].shape[1])
            right += int(draw.integers(-min(4, narrow // 3), 5))
        top = int(draw.integers(0, 9))
        there = ground[top : top + 28, right : right + image.shape[1]]
        np.maximum(there, image, out=there)
        right += image.shape[1]
    noisy = ground[:, : right + 4] + draw.normal(0, 0.15, (36, right + 4))
    return (255 * np.clip(noisy, 0, 1)).astype(np.uint8)


def any_digits(draw: np.random.Generator) -> Sequence[int]:
    return draw.integers(0, 10, draw.integers(*LENGTHS, endpoint=True)).tolist()


def listed(draw: np.random.Generator) -> Sequence[int]:
    """One of 200 numbers of 5 digits, whose last is a check digit: ten minus the sum of the others, modulo ten."""
    known = np.random.default_rng(11).integers(0, 10, (WORDS, 4))
    word = known[draw.integers(WORDS)].tolist()
    return [*word, -sum(word) % 10]
