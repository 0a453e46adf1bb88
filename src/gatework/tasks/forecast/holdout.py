"""How many windows are held back for validation and test: enough to judge by, where the series are long enough."""

from __future__ import annotations

import math

import numpy as np

from gatework.runtime.series.panel import Panel
from gatework.tasks.forecast.options import ForecastOptions

FEWEST, MOST = 20, 100  # windows of a part over all series, where the data allow
APART = 10  # windows without a common value, below which it is better to have more that overlap
SHARE, USUAL = 0.2, 0.1  # of a series: the most that a part takes for the sake of FEWEST; what long ones give


def held(panel: Panel, options: ForecastOptions, horizon: int) -> dict[str, int]:
    """Values for `valid_windows`, `test_windows` and `stride`, where these were left to be worked out."""
    count, stride = windows_of(panel.lengths, horizon)
    if options.stride or options.valid_windows is not None or options.test_windows is not None:
        room = int(SHARE * _usual_length(panel.lengths))
        stride = options.stride or horizon
        count = max(min(count, (room - horizon) // stride + 1), 1)
    own = {"valid_windows": options.valid_windows, "test_windows": options.test_windows}
    return {"stride": stride} | {name: count if value is None else value for name, value in own.items()}


def windows_of(lengths: np.ndarray, horizon: int) -> tuple[int, int]:
    """How many windows of each series a part has, and the steps from one to the next.

    Windows without a common value are worth most: each tells something new. Where a fifth of a short series holds fewer
    than ten of them, there are twenty (or as many as there is room for) that overlap.
    """
    series, length = max(int((lengths > 0).sum()), 1), _usual_length(lengths)
    least, most = math.ceil(FEWEST / series), math.ceil(MOST / series)
    room = int(SHARE * length)
    apart = room // horizon
    if apart >= min(least, math.ceil(APART / series)):
        return min(max(int(USUAL * length) // horizon, least), most, apart), horizon
    if room <= horizon or least == 1:
        return 1, horizon
    stride = max((room - horizon) // (least - 1), 1)
    return min((room - horizon) // stride + 1, least), stride


def span(options: ForecastOptions, count: int) -> int:
    """The steps that a number of windows take; `options` are settled."""
    assert options.horizon and options.stride
    return options.horizon + options.stride * (count - 1) if count else 0


def _usual_length(lengths: np.ndarray) -> float:
    """Of the shorter series: a quarter may be shorter still."""
    there = lengths[lengths > 0]
    return float(np.quantile(there, 0.25, method="lower")) if len(there) else 0.0
