"""Quantiles moved so that they cover what they say: by each window's own restlessness, and by factors of each step."""

from __future__ import annotations

import numpy as np

RANGE = 100.0  # a window's own width is at most so many times that of the model, and at least that part of it
FLOOR = 1e-4  # of a window's scale: half of the least width that is stretched


def restlessness(past: np.ndarray, season: int) -> np.ndarray:
    """[n]: the smaller of the mean absolute changes over one step and over a season in windows [n, L]; NaN where it is
    0 or unknown."""
    sizes = [_mean_change(past, 1), _mean_change(past, season)]
    own = np.fmin(*sizes)
    return np.where(own > 0, own, np.nan)


def _mean_change(past: np.ndarray, lag: int) -> np.ndarray:
    changes = np.abs(past[:, lag:] - past[:, :-lag])
    known = ~np.isnan(changes)
    count = known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count == 0, np.nan, np.where(known, changes, 0.0).sum(axis=1) / count)


def followed(quantiles: np.ndarray, own: np.ndarray, power: float) -> np.ndarray:
    """Quantiles [n, h, Q] whose widths go with the own error scale [n] of each window, as far as `power` says.

    A model that counts in one unit for all series gives a restless and a quiet one much the same width: the first is
    too narrow, the second too wide. Power 1 puts the own scale in the place of the mean width that the model gives.
    """
    if not quantiles.size:
        return quantiles
    middle, half = centers(quantiles, quantiles[:, :, ::-1])
    width = np.abs(half[:, :, 0]).mean(axis=1)
    change = np.clip((own + FLOOR) / (width + FLOOR), 1 / RANGE, RANGE) ** power
    return middle - half * np.where(np.isnan(own), 1.0, change)[:, None, None]


def stretched(quantiles: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Quantiles [n, h, Q] in rising order with each pair stretched by `conformal`'s factors [h, Q]."""
    middle, half = centers(quantiles, quantiles[:, :, ::-1])
    side = np.sign(np.arange(quantiles.shape[2] - 1, -quantiles.shape[2], -2))
    return np.sort(middle - half * factors - side * (factors - 1) * FLOOR, axis=2)


def centers(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (low + high) / 2, (high - low) / 2
