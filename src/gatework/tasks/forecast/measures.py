"""Errors of forecasts as their authors define them. Truth [n, h] may be NaN, which leaves the place out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np


def measures(
    forecast: np.ndarray, truth: np.ndarray, scales: np.ndarray, naive2: np.ndarray | None = None
) -> dict[str, float]:
    """mase, smape, owa (with the forecasts of Naive2), mape, mae, mse, rmse of point forecasts [n, h]; scales [n]."""
    error = truth - forecast
    found = {"mase": mase(error, scales), "smape": smape(forecast, truth)}
    if naive2 is not None:
        found["owa"] = owa(forecast, naive2, truth, scales)
    mse = mean(error**2)
    return {**found, "mape": mape(forecast, truth), "mae": mean(np.abs(error)), "mse": mse, "rmse": mse**0.5}


def mase(error: np.ndarray, scales: np.ndarray) -> float:
    """Mean absolute scaled error (Hyndman & Koehler 2006): the mean over windows that have a scale."""
    return mean(row_means(np.abs(error)) / scales)


def smape(forecast: np.ndarray, truth: np.ndarray) -> float:
    """Symmetric percentage error as in M4: the mean of 200 |y - f| / (|y| + |f|), in percent; 0 / 0 counts as 0."""
    size = np.abs(truth) + np.abs(forecast)
    return mean(row_means(np.where(size == 0, 0.0, 200 * np.abs(truth - forecast) / np.where(size == 0, 1.0, size))))


def mape(forecast: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute error as a share of the truth, in percent (Athanasopoulos et al. 2011); not where that is 0."""
    size = np.where(truth == 0, np.nan, np.abs(truth))
    return mean(100 * np.abs(truth - forecast) / size)


def owa(forecast: np.ndarray, naive2: np.ndarray, truth: np.ndarray, scales: np.ndarray) -> float:
    """Overall weighted average of M4: the mean of sMAPE and MASE, each divided by that of Naive2."""
    parts = (
        (smape(forecast, truth), smape(naive2, truth)),
        (mase(truth - forecast, scales), mase(truth - naive2, scales)),
    )
    return float(np.mean([own / other if other else np.nan for own, other in parts]))


def quantile_measures(
    quantiles: np.ndarray, truth: np.ndarray, scales: np.ndarray, levels: Sequence[float], bounds: tuple[int, int]
) -> dict[str, float]:
    """wql, coverage and msis of quantile forecasts [n, h, Q]; `bounds` are the places of the interval's ends."""
    low, high = quantiles[:, :, bounds[0]], quantiles[:, :, bounds[1]]
    alpha = 1 - (levels[bounds[1]] - levels[bounds[0]])
    return {
        "wql": weighted_quantile_loss(quantiles, truth, levels),
        "coverage": coverage(low, high, truth),
        "msis": msis(low, high, truth, scales, alpha),
    }


def weighted_quantile_loss(quantiles: np.ndarray, truth: np.ndarray, levels: Sequence[float]) -> float:
    """Mean over the levels of 2 * sum of quantile losses / sum of |y| (Salinas et al. 2020, as in GluonTS)."""
    error = truth[:, :, None] - quantiles
    loss = np.maximum(np.array(levels) * error, (np.array(levels) - 1) * error)
    size = np.nansum(np.abs(truth))
    return float(2 * np.nansum(loss) / len(levels) / size) if size else float("nan")


def coverage(low: np.ndarray, high: np.ndarray, truth: np.ndarray) -> float:
    """The share of values inside the interval."""
    return mean(np.where(np.isnan(truth), np.nan, (low <= truth) & (truth <= high)))


def msis(low: np.ndarray, high: np.ndarray, truth: np.ndarray, scales: np.ndarray, alpha: float) -> float:
    """Mean scaled interval score (Gneiting & Raftery 2007, as in M4): width plus 2 / alpha times what lies outside."""
    outside = np.maximum(low - truth, 0) + np.maximum(truth - high, 0)
    return mean(row_means(high - low + 2 / alpha * outside) / scales)


def mean(values: np.ndarray) -> float:
    """Of what is known; NaN where nothing is."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else float("nan")


def row_means(values: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a row without any value is NaN, as it should be
        return np.nanmean(values, axis=1)
