"""What captions are compared with: the most frequent one, and that of the nearest training picture, by points or by
colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from gatework.tasks.caption.examples import Examples

SIDE = 16  # points of a side, to which pictures are brought for a comparison
LEVELS = 4  # of each channel, in a histogram of colours
MOST = 20_000  # training pictures among which the nearest is looked for
ROWS = 100  # pictures that are compared at once


class Baseline(NamedTuple):
    """What a baseline is called, what is to be said of it, and a caption of each picture."""

    name: str
    note: str
    captions: list[str]


def baselines(train: Examples, asked: Examples) -> Iterator[Baseline]:
    """Learned from training pictures, answering for others."""
    captions = train.captions or []
    often = Counter(captions).most_common(1)[0]
    yield Baseline("most frequent", f"{often[0]!r}, {often[1]:,} times in training", [often[0]] * len(asked))
    some = train if len(train) <= MOST else train.take(np.linspace(0, len(train) - 1, MOST).astype(np.int64))
    for name, features in _features(train.medium).items():
        known, new = (np.stack([features(part.array(row)) for row in range(len(part))]) for part in (some, asked))
        found = nearest(known, new)
        captions = some.captions or []
        yield Baseline(name, "the caption of the training picture that is most like it", [captions[i] for i in found])


def _features(medium: str) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Ways to see pictures as vectors, by name."""
    if medium == "vectors":
        return {"nearest vectors": lambda vectors: vectors.mean(0)}
    small = points if medium == "image" else lambda film: np.concatenate([points(film[at]) for at in (0, -1)])
    return {"nearest by points": small, "nearest by colours": colours}


def points(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, C) as the means of at most SIDE * SIDE pieces of it, float32."""
    rows, columns = (np.linspace(0, size, min(SIDE, size) + 1).astype(int)[:-1] for size in picture.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(picture.astype(np.float32), rows, 0), columns, 1)
    sizes = [np.diff([*starts, size]) for starts, size in zip((rows, columns), picture.shape, strict=False)]
    return (sums / np.multiply.outer(*sizes)[:, :, None]).ravel()


def colours(picture: np.ndarray) -> np.ndarray:
    """How often each colour occurs in a picture or a film (..., C), as square roots of shares: their distance is
    Hellinger's."""
    levels = (picture.reshape(-1, picture.shape[-1]) // (256 // LEVELS)).astype(np.int64)
    places = levels @ LEVELS ** np.arange(picture.shape[-1])
    return np.sqrt(np.bincount(places, minlength=LEVELS ** picture.shape[-1]) / len(places)).astype(np.float32)


def nearest(known: np.ndarray, asked: np.ndarray) -> list[int]:
    """[n]: which known vector (m, F) is nearest to each that is asked for (n, F), the first of equal ones."""
    sizes = (known**2).sum(1)
    found: list[int] = []
    for start in range(0, len(asked), ROWS):
        found += (sizes - 2 * asked[start : start + ROWS] @ known.T).argmin(1).tolist()
    return found
