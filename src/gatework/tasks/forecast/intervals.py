"""Intervals that cover what they say: the adjustment by the errors on windows not trained on."""

from __future__ import annotations

import numpy as np

ENOUGH = 200  # validation windows from which on intervals are adjusted for each step ahead on its own


def conformal(quantiles: np.ndarray, truth: np.ndarray, levels: tuple[float, ...]) -> np.ndarray:
    """What to add to each quantile so that pairs cover what they say (Romano, Patterson & Candes 2019, section 3).

    Scaled quantiles [n, h, Q] and truth [n, h] of windows not trained on -> [h, Q]; for each step ahead where there are
    many windows, else one for all steps.
    """
    n, horizon, count = quantiles.shape
    result = np.zeros((horizon, count), np.float32)
    groups = [[step] for step in range(horizon)] if n >= ENOUGH else [list(range(horizon))]
    for steps in groups:
        for low in range(count // 2):
            high = count - 1 - low
            outside = np.maximum(
                quantiles[:, steps, low] - truth[:, steps], truth[:, steps] - quantiles[:, steps, high]
            )
            result[steps, high] = _rank(outside[~np.isnan(outside)], levels[high] - levels[low])
            result[steps, low] = -result[steps, high]
    return result


def _rank(scores: np.ndarray, share: float) -> float:
    """The ceil((n + 1) share)-th smallest score; the largest where there are too few."""
    if not len(scores):
        return 0.0
    place = min(int(np.ceil((len(scores) + 1) * share)), len(scores)) - 1
    return float(np.partition(scores, place)[place])
