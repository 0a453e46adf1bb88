"""Ridge regression on lags: one linear map from the window to all steps ahead, for all series; strong and quick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gatework.tasks.forecast.windows import Windows, filled, seasonal_naive, seasonal_scale, window_scale

MOST_WINDOWS = 60_000
CHUNK = 4096
HELD_OUT = 0.2  # of the training windows, the last of each series: strength and form are chosen on them
STRENGTHS = (1e-8, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the mean of the diagonal
DIVIDED = {0.5: ", divided by the root of its deviation", 0.0: "", 1.0: ", divided by its deviation"}  # power: words
POWERS = tuple(DIVIDED)
FEW = 10  # windows below which nothing is chosen


@dataclass(frozen=True)
class Form:
    """Windows less their mean, perhaps in logarithms, divided by a power of their deviation.

    Power 1 makes all windows equal, power 0 gives restless ones all the say; 1/2 stands between.
    """

    log: bool
    power: float

    def read(self, windows: Windows, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs [n, L], and center and scale [n, 1] of each window."""
        past = filled(windows.past(rows))
        past = np.log(np.where(past > 0, past, 1.0)) if self.log else past
        center, scale = (each[:, None] for each in window_scale(past))
        scale = scale**self.power
        return (past - center) / scale, center, scale

    def targets(self, truth: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return ((np.log(truth) if self.log else truth) - center) / scale

    def forecast(self, windows: Windows, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
        inputs, center, scale = self.read(windows, rows)
        values = (inputs @ weights[:-1] + weights[-1]) * scale + center
        return np.exp(values) if self.log else values

    def __str__(self) -> str:
        values = "logarithms of values" if self.log else "values"
        return f"{values} less their window's mean{DIVIDED[self.power]}"


def ridge(train: Windows, windows: Windows, seed: int, squared: bool = False) -> tuple[np.ndarray, str]:
    """Forecasts [n, h] and how they were made.

    Form and strength are those with the least error (`squared`, or MASE) on the last fifth of the training windows; the
    weights are then fitted on all of them.
    """
    train = train.take(np.sort(np.random.default_rng(seed).permutation(len(train))[:MOST_WINDOWS]))
    truth = train.truth()
    whole = np.flatnonzero(~np.isnan(truth).any(axis=1))
    train, truth = (train.take(whole), truth[whole]) if len(whole) else (train, np.nan_to_num(truth))
    form, strength, chosen = _choice(train, truth, _forms(train, squared), squared)
    weights = _solved(form, train, truth, np.arange(len(train)), [strength])[0]
    every = np.arange(len(windows))
    result = np.concatenate([form.forecast(windows, rows, weights) for rows in _chunks(every)])
    if form.log:
        result = _without_logarithm(windows, result)
    note = f"{windows.shape.lookback} lags: {form}; penalty of {strength:g}{chosen}; fitted to {len(train):,} windows"
    return result, note


def _forms(train: Windows, squared: bool) -> list[Form]:
    """All there are, logarithms only where every value has one; what least squares minimises where that is measured."""
    if squared:
        return [Form(False, 0.0)]
    past = train.past(np.arange(len(train)))
    positive = all(np.nanmin(values, initial=np.inf) > 0 for values in (past, train.truth()))
    known = (~np.isnan(past)).any(axis=1).all()
    return [Form(log, power) for log in ((True, False) if positive and known else (False,)) for power in POWERS]


def _without_logarithm(windows: Windows, forecasts: np.ndarray) -> np.ndarray:
    """The seasonal naive forecast in place of those from values of 0 or less, where the training part has none."""
    past = windows.past(np.arange(len(windows)))
    odd = np.flatnonzero(np.nanmin(past, axis=1, initial=np.inf) <= 0)
    forecasts[odd] = seasonal_naive(past[odd], windows.shape.horizon, windows.shape.season)
    return forecasts


def _choice(train: Windows, truth: np.ndarray, forms: list[Form], squared: bool) -> tuple[Form, float, str]:
    """Form and strength with the least error on the end of the training part."""
    fit, held = _split(train)
    if len(fit) < FEW or not len(held):
        return forms[-1], STRENGTHS[-2], ""
    scales, errors = _scales(train), {}
    for form in forms:
        found = np.zeros(len(STRENGTHS))
        solved = _solved(form, train, truth, fit, list(STRENGTHS))
        for rows in _chunks(held):
            for place, weights in enumerate(solved):
                error = form.forecast(train, rows, weights) - truth[rows]
                found[place] += (
                    (error**2).sum() if squared else np.nansum(np.abs(error) / scales[train.owners[rows], None])
                )
        errors |= {(form, strength): each for strength, each in zip(STRENGTHS, found, strict=True)}
    finite = {key: value for key, value in errors.items() if np.isfinite(value)}
    if not finite:
        return forms[-1], STRENGTHS[-2], ""
    form, strength = min(finite, key=lambda key: finite[key])
    return form, strength, " (scaling and penalty chosen on the last fifth)"


def _scales(train: Windows) -> np.ndarray:
    """Denominators of MASE [S] of the training part of each series."""
    ends = np.zeros(len(train.panel), np.int64)
    np.maximum.at(ends, train.owners, train.cuts + train.shape.horizon)
    season = train.shape.season
    return np.array([seasonal_scale(part[:end], season) for part, end in zip(train.panel, ends, strict=True)])


def _split(train: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit and, later in each series and without overlap of targets, rows to choose by."""
    first, last = np.full(len(train.panel), np.iinfo(np.int64).max), np.zeros(len(train.panel), np.int64)
    np.minimum.at(first, train.owners, train.cuts)
    np.maximum.at(last, train.owners, train.cuts)
    border = (last - np.ceil(HELD_OUT * np.maximum(last - first, 0)))[train.owners]
    return np.flatnonzero(train.cuts + train.shape.horizon <= border), np.flatnonzero(train.cuts > border)


def _solved(
    form: Form, train: Windows, truth: np.ndarray, which: np.ndarray, strengths: list[float]
) -> list[np.ndarray]:
    """Weights [L + 1, h] for each strength, from one decomposition of the products; the last row, the constant, is
    free of the penalty."""
    size, count = train.shape.lookback, max(len(which), 1)
    products, outputs = np.zeros((size, size)), np.zeros((size, train.shape.horizon))
    first, second = np.zeros(size), np.zeros(train.shape.horizon)
    for rows in _chunks(which):
        inputs, center, scale = form.read(train, rows)
        targets = form.targets(truth[rows], center, scale)
        products += inputs.T @ inputs
        outputs += inputs.T @ targets
        first += inputs.sum(axis=0) / count
        second += targets.sum(axis=0) / count
    values, vectors = np.linalg.eigh(products - count * np.outer(first, first))
    turned = vectors.T @ (outputs - count * np.outer(first, second))
    values = np.maximum(values, 0)[:, None]
    mean = max(values.mean(), np.finfo(float).tiny)
    solved = [vectors @ (turned / (values + strength * mean)) for strength in strengths]
    return [np.concatenate([weights, (second - first @ weights)[None]]) for weights in solved]


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
