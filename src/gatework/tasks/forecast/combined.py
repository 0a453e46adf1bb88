"""A mean of the model's forecasts and of simple ones, which is hard to beat by either alone.

The simple ones have equal parts, and the model half of the whole unless a backtest shows better: weights found on few
windows lose more by chance than they gain (Bates & Granger 1969; Smith & Wallis 2009).
"""

from __future__ import annotations

import math

import numpy as np

from gatework.errors import OptionError
from gatework.runtime.series import baselines
from gatework.runtime.series.mean import simple
from gatework.runtime.series.theta import points
from gatework.runtime.series.windows import Windows
from gatework.tasks.forecast.classical import KEPT, classical

MEMBERS = {
    "none": (),
    "theta": ("Theta",),
    "simple": ("Theta", "seasonal naive"),
    "ets": ("ETS",),
    "both": ("Theta", "ETS"),
}


def named(option: str) -> str:
    return " and ".join(MEMBERS[option])


def others(windows: Windows, option: str, seed: int) -> list[np.ndarray]:
    """Forecasts [n, h] of every window by each of the members, however long it takes; worked out once for the same
    windows."""
    for name in MEMBERS[option]:
        if name not in windows.memory:
            windows.memory[name] = _ets(windows, seed) if name == "ETS" else simple(windows)[name]
    return [windows.memory[name] for name in MEMBERS[option]]


def _ets(windows: Windows, seed: int) -> np.ndarray:
    found = classical(windows, "ets", math.inf, seed)
    if not len(found.rows):
        raise OptionError(f"combine needs {found.name}: {found.note}; leave combine out")
    return found.whole(len(found.rows))


def kept(option: str, lookback: int, season: int) -> int:
    """Steps of each series that a run must keep to forecast the same again."""
    least = {"Theta": points(season), "seasonal naive": baselines.SEASONS * season, "ETS": KEPT}
    return max([lookback, *(least[name] for name in MEMBERS[option])])
