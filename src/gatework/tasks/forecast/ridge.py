"""Ridge regression on lags and on what else the model sees: one linear map for all series; strong and quick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from gatework.runtime.series.panel import logarithms
from gatework.runtime.series.windows import (
    Windows,
    filled,
    mostly_positive,
    seasonal_naive,
    seasonal_scale,
    window_scale,
)
from gatework.tasks.forecast.regression import Map, patterns, solved

MOST_WINDOWS = 60_000
MOST_WORK = 1e10  # multiplications of a fit
MOST_BESIDE = 100  # inputs beside the lags of values: the nearest lags of the covariates
CHUNK = 2048
HELD_OUT = 0.2  # of the training windows, the last of each series: strength and form are chosen on them
STRENGTHS = (1e-8, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the mean of the diagonal
DIVIDED = {0.5: ", divided by the root of its deviation", 0.0: "", 1.0: ", divided by its deviation"}  # power: words
POWERS = tuple(DIVIDED)
FEW = 10  # windows below which nothing is chosen


@dataclass(frozen=True)
class Form:
    """Windows less their mean, perhaps in logarithms, divided by a power of their deviation; `wide`: with covariates
    and calendar.

    Power 1 makes all windows equal, power 0 gives restless ones all the say; 1/2 stands between.
    """

    log: bool
    power: float
    wide: bool = False

    def read(self, windows: Windows, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Inputs [n, P], the lags first; what is known ahead [n, h, F]; and center and scale [n, 1] of each window."""
        past = windows.past(rows)
        values = logarithms(past) if self.log else past
        center, scale = (each[:, None] for each in window_scale(values))
        scale = scale**self.power
        inputs = (filled(values) - center) / scale
        if not self.wide:
            return inputs, np.zeros((len(rows), windows.shape.horizon, 0)), center, scale
        known = ~np.isnan(past)
        return (
            np.concatenate([inputs, beside(windows, rows, known)], axis=1),
            ahead(windows, rows, known),
            center,
            scale,
        )

    def targets(self, truth: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return ((logarithms(truth) if self.log else truth) - center) / scale

    def forecast(self, windows: Windows, rows: np.ndarray, found: Map) -> np.ndarray:
        inputs, known, center, scale = self.read(windows, rows)
        values = found(inputs, known) * scale + center
        return np.exp(values) if self.log else values

    def __str__(self) -> str:
        values = "logarithms of values" if self.log else "values"
        return f"{values} less their window's mean{DIVIDED[self.power]}"


def ahead(windows: Windows, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[n, h, F]: calendar and covariates known ahead at each step, less their mean where the window has values: the
    window's mean, from which values are counted, holds what they did there."""
    lookback = windows.shape.lookback
    marks = windows.calendar[windows.places(rows)]
    return marks[:, lookback:] - _means(marks[:, :lookback], known)[:, None]


def beside(windows: Windows, rows: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[n, K]: the nearest lags of covariates and their means where the window has values; static features."""
    past = windows.places(rows)[:, : windows.shape.lookback]
    marks = windows.calendar[:, windows.calendar.shape[1] - windows.ahead :]
    values = np.concatenate([marks[past], windows.seen[past]], axis=2)
    nearest = values[:, values.shape[1] - MOST_BESIDE // max(values.shape[2], 1) :]
    static = windows.static[windows.owners[rows]]
    return np.concatenate([nearest.reshape(len(rows), -1), _means(values, known), static], axis=1)


def _means(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[n, C] of [n, L, C] where `known` [n, L]."""
    share = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
    return (share[:, None] @ values)[:, 0]


def ridge(train: Windows, windows: Windows, seed: int, squared: bool = False) -> tuple[np.ndarray, str]:
    """Forecasts [n, h] and how they were made.

    Form and strength are those with the least error (`squared`, or MASE) on the last fifth of the training windows; the
    weights are then fitted on all of them.
    """
    train = train.take(np.sort(np.random.default_rng(seed).permutation(len(train))[:MOST_WINDOWS]))
    train = train.take(_enough(train, seed))
    truth = train.truth()
    form, strength, chosen = _choice(train, truth, _forms(train, squared), squared)
    found = _solved(form, train, truth, np.arange(len(train)), [strength])[0]
    every = np.arange(len(windows))
    result = np.concatenate([form.forecast(windows, rows, found) for rows in _chunks(every)])
    if form.log:
        result = _without_logarithm(windows, result)
    more = " and what stands beside them" if form.wide else ""
    lags = f"{windows.shape.lookback} lags{more}"
    note = f"{lags}: {form}; penalty of {strength:g}{chosen}; fitted to {len(train):,} windows"
    return result, note


def _enough(train: Windows, seed: int) -> np.ndarray:
    """The windows to learn from: as many as a fit can take within seconds.

    Where values are missing, each step is fitted to the windows that know it, which costs more; windows that know all
    steps are taken alone where there are as many of them.
    """
    missing = np.isnan(train.truth())
    inputs = train.shape.lookback + MOST_BESIDE * (train.panel.covariates is not None) + train.static.shape[1]
    columns = train.shape.horizon * (1 + train.calendar.shape[1])
    kinds = sum(1 for _ in patterns(missing))
    whole = np.flatnonzero(~missing.any(axis=1))
    apart, together = (int(MOST_WORK / inputs / (often * inputs + columns)) for often in (kinds, 1))
    if len(whole) >= min(apart, len(train)):
        return _drawn(whole, together, seed)
    return _drawn(np.arange(len(train)), apart, seed)


def _drawn(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    most = max(most, FEW)
    return rows if len(rows) <= most else np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _forms(train: Windows, squared: bool) -> list[Form]:
    """All there are, logarithms where nearly every value has one; what least squares minimises where that is measured;
    with and without what stands beside the lags."""
    if squared:
        plain = [Form(False, 0.0)]
    else:
        past = train.past(np.arange(len(train)))
        positive = all(mostly_positive(values) for values in (past, train.truth()))
        known = (past > 0).any(axis=1).all()
        plain = [Form(log, power) for log in ((True, False) if positive and known else (False,)) for power in POWERS]
    more = train.panel.covariates is not None or train.calendar.shape[1] > 0
    return [*(replace(form, wide=True) for form in plain if more), *plain]


def _without_logarithm(windows: Windows, forecasts: np.ndarray) -> np.ndarray:
    """The seasonal naive forecast in place of those of windows without any value above 0."""
    past = windows.past(np.arange(len(windows)))
    odd = np.flatnonzero(~(past > 0).any(axis=1))
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
        maps = _solved(form, train, truth, fit, list(STRENGTHS))
        for rows in _chunks(held):
            for place, each in enumerate(maps):
                error = np.abs(form.forecast(train, rows, each) - truth[rows])
                found[place] += np.nansum(error**2 if squared else error / scales[train.owners[rows], None])
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


def _solved(form: Form, train: Windows, truth: np.ndarray, which: np.ndarray, strengths: list[float]) -> list[Map]:
    def reading(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inputs, known, center, scale = form.read(train, rows)
        return inputs, known, form.targets(truth[rows], center, scale)

    if form.log:  # the few windows in which a value has none
        which = which[~(truth[which] <= 0).any(axis=1)]
    return solved(reading, truth, which, train.shape.lookback, strengths)


def _chunks(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
