"""Simple forecasts that a model has to beat."""

from __future__ import annotations

import numpy as np

from gatework.tasks.forecast.windows import Windows, filled, seasonal_naive

SEASONS = 3  # in which a value at the same place of the season is looked for
CRITICAL = 1.645  # the 90% point of the test for a season, as in M4's code


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


def naive2(windows: Windows) -> np.ndarray:
    """M4's benchmark: the naive forecast of the series without its season, where a test finds one. [n, h]"""
    season, horizon = windows.shape.season, windows.shape.horizon
    result = np.zeros((len(windows), horizon))
    for row in range(len(windows)):
        values = filled(windows.history(row)[None])[0] if windows.cuts[row] else np.zeros(1)
        factors = seasonal_factors(values, season)
        last = values[-1] / factors[(len(values) - 1) % season]
        result[row] = last * factors[(len(values) + np.arange(horizon)) % season]
    return result


def seasonal_factors(values: np.ndarray, season: int) -> np.ndarray:
    """Factors [m] by classical multiplicative decomposition; ones where the test of M4 finds no season."""
    if season == 1 or len(values) < 3 * season or (values <= 0).any() or not has_season(values, season):
        return np.ones(season)
    weights = np.ones(season + 1 - season % 2)
    weights[[0, -1]] = 1.0 if season % 2 else 0.5
    trend = np.convolve(values, weights / season, mode="valid")
    begin = len(weights) // 2
    ratio = values[begin : begin + len(trend)] / trend
    places = (begin + np.arange(len(ratio))) % season
    factors = np.bincount(places, ratio, season) / np.bincount(places, minlength=season)
    return factors / factors.mean()


def has_season(values: np.ndarray, season: int) -> bool:
    """M4's test: the autocorrelation at the season's lag against 1.645 of its deviation (Bartlett's formula)."""
    if season > 10 * np.log10(len(values)):  # R's acf() looks no further
        return False
    centered = values - values.mean()
    power = (centered**2).sum()
    if power == 0:
        return False
    correlations = np.array([(centered[lag:] * centered[:-lag]).sum() / power for lag in range(1, season + 1)])
    limit = CRITICAL / np.sqrt(len(values)) * np.sqrt(1 + 2 * (correlations[:-1] ** 2).sum())
    return bool(abs(correlations[-1]) > limit)
