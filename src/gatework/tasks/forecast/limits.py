"""Bounds that the training part shows, and forecasts that had to be held there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gatework.data.finding import Finding
from gatework.runtime.series.panel import Panel
from gatework.tasks.forecast.options import ForecastOptions

WHOLE = (1.0, 100.0)  # what shares add up to
NEAR = 0.9  # of it: the least that the largest share has
WIDE = 0.5  # of the largest share: the most that the smallest has
MANY = 0.03  # of the forecasts held at a bound, beyond the share of the values that lie there


def noticed(panel: Panel, options: ForecastOptions) -> tuple[ForecastOptions, list[Finding]]:
    """The options with the bounds of a training part, where none are given and `limits` may notice them; and notes."""
    values = panel.values[~np.isnan(panel.values)]
    if options.limits != "auto" or options.lowest is not None or options.highest is not None:
        return options, []
    if not len(values) or values.min() < 0:
        return options, []
    highest = _whole(values)
    kept = "no value is below 0" if highest is None else f"all values lie between 0 and {highest:g}, as shares do"
    message = f"{kept}: nor is a forecast (limits=none forecasts freely)"
    if (values == np.round(values)).all():
        message += "; values are whole numbers, forecasts are means and need not be"
    return replace(options, lowest=0.0, highest=highest, limits="noticed"), [Finding("note", message)]


def _whole(values: np.ndarray) -> float | None:
    """1 or 100, where values spread up to it and not beyond; whole numbers are counts."""
    largest = values.max()
    if (values == np.round(values)).all() or values.min() > WIDE * largest:
        return None
    return next((whole for whole in WHOLE if NEAR * whole <= largest <= whole), None)


def held_at(forecast: np.ndarray, truth: np.ndarray, options: ForecastOptions) -> dict[str, float]:
    """The shares of forecasts and of known values [n, h] that lie at a bound."""
    ends = [end for end in (options.lowest, options.highest) if end is not None]
    known = truth[~np.isnan(truth)]
    return {
        "forecasts": float(np.isin(forecast, ends).mean()) if forecast.size else 0.0,
        "values": float(np.isin(known, ends).mean()) if len(known) else 0.0,
    }


def hints(held: dict[str, float], options: ForecastOptions, positive: bool) -> list[dict[str, Any]]:
    """What would help where more forecasts lie at a bound than values do; `positive`: every value has a logarithm."""
    if held["forecasts"] - held["values"] <= MANY:
        return []
    what = (
        f"{held['forecasts']:.0%} of the forecasts had to be held at a bound, where {held['values']:.0%} of the values "
    )
    what += "lie: what the model works on does not keep it"
    if positive and not options.transform.startswith("log"):
        return [{"what": what, "advice": "work on logarithms", "setting": "--set transform=log"}]
    return [{"what": what, "advice": "take another transform or scale, or longer training", "setting": ""}]
