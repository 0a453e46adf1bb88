"""Errors of forecasts as their authors define them. Truth [n, h] may be NaN, which leaves the place out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from gatework.tasks.base import ratio

PAIRS = ("mase", "smape", "mape", "mae", "mse", "mase2", "smape2", "msse", "bias")  # a sum and a count in `sums`
ROOTS = {"rmse": "mse", "rmsse": "msse"}


def measures(
    forecast: np.ndarray,
    truth: np.ndarray,
    scales: np.ndarray,
    naive2: np.ndarray | None = None,
    squares: np.ndarray | None = None,
) -> dict[str, float]:
    """mase, smape, owa (with the forecasts of Naive2), mape, mae, mse, rmse of point forecasts [n, h]; scales [n]. With
    squares [n], see `sums`, rmsse and bias too.

    NaN where a forecast is none though the truth is known.
    """
    whole = sums(forecast, truth, scales, naive2, squares).sum(axis=0)
    names = ("mase", "smape", *([] if naive2 is None else ["owa"]), "mape", "mae", "mse", "rmse")
    return {name: float(score(whole, name)) for name in (*names, *([] if squares is None else ["rmsse", "bias"]))}


def sums(
    forecast: np.ndarray,
    truth: np.ndarray,
    scales: np.ndarray,
    naive2: np.ndarray | None = None,
    squares: np.ndarray | None = None,
) -> np.ndarray:
    """[n, 2 len(PAIRS)]: the sum of each error over a window, then the count by which the sum of many is divided.

    MASE (Hyndman & Koehler 2006) is the mean over windows of their mean errors, each divided by the window's scale, and
    over those alone that have one. So is sMAPE as in M4, 200 |y - f| / (|y| + |f|), where 0 / 0 counts as 0. MAPE
    (Athanasopoulos et al. 2011; not where the truth is 0), MAE and MSE are means over points.

    RMSSE is that of M5 (Makridakis, Spiliotis & Assimakopoulos 2022): squared errors divided by the window's `squares`,
    the mean squared step of what is known. Its root is taken of the mean over all points, not of each window: the root
    of a single point's square is an absolute error again, which all zeros make small. The bias is the sum of forecasts
    less that of the truth, as a share of it.
    """
    error = np.abs(truth - forecast)
    size, share = np.where(truth == 0, np.nan, np.abs(truth)), _share(forecast, truth)
    pairs = [_windows(error / scales[:, None], truth, scales), _windows(share, truth)]
    pairs += [_points(100 * error / size, size), _points(error, truth), _points(error**2, truth)]
    other = np.zeros_like(truth) if naive2 is None else naive2
    pairs += [_windows(np.abs(truth - other) / scales[:, None], truth, scales), _windows(_share(other, truth), truth)]
    unit = np.full(len(truth), np.nan) if squares is None else squares
    pairs.append(_points(error**2 / unit[:, None], truth + 0 * unit[:, None]))
    pairs.append((np.where(np.isnan(truth), 0.0, forecast - truth).sum(axis=1), np.nansum(truth, axis=1)))
    return np.concatenate([np.stack(each) for each in zip(*pairs, strict=True)]).T


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """An error [...] of `sums` [..., 2 len(PAIRS)]; owa is M4's overall weighted average, the mean of sMAPE and MASE,
    each divided by that of Naive2."""
    if metric == "owa":
        return (_over(sums, "smape") + _over(sums, "mase")) / 2
    if metric in ROOTS:
        return np.sqrt(score(sums, ROOTS[metric]))
    place = PAIRS.index(metric)
    return ratio(sums[..., place], sums[..., len(PAIRS) + place])


def _over(sums: np.ndarray, metric: str) -> np.ndarray:
    return ratio(score(sums, metric), score(sums, f"{metric}2"))


def _share(forecast: np.ndarray, truth: np.ndarray) -> np.ndarray:
    size = np.abs(truth) + np.abs(forecast)
    return np.where(size == 0, 0.0, 200 * np.abs(truth - forecast) / np.where(size == 0, 1.0, size))


def _windows(values: np.ndarray, truth: np.ndarray, scales: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The mean [n] of each window's values over the points that are known, and 1; 0 and 0 where none is."""
    total, count = _points(values, truth if scales is None else truth + 0 * scales[:, None])
    return total / np.maximum(count, 1), (count > 0).astype(float)


def _points(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sum [n] of each window's values over the points where `known` is not NaN, and their number."""
    there = ~np.isnan(known)
    return np.where(there, values, 0.0).sum(axis=1), there.sum(axis=1).astype(float)


def mase(error: np.ndarray, scales: np.ndarray) -> float:
    """Mean absolute scaled error of errors [n, h]: see `sums`."""
    return mean(row_means(np.abs(error)) / scales)


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
