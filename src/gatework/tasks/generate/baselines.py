"""What a model of text must beat: counts of what followed the last few units, and a compressor."""

from __future__ import annotations

import lzma
import math

import numpy as np

from gatework.tasks.base import Baseline

HIGHEST_ORDER = 6
MOST_UNITS = 4_000_000  # the last so many units of the training text are counted, so that long texts stay quick
XZ_WINDOW = 16_000_000  # bytes of training text that the compressor sees


def per_character(nats: float, characters: int) -> dict[str, float]:
    """The measures of a text of so many characters that cost so many nats."""
    each = nats / max(characters, 1)
    return {"nats_per_character": each, "bits_per_character": each / math.log(2)}


def best_order(train: np.ndarray, valid: np.ndarray, size: int) -> int:
    """The order, 1 to 6, of the n-gram that predicts the validation part best."""
    return 1 + int(np.argmin([nats.sum() for nats in costs(train[-MOST_UNITS:], valid, size)]))


def ngram(train: np.ndarray, test: np.ndarray, order: int, size: int, characters: int) -> Baseline:
    """An interpolated n-gram (Witten & Bell 1991)."""
    nats = costs(train[-MOST_UNITS:], test, size)[order - 1].sum()
    return Baseline(
        f"{order}-gram", per_character(float(nats), characters), f"order {order}, Witten-Bell interpolation"
    )


def costs(train: np.ndarray, text: np.ndarray, size: int) -> list[np.ndarray]:
    """For orders 1, 2, ... the nats of each unit of `text` but its first, given the units before it.

    p_n(w | context) = (count(context, w) + kinds(context) * p_(n-1)(w)) / (count(context) + kinds(context)), where
    `kinds` is how many different units followed the context in the training text, and p_0 is uniform.
    """
    joined = np.concatenate([train, text])
    trained = np.arange(len(joined)) < len(train)
    context = np.zeros(len(joined), dtype=np.int64)
    probability = np.full(len(joined), 1.0 / size)
    found = []
    for order in range(1, HIGHEST_ORDER + 1):
        counted = trained & (np.arange(len(joined)) >= order - 1)
        probability = _witten_bell(context, joined, counted, probability)
        found.append(-np.log(probability[len(train) + 1 :]))
        context = _longer(context, joined)
    return found


def _witten_bell(context: np.ndarray, units: np.ndarray, counted: np.ndarray, shorter: np.ndarray) -> np.ndarray:
    pairs = _ids(context, units)
    seen = np.bincount(context[counted], minlength=context.max() + 1)
    seen_pairs = np.bincount(pairs[counted], minlength=pairs.max() + 1)
    _, first = np.unique(pairs, return_index=True)
    kinds = np.bincount(context[first], weights=seen_pairs > 0, minlength=context.max() + 1)
    new = seen[context] == 0
    total = np.where(new, 1.0, seen[context] + kinds[context])
    return np.where(new, shorter, (seen_pairs[pairs] + kinds[context] * shorter) / total)


def _longer(context: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Ids of the contexts one unit longer: what the position before had as context, and its unit."""
    return np.concatenate([[0], _ids(context, units)[:-1] + 1])


def _ids(context: np.ndarray, units: np.ndarray) -> np.ndarray:
    return np.unique(context * (int(units.max()) + 1) + units, return_inverse=True)[1]


def compressor(train: str, test: str) -> Baseline:
    """What xz needs for the test text when it has read the training text before."""
    before = train.encode()[-XZ_WINDOW:]
    nats = (_packed(before + test.encode()) - _packed(before)) * 8 * math.log(2)
    return Baseline("xz", per_character(nats, len(test)), "LZMA2 at its strongest, after reading the training text")


def _packed(data: bytes) -> int:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 26}]
    return len(lzma.compress(data, lzma.FORMAT_RAW, filters=filters))
