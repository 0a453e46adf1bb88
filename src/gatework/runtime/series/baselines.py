"""Simple forecasts that a model has to beat."""

from __future__ import annotations

import numpy as np

from gatework.runtime.series.windows import Windows, filled, seasonal_naive

SEASONS = 3  # in which a value at the same place of the season is looked for


def naive(past: np.ndarray, horizon: int) -> np.ndarray:
    """The last value, again and again: past [n, L] -> [n, h]."""
    return np.repeat(filled(past)[:, -1:], horizon, axis=1)


def ends(windows: Windows, most: int) -> np.ndarray:
    """[n, most]: the last values of each history, NaN before its start."""
    if most == windows.shape.lookback:
        return windows.past(np.arange(len(windows)))
    result = np.full((len(windows), most), np.nan)
    for row in range(len(windows)):
        values = windows.history(row)[-most:]
        result[row, most - len(values) :] = values
    return result


def drift(windows: Windows) -> np.ndarray:
    """The line from a series' first value to its last, continued."""
    horizon = windows.shape.horizon
    result = np.zeros((len(windows), horizon))
    for row in range(len(windows)):
        values = windows.history(row)
        there = np.flatnonzero(~np.isnan(values))
        if len(there):
            slope = (values[there[-1]] - values[there[0]]) / max(there[-1] - there[0], 1)
            result[row] = values[there[-1]] + slope * (len(values) - 1 - there[-1] + np.arange(1, horizon + 1))
    return result


def all_naive(windows: Windows) -> dict[str, np.ndarray]:
    """Forecasts [n, h] by name, from all that is known before each cut, also where the model's window is shorter."""
    horizon = windows.shape.horizon
    past = ends(windows, max(windows.shape.lookback, SEASONS * windows.shape.season))
    return {
        "naive": naive(past, horizon),
        "seasonal naive": seasonal_naive(past, horizon, windows.shape.season),
        "drift": drift(windows),
    }
