"""A mean of the model's forecasts and of simple ones, which is hard to beat by either alone.

The simple ones have equal parts, and the model half of the whole unless there is evidence of better: weights found on
few windows lose more by chance than they gain (Bates & Granger 1969; Smith & Wallis 2009).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from gatework.runtime.series import baselines
from gatework.runtime.series.classical import KEPT
from gatework.runtime.series.mean import member
from gatework.runtime.series.theta import points
from gatework.runtime.series.windows import Windows
from gatework.tasks.forecast.options import ForecastOptions

MEMBERS = {
    "none": (),
    "theta": ("Theta",),
    "simple": ("Theta", "seasonal naive"),
    "ets": ("ETS",),
    "both": ("Theta", "ETS"),
}
HALF = 0.5  # of the mean, where nothing says more
PARTS = 8  # of the whole, in which weights are tried
DOUBT = 1.0  # share of the error that weights must save for each unit of squared distance, found on one window


def named(option: str) -> str:
    return " and ".join(MEMBERS[option])


def others(windows: Windows, option: str) -> list[np.ndarray]:
    """Forecasts [n, h] of every window by each of the members; see `mean.member`."""
    return [member(windows, name) for name in MEMBERS[option]]


def even(option: str, share: float) -> np.ndarray:
    """Weights [K] of the members, which have a share of the mean together."""
    count = len(MEMBERS[option])
    return np.full(count, share / max(count, 1))


def usual(options: ForecastOptions) -> np.ndarray:
    """Their weights [K] where nothing says more."""
    return even(options.combine, HALF if options.combine_share is None else options.combine_share)


def told(option: str, weights: np.ndarray) -> str:
    return ", ".join(f"{weight:.0%} {name}" for name, weight in zip(MEMBERS[option], weights, strict=True))


def weighed(error: Callable[[np.ndarray], float], usual: np.ndarray, fixed: int, windows: int) -> np.ndarray:
    """Weights [K], of sum 1: those with the least error, drawn towards the usual ones, of which the last are `fixed`.

    Each unit of squared distance from the usual weights must save DOUBT / windows of their error (Diebold & Pauly 1990:
    shrinkage towards equal weights): few windows, none of which has a value in common with another, move little.
    """
    first, least = len(usual) - fixed, error(usual)
    if not least > 0 or not np.isfinite(least):
        return usual
    rest = 1 - usual[first:].sum()
    tried = [np.array([*(rest * each), *usual[first:]]) for each in _simplex(first)]
    costs = [error(each) / least + DOUBT / max(windows, 1) * ((each - usual) ** 2).sum() for each in tried]
    best = int(np.argmin(np.where(np.isfinite(costs), costs, np.inf)))
    return tried[best] if costs[best] < 1 else usual


def _simplex(count: int) -> list[np.ndarray]:
    """All weights [count] of sum 1 that are multiples of 1 / PARTS."""
    several = itertools.product(range(PARTS + 1), repeat=count)
    return [np.array(each) / PARTS for each in several if sum(each) == PARTS]


def kept(option: str, lookback: int, season: int) -> int:
    """Steps of each series that a run must keep to forecast the same again."""
    least = {"Theta": points(season), "seasonal naive": baselines.SEASONS * season, "ETS": KEPT}
    return max([lookback, *(least[name] for name in MEMBERS[option])])
