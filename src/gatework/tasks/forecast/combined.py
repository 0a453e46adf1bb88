"""The mean of the model's forecasts and of classical ones, which is hard to beat by either alone.

Plain means: weights found on few windows lose more by chance than they gain (Bates & Granger 1969; Smith & Wallis
2009).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gatework.errors import OptionError
from gatework.tasks.forecast.classical import KEPT, Classical, classicals, methods
from gatework.tasks.forecast.windows import Windows

NAMES = {"theta": "Theta", "ets": "ETS", "both": "Theta and ETS"}


def others(windows: Windows, option: str, seed: int) -> list[np.ndarray]:
    """Forecasts [n, h] of every window by the methods that are named ("theta", "ets", "both", "none"), however long it
    takes; worked out once for the same windows."""
    if option not in windows.memory:
        windows.memory[option] = [_every(each) for each in classicals(windows, methods(option, False), math.inf, seed)]
    return windows.memory[option]


def _every(found: Classical) -> np.ndarray:
    if not len(found.rows):
        raise OptionError(f"combine needs {found.name}: {found.note}; leave combine out")
    return found.whole(len(found.rows))


def mean(point: np.ndarray, beside: Sequence[np.ndarray]) -> np.ndarray:
    """[n, h] of point forecasts [n, h] and of others of the same steps."""
    return np.mean([point, *beside], axis=0)


def move(point: np.ndarray, beside: Sequence[np.ndarray], log: bool) -> np.ndarray:
    """By how much [n, h] the mean lies above the point forecasts, all in units of the data; of their logarithms where
    those are forecast. Quantiles move with the point forecast."""
    if not log:
        return mean(point, beside) - point
    return np.log(mean(point, [np.maximum(each, 0) for each in beside])) - np.log(point)


def moved(forecasts: np.ndarray, beside: Sequence[np.ndarray], log: bool) -> np.ndarray:
    """Forecasts [n, h, 1 + Q] in units of the data, the point forecast first, around the mean."""
    by = move(forecasts[:, :, 0], beside, log)[:, :, None]
    return forecasts * np.exp(by) if log else forecasts + by


def kept(option: str, lookback: int) -> int:
    """Steps of each series that a run must keep to forecast the same again."""
    return lookback if option == "none" else max(lookback, KEPT)
