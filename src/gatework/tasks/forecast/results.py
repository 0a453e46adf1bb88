"""What the report shows of forecasts: series beside the truth, errors by step ahead, residuals, the next steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatework.runtime.series import baselines
from gatework.runtime.series.panel import shown_time
from gatework.runtime.series.windows import Windows, blocks
from gatework.tasks.base import ratio
from gatework.tasks.forecast import measures
from gatework.tasks.forecast.limits import held_at, hints
from gatework.tasks.forecast.options import ForecastOptions
from gatework.tasks.forecast.residuals import leaning, residuals
from gatework.tasks.verdict import FEWEST, interval

MOST_HISTORY = 200  # points shown before a forecast
MOST_WINDOWS = 4  # forecasts of a series shown, one behind the other
DIGITS = 6


def sections(part: str, forecasts: np.ndarray, windows: Windows, options: ForecastOptions) -> dict[str, Any]:
    """What the page shows of a part's forecasts [n, h, 1 + Q].

    part; blocks (how many blocks of windows do not depend on each other); interval (see `held`); by_horizon (errors and
    coverage of each step ahead, beside the best naive forecast); metric (of these errors, by which the verdict goes);
    naive (its name); series (best, median and worst, with their values); residuals; hints (what was seen, what would
    help, and the option that does it).
    """
    truth = windows.truth()
    error, metric = truth - forecasts[:, :, 0], "rmsse" if options.intermittent else "mase"
    naive, simple = best_naive(windows, truth, metric)
    left_over, independent = residuals(windows, error), len(np.unique(blocks(windows)))
    seen = hints(held_at(forecasts[:, :, 0], truth, options), options, bool(np.nanmin(windows.values) > 0))
    seen += leaning(left_over["lean"], options.scale) if independent >= FEWEST else []
    steps = range(truth.shape[1])
    return {
        "part": part,
        "blocks": independent,
        "interval": held(forecasts, windows, options) if options.bounds else None,
        "metric": metric,
        "naive": naive,
        "by_horizon": [step_errors(forecasts, simple, windows, step, metric, options.bounds) for step in steps],
        "series": [
            each | drawn(windows, forecasts, each.pop("number"), options.bounds)
            for each in ranked(windows, error, metric)
        ],
        "residuals": left_over,
        "hints": seen,
    }


def held(forecasts: np.ndarray, windows: Windows, options: ForecastOptions) -> dict[str, Any]:
    """The share that the interval shall hold; values and windows; `low` and `high`: where the share that it holds may
    lie, by a 95% interval over blocks of windows, None where these are too few.

    One more block that was missed, or held, altogether goes into each end: a handful that held all is no proof.
    """
    assert options.bounds
    truth = windows.truth()
    low, high = (forecasts[:, :, 1 + end] for end in options.bounds)
    counts = np.stack([((low <= truth) & (truth <= high)).sum(axis=1), (~np.isnan(truth)).sum(axis=1)], axis=1)
    _, numbers = np.unique(blocks(windows), return_inverse=True)
    sums = np.zeros((numbers.max() + 1, 2))
    np.add.at(sums, numbers, counts.astype(float))
    found = {"share": options.interval, "values": int(sums[:, 1].sum()), "windows": len(windows)}
    size = sums[:, 1].mean()
    ends = [_coverage(np.concatenate([sums, [[more, size]]])) for more in (0.0, size)] if len(sums) >= FEWEST else []
    return found | {"low": ends[0][0] if ends else None, "high": ends[1][1] if ends else None}


def _coverage(sums: np.ndarray) -> tuple[float | None, float | None]:
    """A 95% interval of sum / count of blocks [G, 2]."""
    return interval(lambda drawn: ratio(drawn[..., 0], drawn[..., 1]), sums, sums * (0.0, 1.0))


def scaled(error: np.ndarray, metric: str, units: np.ndarray) -> float:
    """MASE or RMSSE of errors [n, k] of windows with these `units` [n]."""
    if metric == "mase":
        return measures.mase(error, units)
    return float(np.sqrt(measures.mean(error**2 / units[:, None])))


def units_of(windows: Windows, metric: str) -> np.ndarray:
    """[n] by which the errors of each window are divided, or their squares."""
    return windows.scales if metric == "mase" else windows.squares


def best_naive(windows: Windows, truth: np.ndarray, metric: str) -> tuple[str, np.ndarray]:
    """The name and forecasts of the best among naive, seasonal naive and drift."""
    found = baselines.all_naive(windows)
    units = units_of(windows, metric)
    errors = {name: scaled(truth - each, metric, units) for name, each in found.items()}
    name = min(found, key=lambda each: errors[each] if np.isfinite(errors[each]) else np.inf)
    return name, found[name]


def step_errors(
    forecasts: np.ndarray, naive: np.ndarray, windows: Windows, step: int, metric: str, bounds: tuple[int, int] | None
) -> dict[str, Any]:
    """The errors of the model and of a naive forecast one step ahead, and the interval's coverage there."""
    values, here, units = forecasts[:, step], windows.truth()[:, step], units_of(windows, metric)
    row: dict[str, Any] = {"step": step + 1}
    row[metric] = plain(scaled((here - values[:, 0])[:, None], metric, units))
    row["naive"] = plain(scaled((here - naive[:, step])[:, None], metric, units))
    if bounds:
        low, high = (values[:, 1 + end] for end in bounds)
        row["coverage"] = plain(measures.coverage(low, high, here))
    return row


