"""What a model of text must beat: counts of what followed the last few units, and a compressor."""

from __future__ import annotations

import lzma
import math

import numpy as np

from gatework.tasks.base import Contender
from gatework.tasks.generate.counts import Counts

HIGHEST_ORDER = 6
STRETCH, MOST_STRETCHES = 100, 200  # units of a text that are judged as one, at least; stretches of a whole text
XZ_WINDOW = 16_000_000  # bytes of training text that the compressor sees


def per_character(nats: float, characters: int) -> dict[str, float]:
    """The measures of a text, from its number of characters and its cost in nats."""
    each = nats / max(characters, 1)
    return {"nats_per_character": each, "bits_per_character": each / math.log(2)}


def best_order(train: np.ndarray, valid: np.ndarray, size: int) -> int:
    """The order, 1 to 6, of the n-gram that predicts the validation part best."""
    return 1 + int(np.argmin([nats.sum() for nats in costs(train, valid, size)]))


def ngrams(
    train: np.ndarray, test: np.ndarray, orders: list[int], size: int, characters: int, spelled: np.ndarray
) -> list[Contender]:
    """Interpolated n-grams (Witten & Bell 1991); that of order 1 knows how often each unit occurs, and no more."""
    found = [nats + spelled for nats in costs(train, test, size)]
    return [
        Contender(
            f"{order}-gram",
            per_character(float(found[order - 1].sum()), characters),
            f"order {order}, Witten-Bell interpolation",
            sums=stretches(found[order - 1], characters),
        )
        for order in orders
    ]


def stretches(nats: np.ndarray, characters: int) -> np.ndarray:
    """[G, 2]: nats and characters of each stretch of a text, from what each unit costs.

    Errors of neighbouring units depend on each other, those of stretches hardly; characters are shared out by units.
    """
    count = min(max(len(nats) // STRETCH, 1), MOST_STRETCHES)
    starts = np.arange(count) * len(nats) // count
    units = np.diff(np.append(starts, len(nats)))
    return np.stack([np.add.reduceat(nats, starts), characters * units / len(nats)], axis=1)


def costs(train: np.ndarray, text: np.ndarray, size: int) -> list[np.ndarray]:
    """For orders 1, 2, ... the nats of each unit of `text` but its first, given the units before it."""
    joined = np.concatenate([train[-HIGHEST_ORDER:], text])
    table = Counts.of(train, HIGHEST_ORDER, size)
    return [-np.log(likely[-len(text) :][1:]) for likely in table.likelihoods(joined)]


def compressor(train: str, test: str) -> Contender:
    """What xz needs for the test text when it has read the training text before."""
    before = train.encode()[-XZ_WINDOW:]
    nats = (_packed(before + test.encode()) - _packed(before)) * 8 * math.log(2)
    return Contender("xz", per_character(nats, len(test)), "LZMA2 at its strongest, after reading the training text")


def _packed(data: bytes) -> int:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 26}]
    return len(lzma.compress(data, lzma.FORMAT_RAW, filters=filters))
