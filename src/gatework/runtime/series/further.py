"""Forecasts beyond the steps that a model was trained for: its own forecasts are fed back, as sampled paths too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from gatework.errors import OptionError
from gatework.runtime.series.panel import Panel

PATHS = 100  # of each series, in pairs that mirror each other
GROUP = 50  # series worked on at once
BETWEEN = 20  # places at which each path's distribution is read
RATES = np.linspace(0, 1, 41)
MOST_STEPS = 100_000  # ahead: a wrong number would take all memory


def checked(steps: object) -> int:
    """A number of steps to forecast; an error where it is none."""
    if type(steps) is not int or steps < 1:
        raise OptionError(f"horizon must be a whole number of 1 or more, not {steps!r}")
    if steps > MOST_STEPS:
        raise OptionError(f"horizon={steps:,} is more than the {MOST_STEPS:,} steps that can be forecast at once")
    return steps


def further(
    forecast: Callable[[Panel], np.ndarray], panel: Panel, steps: int, levels: tuple[float, ...], log: bool, seed: int
) -> np.ndarray:
    """[S, steps, 1 + Q]: point forecasts and quantiles, of which the model itself gives the first h.

    `forecast(panel)` gives those [S, h, 1 + Q] after the end of each series. Point forecasts are appended to the
    series, and the model forecasts again. For the quantiles, paths drawn from the forecast are appended instead, and
    the quantiles are those of what the model forecasts after all of them; so they widen as the model's own do.
    `log`: values are above 0, and paths are drawn in logarithms. The same seed gives the same paths.
    """
    groups = [panel.take(np.arange(at, min(at + GROUP, len(panel)))) for at in range(0, len(panel), GROUP)]
    return np.concatenate([_further(forecast, group, steps, np.array(levels), log, seed) for group in groups])


def _further(
    forecast: Callable[[Panel], np.ndarray], panel: Panel, steps: int, levels: np.ndarray, log: bool, seed: int
) -> np.ndarray:
    copies = 1 + (PATHS if len(levels) else 0)  # the first goes on with the point forecasts
    first = forecast(panel)
    results, values = [first], np.repeat(first, copies, axis=0)
    panel = _without_past(panel).take(np.repeat(np.arange(len(panel)), copies))
    generator = np.random.default_rng(seed)
    while sum(part.shape[1] for part in results) < steps:
        paths = values[:, :, 0].copy()
        if len(levels):
            sampled = np.arange(len(values)) % copies > 0
            paths[sampled] = _drawn(values[sampled, :, 1:], levels, log, generator)
        panel = panel.with_series([np.concatenate([part, path]) for part, path in zip(panel, paths, strict=True)])
        values = forecast(panel)
        results.append(_mixed(values.reshape(-1, copies, *values.shape[1:]), levels, log))
    return np.concatenate(results, axis=1)[:, :steps]


def _without_past(panel: Panel) -> Panel:
    """Columns known only up to now are unknown from the end of each series on, whatever rows of later times say."""
    extra = panel.covariates
    if extra is None:
        return panel
    parts = []
    for number, length in enumerate(panel.lengths):
        part = extra.part(number).copy()
        part[length:, extra.places("past")] = np.nan
        parts.append(part)
    return replace(panel, covariates=extra.with_parts(parts, extra.static))


def _drawn(quantiles: np.ndarray, levels: np.ndarray, log: bool, generator: np.random.Generator) -> np.ndarray:
    """A path [n, h] of each row's distributions [n, h, Q]; neighbouring rows are mirrored."""
    n, horizon, _ = quantiles.shape
    noise = generator.standard_normal((horizon, n // 2))
    noise = np.stack([noise, -noise], axis=2).reshape(horizon, n)
    rate = persistence(np.log(quantiles) if log else quantiles)
    normal, size = np.zeros((n, horizon)), np.ones(n)
    normal[:, 0] = noise[0]
    for step in range(1, horizon):
        larger = np.sqrt(1 + rate**2 * size**2)
        normal[:, step] = (rate * size * normal[:, step - 1] + noise[step]) / larger
        size = larger
    return _read(quantiles, levels, normal, log)


def persistence(quantiles: np.ndarray) -> np.ndarray:
    """How much of an error [n] lasts to the next step: that of the autoregression of order 1 whose deviation grows
    along the horizon as the interval does. 1 is a random walk; 0 is noise, which is as large at the first step as at
    the last."""
    widths = np.log(np.maximum(quantiles[:, :, -1] - quantiles[:, :, 0], np.finfo(float).tiny))
    powers = RATES[:, None] ** (2 * np.arange(widths.shape[1]))
    shapes = np.log(np.cumsum(powers, axis=1)) / 2
    errors = _centered(widths)[:, None] - _centered(shapes)[None]
    return RATES[(errors**2).sum(axis=2).argmin(axis=1)]


def _centered(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=1, keepdims=True)


def _read(quantiles: np.ndarray, levels: np.ndarray, normal: np.ndarray, log: bool) -> np.ndarray:
    """The values [n, h] that stand in distributions [n, h, Q] where `normal` [n, h] stands in the normal one: between
    two levels on a line, beyond the outermost on the line of the last two."""
    known = np.log(quantiles) if log else quantiles
    places = np.array([NormalDist().inv_cdf(level) for level in levels])
    at = np.clip(np.searchsorted(places, normal) - 1, 0, len(levels) - 2)
    share = (normal - places[at]) / (places[at + 1] - places[at])
    low, high = (np.take_along_axis(known, (at + k)[:, :, None], axis=2)[:, :, 0] for k in (0, 1))
    values = low + share * (high - low)
    return np.exp(values) if log else values


def _mixed(values: np.ndarray, levels: np.ndarray, log: bool) -> np.ndarray:
    """[S, copies, h, 1 + Q] -> [S, h, 1 + Q]: the first copy's point forecast, the quantiles of all other copies."""
    series, copies, horizon, _ = values.shape
    point = values[:, 0, :, :1]
    if not len(levels):
        return point
    paths = values[:, 1:, :, 1:].reshape(series * (copies - 1), horizon, len(levels))
    shares = (np.arange(BETWEEN) + 0.5) / BETWEEN
    normal = [np.full(paths.shape[:2], NormalDist().inv_cdf(share)) for share in shares]
    every = np.stack([_read(paths, levels, each, log) for each in normal])
    every = every.reshape(BETWEEN, series, copies - 1, horizon).transpose(1, 3, 0, 2).reshape(series, horizon, -1)
    return np.concatenate([point, np.moveaxis(np.quantile(every, levels, axis=2), 0, -1)], axis=2)


def beyond(trained: int, steps: int, intervals: bool) -> str:
    """What one has to know of steps that go further than the model was trained for."""
    message = f"the model was trained for {trained} steps: steps {trained + 1} to {steps} feed its own forecasts back"
    if intervals:
        message += (
            f"; their quantiles come from {PATHS} sampled paths: an extrapolation that was never measured against data"
        )
    return f"{message}; train with horizon={steps} for measured ones"