def ranked(windows: Windows, error: np.ndarray, metric: str) -> list[dict[str, Any]]:
    """Best, median and worst series; fewer where there are fewer series."""
    units, owners = units_of(windows, metric), windows.owners
    means = {int(s): scaled(error[owners == s], metric, units[owners == s]) for s in np.unique(owners)}
    order = sorted((value, number) for number, value in means.items() if np.isfinite(value))
    middle = [("median", len(order) // 2)] if len(order) > 2 else []
    places = [("best", 0), *middle, ("worst", -1)] if len(order) > 1 else [("only", 0)][: len(order)]
    chosen = [(which, *order[place]) for which, place in places]
    names = windows.panel.names
    return [{"which": w, "series": names[number], metric: value, "number": number} for w, value, number in chosen]


def drawn(windows: Windows, forecasts: np.ndarray, number: int, bounds: tuple[int, int] | None) -> dict[str, Any]:
    """A series' end with its latest forecasts: times, truth, forecast, lower, upper, and where forecasts begin."""
    rows = latest(windows, number)
    shape, last = windows.shape, int(windows.cuts[rows[-1]]) + windows.shape.horizon
    first = max(int(windows.cuts[rows[0]]) - min(max(4 * shape.horizon, 24), MOST_HISTORY), 0)
    columns = [0, *(1 + end for end in bounds)] if bounds else [0]
    lines = np.full((last - first, len(columns)), np.nan)
    for row in rows:
        begin = int(windows.cuts[row]) - first
        lines[begin : begin + shape.horizon] = forecasts[row][:, columns]
    values = windows.panel.series(number)[first:last]
    truth = np.concatenate([values, np.full(last - first - len(values), np.nan)])
    found = {"times": times(windows, number, first, last), "truth": numbers(truth), "forecast": numbers(lines[:, 0])}
    if bounds:
        found |= {"lower": numbers(lines[:, 1]), "upper": numbers(lines[:, 2])}
    return found | {"starts": [int(windows.cuts[row]) - first for row in rows]}


def latest(windows: Windows, number: int) -> list[int]:
    """The last windows of a series that do not overlap, in the order of time."""
    rows = np.flatnonzero(windows.owners == number)
    kept: list[int] = []
    for row in rows[np.argsort(-windows.cuts[rows], kind="stable")]:
        if not kept or windows.cuts[kept[-1]] - windows.cuts[row] >= windows.shape.horizon:
            kept.append(int(row))
    return kept[:MOST_WINDOWS][::-1]


def coming(windows: Windows, forecasts: np.ndarray, bounds: tuple[int, int] | None) -> list[dict[str, Any]]:
    """The steps after the end of the data, as `drawn`: one record for each window."""
    return [
        {"series": windows.panel.names[number], **drawn(windows, forecasts, int(number), bounds)}
        for number in windows.owners
    ]


def times(windows: Windows, number: int, first: int, last: int) -> list[Any]:
    panel = windows.panel
    found = panel.times(number, np.arange(first, last))
    return [shown_time(time, panel.dates) for time in (found if panel.clock is None else panel.clock.as_shown(found))]


def numbers(values: np.ndarray) -> list[float | None]:
    """Six digits of each; None for what is missing."""
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in values]


def plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
