"""M4's benchmark, Naive2: the naive forecast of a series without its season, where a test finds one."""

from __future__ import annotations

import numpy as np

CRITICAL = 1.645  # the 90% point of the test for a season, as in M4's code


def naive2(values: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """[h] after the values [T] of a series, none of which is missing."""
    factors = seasonal_factors(values, season)
    last = values[-1] / factors[(len(values) - 1) % season]
    return last * factors[(len(values) + np.arange(horizon)) % season]


def seasonal_factors(values: np.ndarray, season: int) -> np.ndarray:
    """Factors [m] by classical multiplicative decomposition; ones where the test of M4 finds no season."""
    if season == 1 or len(values) < 3 * season or (values <= 0).any() or not has_season(values, season):
        return np.ones(season)
    return factors(values, season)


def factors(values: np.ndarray, season: int, without: np.ufunc = np.divide) -> np.ndarray:
    """[m] by classical decomposition: what is left at each place of the season without the trend, on average over the
    seasons; summands, where that is subtracted."""
    weights = np.ones(season + 1 - season % 2)
    weights[[0, -1]] = 1.0 if season % 2 else 0.5
    trend = np.convolve(values, weights / season, mode="valid")
    begin = len(weights) // 2
    left = without(values[begin : begin + len(trend)], trend)
    places = (begin + np.arange(len(left))) % season
    found = np.bincount(places, left, season) / np.bincount(places, minlength=season)
    return without(found, found.mean())


def has_season(values: np.ndarray, season: int) -> bool:
    """M4's test, which finds none as long as R's acf() does not look for."""
    return season <= 10 * np.log10(len(values)) and varies_by_season(values, season)


def varies_by_season(values: np.ndarray, season: int) -> bool:
    """The autocorrelation at the season's lag against 1.645 of its deviation (Bartlett's formula)."""
    centered = values - values.mean()
    power = (centered**2).sum()
    if power == 0:
        return False
    correlations = np.array([(centered[lag:] * centered[:-lag]).sum() / power for lag in range(1, season + 1)])
    limit = CRITICAL / np.sqrt(len(values)) * np.sqrt(1 + 2 * (correlations[:-1] ** 2).sum())
    return bool(abs(correlations[-1]) > limit)
