"""Intervals that cover what they say: the adjustment by the errors on windows not trained on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from gatework.tasks.forecast.windows import Batch, Windows, make_batch

ENOUGH = 200  # validation windows from which on intervals are adjusted for each step ahead on its own
FEW = 20  # validation windows below which intervals are widened, never narrowed: chance could have made them look wide
MOST = 5_000  # training windows that quantiles start from
FLOOR = 1e-4  # of a window's scale: half of the least width that is stretched


@torch.no_grad()
def spread(
    start: Callable[[Batch], torch.Tensor], windows: Windows, levels: tuple[float, ...], seed: int
) -> np.ndarray:
    """[h, 1 + Q] quantiles of a starting forecast's errors on training windows, for each step ahead; 0 for the point.

    A network that has learned little yet has these intervals, not the width that its first steps happened to give.
    """
    rows = np.random.default_rng(seed).permutation(len(windows))[:MOST]
    batch = make_batch(windows, rows)
    errors = (batch.truth - start(batch)).numpy().astype(np.float64)
    result = np.zeros((errors.shape[1], 1 + len(levels)), np.float32)
    for step, here in enumerate(errors.T):
        known = here[np.isfinite(here)]
        if len(known) and levels:
            result[step, 1:] = np.quantile(known, levels)
    return result


def conformal(quantiles: np.ndarray, truth: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """Factors by which each pair of quantiles is stretched around its middle so that it covers what it says.

    Conformal prediction with scores weighted by the width that the model gives (Lei et al. 2018, section 5.2; Romano,
    Patterson & Candes 2019, section 3): a window with wide quantiles gets a wider change than one with narrow ones.
    Scaled quantiles [n, h, Q] and truth [n, h] of windows not trained on -> [h, Q]; for each step ahead where there are
    many windows, else one for all steps.
    """
    n, horizon, count = quantiles.shape
    result = np.ones((horizon, count), np.float32)
    groups = [[step] for step in range(horizon)] if n >= ENOUGH else [list(range(horizon))]
    for steps in groups:
        for low in range(count // 2):
            high = count - 1 - low
            middle, half = _middle(quantiles[:, steps, low], quantiles[:, steps, high])
            scores = (np.abs(truth[:, steps] - middle) + FLOOR) / (half + FLOOR)
            factor = _rank(scores[~np.isnan(scores)], levels[high] - levels[low])
            factor = max(factor, 1.0) if n < FEW else factor
            result[np.ix_(steps, [low, high])] = factor
    return result


def stretched(quantiles: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Quantiles [n, h, Q] in rising order with each pair stretched by `conformal`'s factors [h, Q]."""
    middle, half = _middle(quantiles, quantiles[:, :, ::-1])
    side = np.sign(np.arange(quantiles.shape[2] - 1, -quantiles.shape[2], -2))
    return np.sort(middle - half * factors - side * (factors - 1) * FLOOR, axis=2)


def _middle(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (low + high) / 2, (high - low) / 2


def _rank(scores: np.ndarray, share: float) -> float:
    """The ceil((n + 1) share)-th smallest score; the largest where there are too few, 1 where there are none."""
    if not len(scores):
        return 1.0
    place = min(int(np.ceil((len(scores) + 1) * share)), len(scores)) - 1
    return float(np.partition(scores, place)[place])
