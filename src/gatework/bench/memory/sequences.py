"""Sequences with something to remember: adding, copying, the order of two symbols, digits one pixel after another."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

COPIED, SYMBOLS = 10, 8  # symbols to copy, and how many different ones there are
DISTRACTORS = 4  # of the temporal order problem: a, b, c, d
PIXELS = 64


class Batch(NamedTuple):
    """`inputs` (T, B, I); `targets` for the last step (B,) or for every step (T, B) or (T, B, K); `counts` (T, B) is 1
    where a step is judged, None for the last step alone."""

    inputs: Tensor
    targets: Tensor
    counts: Tensor | None = None


def adding(length: int, rows: int, random: np.random.Generator) -> Batch:
    """Numbers in [0, 1], two of them marked, one in each half: what is their sum?

    Hochreiter & Schmidhuber 1997, section 5.4, in the form of Arjovsky, Shah & Bengio, ICML 2016: inputs (T, B, 2).
    Answering 1 whatever comes has a mean squared error of 1/6.
    """
    values = random.random((length, rows), np.float32)
    half, row = length // 2, np.arange(rows)
    places = random.integers(0, half, rows), random.integers(half, length, rows)
    marks = np.zeros((length, rows), np.float32)
    for place in places:
        marks[place, row] = 1
    total = sum(values[place, row] for place in places)
    return Batch(torch.from_numpy(np.stack([values, marks], 2)), torch.from_numpy(total))


def copy(length: int, rows: int, random: np.random.Generator) -> Batch:
    """Ten symbols, `length` blanks, a mark, and then the ten symbols are to be said again.

    Hochreiter & Schmidhuber 1997 in the form of Arjovsky et al. 2016, section 4.1. Inputs (length + 20, B, 10),
    one-hot: eight symbols, blank, mark. Only the last ten steps are judged.
    """
    symbols = random.integers(0, SYMBOLS, (COPIED, rows))
    steps = length + 2 * COPIED
    shown = np.full((steps, rows), SYMBOLS)
    shown[:COPIED] = symbols
    shown[steps - COPIED - 1] = SYMBOLS + 1
    targets, counts = np.zeros((steps, rows), np.int64), np.zeros((steps, rows), np.float32)
    targets[-COPIED:], counts[-COPIED:] = symbols, 1
    return Batch(one_hot(shown, SYMBOLS + 2), torch.from_numpy(targets), torch.from_numpy(counts))


def temporal_order(length: int, rows: int, random: np.random.Generator) -> Batch:
    """Among distractors stand two symbols, each X or Y: which, and in which order? Four classes.

    Hochreiter & Schmidhuber 1997, section 5.6, task 6a: the first stands in the second tenth of the sequence, the other
    in the sixth. Inputs (T, B, 8), one-hot: a start, an end, four distractors, X and Y.
    """
    shown = random.integers(0, DISTRACTORS, (length, rows))
    shown[0], shown[-1] = DISTRACTORS, DISTRACTORS + 1
    row, classes = np.arange(rows), np.zeros(rows, np.int64)
    for tenth in (1, 5):
        which = random.integers(0, 2, rows)
        shown[random.integers(tenth * length // 10, (tenth + 1) * length // 10, rows), row] = DISTRACTORS + 2 + which
        classes = 2 * classes + which
    return Batch(one_hot(shown, DISTRACTORS + 4), torch.from_numpy(classes))


def digits(length: int, rows: int, random: np.random.Generator, test: bool = False) -> Batch:
    """Handwritten digits of 8 x 8 pixels, one pixel a step, then blank steps up to `length`: which digit was it?

    After Le, Jaitly & Hinton 2015, with the digits that scikit-learn carries (1,797; every fifth is for the test).
    Inputs (T, B, 1). With `test` every test digit comes once, whatever `rows` says.
    """
    pixels, classes = _digits(test)
    chosen = np.arange(len(classes)) if test else random.integers(0, len(classes), rows)
    shown = np.zeros((max(length, PIXELS), len(chosen), 1), np.float32)
    shown[:PIXELS, :, 0] = pixels[chosen].T
    return Batch(torch.from_numpy(shown), torch.from_numpy(classes[chosen]))


@cache
def _digits(test: bool) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    pixels, classes = map(np.asarray, load_digits(return_X_y=True))
    chosen = (np.arange(len(classes)) % 5 == 0) == test
    return (pixels[chosen] / 16).astype(np.float32), classes[chosen].astype(np.int64)


def one_hot(symbols: np.ndarray, size: int) -> Tensor:
    """(T, B) whole numbers to (T, B, size)."""
    return torch.from_numpy(np.eye(size, dtype=np.float32)[symbols])
