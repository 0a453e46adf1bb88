"""Penalised least squares in closed form: from what a window shows to all steps ahead, from sums over windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Reading = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
LARGEST = 4_000_000  # numbers of the windows that are read at once


@dataclass(frozen=True)
class Map:
    """`weights` [P + 1, h] of what a window shows, the constant last, and `ahead` [F] of what is known of a step."""

    weights: np.ndarray
    ahead: np.ndarray

    def __call__(self, inputs: np.ndarray, ahead: np.ndarray) -> np.ndarray:
        """[n, P], [n, h, F] -> [n, h]."""
        return inputs @ self.weights[:-1] + self.weights[-1] + ahead @ self.ahead


@dataclass(frozen=True)
class Sums:
    """Of the steps `steps`, over the windows that have a value there, each product less that of the means:
    `products` [P, P] of the inputs; `outputs` [P, J, F + 1] of inputs and columns (what is known ahead of a step, its
    value last); `squares` [J, F + 1, F + 1] of a step's columns. `first` [P] and `second` [J, F + 1] are means."""

    steps: np.ndarray
    products: np.ndarray
    outputs: np.ndarray
    squares: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def sized(self, size: np.ndarray) -> Sums:
        """The same of inputs that are multiplied by `size` [P]."""
        products, outputs = self.products * np.outer(size, size), self.outputs * size[:, None, None]
        return Sums(self.steps, products, outputs, self.squares, self.first * size, self.second)


def solved(reading: Reading, truth: np.ndarray, rows: np.ndarray, lags: int, strengths: list[float]) -> list[Map]:
    """A map for each strength, which is a share of the mean square of the inputs.

    `reading(rows)` gives inputs [n, P], the first `lags` of which have their size for a reason (all others are brought
    to the mean of these); what is known ahead [n, h, F]; and targets [n, h], NaN where they are not known. `truth`
    [n, h] is NaN there, too.

    Each step has weights of its own for the inputs, fitted to the windows that have a value at this step; those of what
    is known ahead are the same at all steps. For these, the inputs' part is taken out of both sides first (Frisch &
    Waugh 1933; it holds with a penalty, too), so that the products of inputs are decomposed once for all steps whose
    values are missing in the same windows. The constant is free of the penalty.
    """
    each = [_summed(reading, rows[~missing], steps) for steps, missing in patterns(np.isnan(truth[rows]))]
    size = _sizes(np.mean([sums.products.diagonal() for sums in each], axis=0), lags)
    each = [sums.sized(size) for sums in each]
    turned = [_turned(sums) for sums in each]
    return [_map(each, turned, size, strength) for strength in strengths]


def patterns(missing: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of [n, h]: the steps that are missing in the same windows, and in which [n]."""
    if not missing.any():
        yield np.arange(missing.shape[1]), missing[:, 0]
        return
    kinds, which = np.unique(missing, axis=1, return_inverse=True)
    for number, kind in enumerate(kinds.T):
        yield np.flatnonzero(which.ravel() == number), kind


def _summed(reading: Reading, rows: np.ndarray, steps: np.ndarray) -> Sums:
    parts = [np.zeros(())] * 5
    for some in chunks(rows, reading):
        inputs, ahead, targets = reading(some)
        columns = np.concatenate([ahead[:, steps], targets[:, steps, None]], axis=2)
        found = (
            inputs.T @ inputs,
            (inputs.T @ columns.reshape(len(some), -1)).reshape(-1, *columns.shape[1:]),
            columns.transpose(1, 2, 0) @ columns.transpose(1, 0, 2),
            inputs.sum(axis=0),
            columns.sum(axis=0),
        )
        parts = [before + new for before, new in zip(parts, found, strict=True)]
    products, outputs, squares, first, second = parts
    count = max(len(rows), 1)
    products = products - np.outer(first, first) / count
    outputs = outputs - first[:, None, None] * second / count
    squares = squares - second[:, :, None] * second[:, None] / count
    return Sums(steps, products, outputs, squares, first / count, second / count)


def chunks(rows: np.ndarray, reading: Reading) -> Iterator[np.ndarray]:
    """At least one, so that an empty one tells how many inputs there are."""
    inputs, ahead, _ = reading(rows[:1])
    size = max(LARGEST // (inputs.shape[1] + ahead.shape[1] * (1 + ahead.shape[2])), 16)
    return (rows[start : start + size] for start in range(0, max(len(rows), 1), size))


def _sizes(diagonal: np.ndarray, lags: int) -> np.ndarray:
    """[P]: what brings inputs other than lags to their mean size; a penalty then holds all of them back alike."""
    size, usual = np.ones(len(diagonal)), diagonal[:lags].mean()
    others = diagonal[lags:]
    if usual > 0:
        size[lags:] = np.sqrt(usual / np.where(others > 0, others, usual))
    return size


def _turned(sums: Sums) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues [P, 1, 1] and vectors of the products, and the outputs in their directions."""
    values, vectors = np.linalg.eigh(sums.products)
    outputs = (vectors.T @ sums.outputs.reshape(len(values), -1)).reshape(sums.outputs.shape)
    return np.maximum(values, 0)[:, None, None], vectors, outputs


def _map(
    each: list[Sums], turned: list[tuple[np.ndarray, np.ndarray, np.ndarray]], size: np.ndarray, strength: float
) -> Map:
    held = [values + strength * max(values.mean(), np.finfo(float).tiny) for values, _, _ in turned]
    ahead = _ahead(each, turned, held, strength)
    horizon = sum(len(sums.steps) for sums in each)
    weights = np.zeros((len(size) + 1, horizon))
    for sums, (_, vectors, outputs), values in zip(each, turned, held, strict=True):
        own = vectors @ ((outputs[:, :, -1] - outputs[:, :, :-1] @ ahead) / values[:, :, 0])
        weights[:-1, sums.steps] = own * size[:, None]
        weights[-1, sums.steps] = sums.second[:, -1] - sums.second[:, :-1] @ ahead - sums.first @ own
    return Map(weights, ahead)


def _ahead(
    each: list[Sums],
    turned: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
    held: list[np.ndarray],
    strength: float,
) -> np.ndarray:
    """[F]: the weights of what is known ahead, from what the inputs leave unexplained of it and of the values."""
    whole = np.sum([sums.squares.sum(axis=0) for sums in each], axis=0)
    left = whole.copy()
    for (_, _, outputs), values in zip(turned, held, strict=True):
        flat = outputs / np.sqrt(values)
        left -= np.tensordot(flat, flat, axes=([0, 1], [0, 1]))
    count = len(whole) - 1
    own = whole.diagonal()[:count] / sum(len(sums.steps) for sums in each)
    penalty = np.diag(np.where(own > 0, strength * own, 1.0))
    return np.linalg.solve(left[:count, :count] + penalty, left[:count, count])
