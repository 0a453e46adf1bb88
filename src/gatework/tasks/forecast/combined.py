"""A mean of the model's forecasts and of simple ones, which is hard to beat by either alone.

The simple ones have equal parts, and the model half of the whole unless a backtest shows better: weights found on few
windows lose more by chance than they gain (Bates & Granger 1969; Smith & Wallis 2009).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gatework.errors import OptionError
from gatework.tasks.forecast import baselines
from gatework.tasks.forecast.classical import KEPT, classical
from gatework.tasks.forecast.theta import points, theta
from gatework.tasks.forecast.windows import Windows, filled

MEMBERS = {
    "none": (),
    "theta": ("Theta",),
    "simple": ("Theta", "seasonal naive"),
    "ets": ("ETS",),
    "both": ("Theta", "ETS"),
}
HALF = 0.5  # of the mean, where nothing says more


def named(option: str) -> str:
    return " and ".join(MEMBERS[option])


def others(windows: Windows, option: str, seed: int) -> list[np.ndarray]:
    """Forecasts [n, h] of every window by each of the members, however long it takes; worked out once for the same
    windows."""
    for name in MEMBERS[option]:
        if name not in windows.memory:
            windows.memory[name] = _ets(windows, seed) if name == "ETS" else simple(windows)[name]
    return [windows.memory[name] for name in MEMBERS[option]]


def simple(windows: Windows) -> dict[str, np.ndarray]:
    """Forecasts [n, h] of the members that take no time, from all that is known before each cut."""
    shape = windows.shape
    histories = [filled(windows.history(row)[None])[0] for row in range(len(windows))]
    return {
        "Theta": theta(histories, shape.horizon, shape.season),
        "seasonal naive": baselines.all_naive(windows)["seasonal naive"],
    }


def _ets(windows: Windows, seed: int) -> np.ndarray:
    found = classical(windows, "ets", math.inf, seed)
    if not len(found.rows):
        raise OptionError(f"combine needs {found.name}: {found.note}; leave combine out")
    return found.whole(len(found.rows))


def mean(point: np.ndarray, beside: Sequence[np.ndarray], share: float = HALF) -> np.ndarray:
    """[n, h] of point forecasts [n, h] and of others of the same steps, which have a share of it together."""
    return (1 - share) * point + share * np.mean(beside, axis=0) if beside else point


def move(point: np.ndarray, beside: Sequence[np.ndarray], log: bool, share: float = HALF) -> np.ndarray:
    """By how much [n, h] the mean lies above the point forecasts, all in units of the data; of their logarithms where
    those are forecast. Quantiles move with the point forecast."""
    if not log:
        return mean(point, beside, share) - point
    return np.log(mean(point, [np.maximum(each, 0) for each in beside], share)) - np.log(point)


def moved(forecasts: np.ndarray, beside: Sequence[np.ndarray], log: bool, share: float = HALF) -> np.ndarray:
    """Forecasts [n, h, 1 + Q] in units of the data, the point forecast first, around the mean."""
    by = move(forecasts[:, :, 0], beside, log, share)[:, :, None]
    return forecasts * np.exp(by) if log else forecasts + by


def kept(option: str, lookback: int, season: int) -> int:
    """Steps of each series that a run must keep to forecast the same again."""
    least = {"Theta": points(season), "seasonal naive": baselines.SEASONS * season, "ETS": KEPT}
    return max([lookback, *(least[name] for name in MEMBERS[option])])
