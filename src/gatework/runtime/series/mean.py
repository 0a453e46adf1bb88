"""A mean of a model's forecasts and of simple ones, in units of the data, or of their logarithms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gatework.runtime.series import baselines
from gatework.runtime.series.classical import ets
from gatework.runtime.series.theta import theta
from gatework.runtime.series.windows import Windows, filled


def simple(windows: Windows) -> dict[str, np.ndarray]:
    """Forecasts [n, h] of the members that take no time, from all that is known before each cut."""
    shape = windows.shape
    histories = [filled(windows.history(row)[None])[0] for row in range(len(windows))]
    return {
        "Theta": theta(histories, shape.horizon, shape.season),
        "seasonal naive": baselines.all_naive(windows)["seasonal naive"],
    }


def member(windows: Windows, name: str) -> np.ndarray:
    """Forecasts [n, h] of every window by the member of this name, however long it takes; worked out once for the same
    windows. Raises OptionError for "ETS" where statsforecast cannot be had."""
    if name not in windows.memory:
        windows.memory.update({name: ets(windows)} if name == "ETS" else simple(windows))
    return windows.memory[name]


def mean(point: np.ndarray, beside: Sequence[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """[n, h] of point forecasts [n, h] and of K others of the same steps, which have the weights [K]."""
    return (1 - weights.sum()) * point + sum(each * weight for each, weight in zip(beside, weights, strict=True))


def move(point: np.ndarray, beside: Sequence[np.ndarray], weights: np.ndarray, log: bool) -> np.ndarray:
    """By how much [n, h] the mean lies above the point forecasts, all in units of the data; of their logarithms where
    those are forecast. Quantiles move with the point forecast."""
    if not log:
        return mean(point, beside, weights) - point
    return np.log(mean(point, [np.maximum(each, 0) for each in beside], weights)) - np.log(point)


def moved(forecasts: np.ndarray, beside: Sequence[np.ndarray], weights: np.ndarray, log: bool) -> np.ndarray:
    """Forecasts [n, h, 1 + Q] in units of the data, the point forecast first, around the mean."""
    by = move(forecasts[:, :, 0], beside, weights, log)[:, :, None]
    return forecasts * np.exp(by) if log else forecasts + by
